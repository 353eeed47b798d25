// conv_block.backward_weights of pictures, three input channels, on cooperative matrices, first of two dispatches (formula:
// backward_weights_direct.wgsl).
// As a product of matrices: rows are 27 terms and a 28th that is one, whose sum is the bias gradient, padded to 32; columns 16
// output channels; the sum runs over pixels. A workgroup takes a run of areas of 8 rows of 16 pixels with four subgroups,
// which take two rows each and keep their sums in tiles. Of an area its 10 x 18 pixels are staged and unfolded, 32 terms to a
// pixel, and its gradients expanded; the load of a tile transposes the terms. The four sums are added in order in the
// end. The areas of the batch are cut into SPLITS equal runs of SPLIT_ROWS, a number fixed by the shapes;
// reduce/splits_shared.wgsl adds the runs in order. Scratch: SPLITS rows of 27 * OUT_C weights, then OUT_C biases. Needs
// IN_C = 3 and OUT_C divisible by 16.
// use codes, rgb_terms
// vec4 pooled_gradient, partial

const GRADIENT = 6u; // words of a staged gradient: 16 channels and 8 unused
const TILES = 16u / TILE; // along 16 terms, channels or pixels

var<workgroup> picture: array<Elem, 10u * WIDTH * 3u>;
var<workgroup> terms: array<vec4<Elem>, 128u * PIXEL>;
var<workgroup> gradients: array<vec4<Elem>, 128u * GRADIENT>;
var<workgroup> rows: array<vec4f, 4u * 128u>; // of each subgroup: 32 terms x 16 channels

@compute @workgroup_size(SUBGROUP * 4u)
fn main(
    @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32, @builtin(subgroup_id) subgroup: u32,
) {
    let id = group.y * groups.x + group.x; // naga takes what a function returns for divergent
    let stripes = OUT_C / 16u;
    if id >= SPLITS * stripes { return; }
    let word = id % stripes * 4u; // first of the workgroup's channels, in fours
    let split = id / stripes;

    let areas_x = (POOL_W + 7u) / 8u;
    let areas_y = (POOL_H + 3u) / 4u;
    var sums: array<TileC, 2u * TILES * TILES>;
    for (var i = 0u; i < 2u * TILES * TILES; i++) { sums[i] = TileC(); }
    for (var i = 0u; i < SPLIT_ROWS; i++) {
        let number = split * SPLIT_ROWS + i; // past the last: an image past the last, all zeros
        let n = number / (areas_x * areas_y);
        let corner = vec2u(number % areas_x * 8u, number / areas_x % areas_y * 4u); // in windows
        for (var p = local; p < 10u * WIDTH * 3u; p += SUBGROUP * 4u) { picture[p] = seen(n, corner * 2u, p); } // last read before the tiles were
        workgroupBarrier();
        for (var p = local; p < 128u; p += SUBGROUP * 4u) {
            unfold(p, (p / 16u * WIDTH + p % 16u) * 3u);
            stage_gradient(n, corner, word, p);
        }
        workgroupBarrier();
        for (var k = 0u; k < 2u * TILES; k++) {
            let pixel = subgroup * 32u + k * TILE;
            var x: array<TileA, 2u * TILES>;
            for (var r = 0u; r < 2u * TILES; r++) { x[r] = coopLoad<TileA>(&terms[pixel * PIXEL + r * TILE / 4u], PIXEL); }
            for (var c = 0u; c < TILES; c++) {
                let e = coopLoadT<TileB>(&gradients[pixel * GRADIENT + c * TILE / 4u], GRADIENT);
                for (var r = 0u; r < 2u * TILES; r++) { sums[r * TILES + c] = coopMultiplyAdd(x[r], e, sums[r * TILES + c]); }
            }
        }
    }

    for (var i = 0u; i < 2u * TILES * TILES; i++) {
        coopStoreT(sums[i], &rows[subgroup * 128u + i / TILES * TILE * 4u + i % TILES * TILE / 4u], 4u);
    }
    workgroupBarrier();
    for (var i = local; i < 112u; i += SUBGROUP * 4u) {
        let sum = (rows[i] + rows[i + 128u]) + (rows[i + 256u] + rows[i + 384u]);
        partial[(split * 28u + i / 4u) * (OUT_C / 4u) + word + i % 4u] = sum;
    }
}

fn term_of(corner: u32, i: u32) -> Elem {
    if i >= 27u { return select(Elem(), Elem(1.0), i == 27u); }
    return picture[corner + i / 9u * WIDTH * 3u + i % 9u];
}

// Expands four channels of a window (word i % 4 of window i / 4) to its four pixels; zero outside the pooled image.
fn stage_gradient(n: u32, corner: vec2u, word: u32, i: u32) {
    let at = corner + vec2u(i / 4u % 8u, i / 32u);
    var gradient = vec4<Elem>();
    var code = vec4u(4u);
    if n < BATCH && at.x < POOL_W && at.y < POOL_H {
        let place = ((n * POOL_H + at.y) * POOL_W + at.x) * WORDS + word + i % 4u;
        gradient = pooled_gradient[place];
        code = codes(argmax[place]);
    }
    for (var q = 0u; q < 4u; q++) {
        let pixel = (i / 32u * 2u + q / 2u) * 16u + i / 4u % 8u * 2u + q % 2u;
        gradients[pixel * GRADIENT + i % 4u] = select(vec4<Elem>(), gradient, code == vec4u(q));
    }
}
