// conv2d.backward_weights on cooperative matrices, first of two dispatches (formula: backward_weights_direct.wgsl).
// As a product of matrices: rows are 64 of the weights' KERNEL^2 * IN_C, of one tap or several, columns output channels, the sum
// runs over the output pixels, counted through the whole batch. A workgroup has ACROSS subgroups; each holds 64 rows x
// 16 * WIDE channels (WIDE 1 or 2) in tiles of f32 sums. Per 64 pixels the workgroup stages what its rows see of them, zero
// outside the image, and their gradients; the load of a tile transposes the inputs. The pixels are cut into SPLITS runs of
// SPLIT_BLOCKS x 64, a number fixed by the shapes; reduce/splits_shared.wgsl adds the runs in order. The workgroups of the
// first rows also sum the bias, a thread to a word of four channels, pixel after pixel.
// Scratch: SPLITS rows of KERNEL^2 * IN_C * OUT_C weights, then OUT_C biases. Needs IN_C divisible by 16 and OUT_C by
// 16 * WIDE * ACROSS.
// PIXELS: BATCH * OUT_H * OUT_W. TERMS: KERNEL^2 * IN_C. WORDS: 4 * WIDE * ACROSS, a workgroup's channels in fours, no more than its threads.
// use conv2d_matrix_inputs
// vec4 output_gradient

const TILES = 16u / TILE; // along 16 rows, channels or pixels

var<workgroup> gradients: array<vec4<Elem>, 64u * (WORDS + 2u)>;

@compute @workgroup_size(SUBGROUP * ACROSS)
fn main(
    @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32, @builtin(subgroup_id) subgroup: u32,
) {
    let id = group.y * groups.x + group.x; // naga takes what a function returns for divergent
    let stripes = OUT_C / (16u * WIDE * ACROSS);
    let stacks = (TERMS + 63u) / 64u;
    if id >= SPLITS * stacks * stripes { return; }
    let word = id % stripes * WORDS; // first of the workgroup's channels, in fours
    let row = id / stripes % stacks * 64u;
    let split = id / (stripes * stacks);

    var bias = vec4f();
    var sums: array<TileC, 8u * TILES * TILES>; // down, then across
    for (var i = 0u; i < 8u * TILES * TILES; i++) { sums[i] = TileC(); }
    let last = min((split + 1u) * SPLIT_BLOCKS * 64u, PIXELS);
    for (var first = split * SPLIT_BLOCKS * 64u; first < last; first += 64u) {
        for (var i = local; i < 64u; i += SUBGROUP * ACROSS) { windows[i] = window(first + i); } // last read before the tiles were
        workgroupBarrier();
        for (var i = local; i < 512u; i += SUBGROUP * ACROSS) { stage(row, i); }
        for (var i = local; i < 64u * WORDS; i += SUBGROUP * ACROSS) { stage_gradient(first, word, i); }
        workgroupBarrier();
        if BIAS && row == 0u && local < WORDS { bias = add_pixels(bias, local); }
        let terms = min(64u, last - first); // the rest of the last tile is zero
        for (var k = 0u; k < terms; k += TILE) {
            var x: array<TileA, 4u * TILES>;
            for (var r = 0u; r < 4u * TILES; r++) { x[r] = coopLoad<TileA>(&pixels[k * ROW + r * TILE / 4u], ROW); }
            for (var c = 0u; c < WIDE * TILES; c++) {
                let at = k * (WORDS + 2u) + subgroup * 4u * WIDE + c * TILE / 4u;
                let e = coopLoadT<TileB>(&gradients[at], WORDS + 2u);
                for (var r = 0u; r < 4u * TILES; r++) {
                    sums[c * 4u * TILES + r] = coopMultiplyAdd(x[r], e, sums[c * 4u * TILES + r]);
                }
            }
        }
    }

    let run = split * (TERMS + 1u) * OUT_C;
    let down = min(64u, TERMS - row) / TILE;
    for (var c = 0u; c < WIDE * TILES; c++) {
        let column = word * 4u + subgroup * 16u * WIDE + c * TILE;
        for (var r = 0u; r < down; r++) {
            coopStoreT(sums[c * 4u * TILES + r], &partial[run + (row + r * TILE) * OUT_C + column], OUT_C);
        }
    }
    if row == 0u && local < WORDS { store_bias(run + TERMS * OUT_C + (word + local) * 4u, bias); }
}

// Four channels' gradients of a pixel; zero past the last pixel.
fn stage_gradient(first: u32, word: u32, i: u32) {
    let pixel = first + i / WORDS;
    var value = vec4<Elem>();
    if pixel < PIXELS { value = output_gradient[pixel * (OUT_C / 4u) + word + i % WORDS]; }
    gradients[i / WORDS * (WORDS + 2u) + i % WORDS] = value;
}

fn add_pixels(before: vec4f, word: u32) -> vec4f {
    var sum = before;
    for (var pixel = 0u; pixel < 64u; pixel++) { sum += vec4f(gradients[pixel * (WORDS + 2u) + word]); }
    return sum;
}

fn store_bias(place: u32, bias: vec4f) {
    for (var channel = 0u; channel < 4u; channel++) { partial[place + channel] = bias[channel]; }
}
