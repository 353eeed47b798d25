// dense.backward_weights on cooperative matrices (formula: backward_weights_direct.wgsl).
// As a product of matrices: rows are 64 inputs, columns 16 * ACROSS outputs, the sum runs over the images. Each of ACROSS
// subgroups holds 64 inputs x 16 outputs in tiles of f32 sums, which go straight to memory. Per 64 images the workgroup stages
// their inputs and gradients, zero past the last; the load of a tile transposes the inputs. The workgroups of the first
// inputs also sum the bias, a thread to a word of four outputs, image after image.
// Needs IN divisible by 16 and OUT by 16 * ACROSS.
// WORDS: 4 * ACROSS, a workgroup's outputs in fours, fewer than its threads.
// vec4 input, output_gradient, bias_gradient

const ROW = 18u; // words of a staged image: 64 inputs and 8 unused, so that the rows of a tile lie in different banks
const TILES = 16u / TILE; // along 16 inputs, outputs or images

var<workgroup> images: array<vec4<Elem>, 64u * ROW>;
var<workgroup> gradients: array<vec4<Elem>, 64u * (WORDS + 2u)>;

@compute @workgroup_size(SUBGROUP * ACROSS)
fn main(
    @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32, @builtin(subgroup_id) subgroup: u32,
) {
    let id = group.y * groups.x + group.x; // naga takes what a function returns for divergent
    let stripes = OUT / (16u * ACROSS);
    let row = id / stripes * 64u; // first input
    if row >= IN { return; }
    let word = id % stripes * WORDS; // first of the workgroup's outputs, in fours

    var bias = vec4f();
    var sums: array<TileC, 4u * TILES * TILES>;
    for (var i = 0u; i < 4u * TILES * TILES; i++) { sums[i] = TileC(); }
    for (var first = 0u; first < BATCH; first += 64u) {
        workgroupBarrier();
        for (var i = local; i < 1024u; i += SUBGROUP * ACROSS) { stage_input(first, row, i); }
        for (var i = local; i < 64u * WORDS; i += SUBGROUP * ACROSS) { stage_gradient(first, word, i); }
        workgroupBarrier();
        if BIAS && row == 0u && local < WORDS { bias = add_images(bias, local); }
        let terms = min(64u, BATCH - first); // the rest of the last tile is zero
        for (var k = 0u; k < terms; k += TILE) {
            var x: array<TileA, 4u * TILES>;
            for (var r = 0u; r < 4u * TILES; r++) { x[r] = coopLoad<TileA>(&images[k * ROW + r * TILE / 4u], ROW); }
            for (var c = 0u; c < TILES; c++) {
                let e = coopLoadT<TileB>(&gradients[k * (WORDS + 2u) + subgroup * 4u + c * TILE / 4u], WORDS + 2u);
                for (var r = 0u; r < 4u * TILES; r++) { sums[r * TILES + c] = coopMultiplyAdd(x[r], e, sums[r * TILES + c]); }
            }
        }
    }

    let tiles = min(64u, IN - row) / TILE * TILES;
    for (var i = 0u; i < tiles; i++) {
        let column = word * 4u + subgroup * 16u + i % TILES * TILE;
        coopStoreT(sums[i], &weights_gradient[(row + i / TILES * TILE) * OUT + column], OUT);
    }
    if row == 0u && local < WORDS { bias_gradient[word + local] = bias; }
}

// Four inputs of an image; zero past the last of either.
fn stage_input(first: u32, row: u32, i: u32) {
    let n = first + i / 16u;
    let word = row / 4u + i % 16u;
    var value = vec4<Elem>();
    if n < BATCH && word < IN / 4u { value = input[n * (IN / 4u) + word]; }
    images[i / 16u * ROW + i % 16u] = value;
}

// Four outputs' gradients of an image; zero past the last image.
fn stage_gradient(first: u32, word: u32, i: u32) {
    let n = first + i / WORDS;
    var value = vec4<Elem>();
    if n < BATCH { value = output_gradient[n * (OUT / 4u) + word + i % WORDS]; }
    gradients[i / WORDS * (WORDS + 2u) + i % WORDS] = value;
}

fn add_images(before: vec4f, word: u32) -> vec4f {
    var sum = before;
    for (var n = 0u; n < 64u; n++) { sum += vec4f(gradients[n * (WORDS + 2u) + word]); }
    return sum;
}
