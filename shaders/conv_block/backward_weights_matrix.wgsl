// conv_block.backward_weights on cooperative matrices, first of two dispatches (formula: backward_weights_direct.wgsl).
// As a product of matrices for each tap: rows are 16 input channels, columns 32 output channels, the sum runs over pixels.
// A workgroup computes the nine taps of such a block over a run of areas, with nine subgroups, one to a tap, that keep their
// sums in tiles. An area is 8 rows of 16 pixels: its 10 x 18 inputs and its expanded gradients are staged; a tap is then a
// shifted tile of the inputs, transposed by the load. The areas of the batch are cut into SPLITS equal runs of SPLIT_ROWS areas, a
// number fixed by the shapes; reduce/splits_shared.wgsl adds the runs in order. The workgroups of the first input channels
// also sum the bias: each thread the word of four channels it stages, then a thread per word all of them in order.
// Scratch: SPLITS rows of 9 * IN_C * OUT_C weights, then OUT_C biases. Needs IN_C divisible by 16 and OUT_C by 32.
// use codes
// vec4 input, pooled_gradient

const THREADS = SUBGROUP * 9u;
const WIDTH = 18u;
const PIXEL = 6u; // a staged pixel: 16 channels and 8 unused, so that the rows of a tile lie in different banks
const GRADIENT = 10u; // a staged gradient: 32 channels and 8 unused
const TILES = 16u / TILE; // along 16 pixels or 16 channels

var<workgroup> inputs: array<vec4<Elem>, 10u * WIDTH * PIXEL>;
var<workgroup> gradients: array<vec4<Elem>, 128u * GRADIENT>;
var<workgroup> biases: array<vec4f, THREADS>;

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32, @builtin(subgroup_id) tap: u32,
) {
    let id = group.y * groups.x + group.x; // naga takes what a function returns for divergent
    let in_blocks = IN_C / 16u;
    let out_blocks = OUT_C / 32u;
    if id >= SPLITS * in_blocks * out_blocks { return; }
    let in_channel = id % in_blocks * 16u;
    let out_channel = id / in_blocks % out_blocks * 32u;
    let split = id / (in_blocks * out_blocks);

    let areas_x = (POOL_W + 7u) / 8u;
    let areas_y = (POOL_H + 3u) / 4u;
    var bias = vec4f();
    var sums: array<TileC, 2u * TILES * TILES>;
    for (var i = 0u; i < 2u * TILES * TILES; i++) { sums[i] = TileC(); }
    for (var i = 0u; i < SPLIT_ROWS; i++) {
        let number = split * SPLIT_ROWS + i; // past the last: an image past the last, all zeros
        let n = number / (areas_x * areas_y);
        let corner = vec2u(number % areas_x * 8u, number / areas_x % areas_y * 4u); // in windows
        workgroupBarrier();
        for (var i = local; i < 10u * WIDTH * 4u; i += THREADS) { stage_input(n, corner * 2u, in_channel, i); }
        for (var i = local; i < 256u; i += THREADS) { stage_gradient(n, corner, out_channel, i); }
        if in_channel == 0u { bias += bias_of_window(n, corner, out_channel, local); }
        workgroupBarrier();
        for (var row = 0u; row < 8u; row++) {
            for (var k = 0u; k < TILES; k++) {
                let pixel = (row + tap / 3u) * WIDTH + k * TILE + tap % 3u;
                var x: array<TileA, TILES>;
                for (var r = 0u; r < TILES; r++) { x[r] = coopLoad<TileA>(&inputs[pixel * PIXEL + r * TILE / 4u], PIXEL); }
                for (var c = 0u; c < 2u * TILES; c++) {
                    let e = coopLoadT<TileB>(&gradients[(row * 16u + k * TILE) * GRADIENT + c * TILE / 4u], GRADIENT);
                    for (var r = 0u; r < TILES; r++) { sums[c * TILES + r] = coopMultiplyAdd(x[r], e, sums[c * TILES + r]); }
                }
            }
        }
    }

    let run = split * (9u * IN_C + 1u) * OUT_C;
    for (var i = 0u; i < 2u * TILES * TILES; i++) {
        let row = tap * IN_C + in_channel + i % TILES * TILE;
        coopStoreT(sums[i], &partial[run + row * OUT_C + out_channel + i / TILES * TILE], OUT_C);
    }
    biases[local] = bias;
    workgroupBarrier();
    if in_channel == 0u && local < 8u { store_bias(run + 9u * IN_C * OUT_C + out_channel, local); }
}

// Four channels of a pixel of the area's inputs, which start one row above and one column left of it; zero outside the image.
fn stage_input(n: u32, corner: vec2u, channel: u32, i: u32) {
    let pixel = i / 4u;
    let at = corner + vec2u(pixel % WIDTH, pixel / WIDTH) - 1u; // below zero wraps to a large number
    var value = vec4<Elem>();
    if n < BATCH && at.x < IN_W && at.y < IN_H { value = input[(((n * IN_H + at.y) * IN_W + at.x) * IN_C + channel) / 4u + i % 4u]; }
    inputs[pixel * PIXEL + i % 4u] = value;
}

// Place of four channels of a window of the area (word i % 8 of window i / 8), or none outside the pooled image.
fn window(n: u32, corner: vec2u, channel: u32, i: u32) -> u32 {
    let at = corner + vec2u(i / 8u % 8u, i / 64u);
    if n >= BATCH || at.x >= POOL_W || at.y >= POOL_H { return 0xffffffffu; }
    return ((n * POOL_H + at.y) * POOL_W + at.x) * WORDS + channel / 4u + i % 8u;
}

// Expands four channels of a window to its four pixels.
fn stage_gradient(n: u32, corner: vec2u, channel: u32, i: u32) {
    let place = window(n, corner, channel, i);
    var gradient = vec4<Elem>();
    var code = vec4u(4u);
    if place != 0xffffffffu { gradient = pooled_gradient[place]; code = codes(argmax[place]); }
    for (var q = 0u; q < 4u; q++) {
        let pixel = (i / 64u * 2u + q / 2u) * 16u + i / 8u % 8u * 2u + q % 2u;
        gradients[pixel * GRADIENT + i % 8u] = select(vec4<Elem>(), gradient, code == vec4u(q));
    }
}

// What passed the relu of the windows that a thread stages: all of them hold its word, as THREADS is divisible by 8.
fn bias_of_window(n: u32, corner: vec2u, channel: u32, local: u32) -> vec4f {
    var sum = vec4f();
    for (var i = local; i < 256u; i += THREADS) {
        let place = window(n, corner, channel, i);
        if place != 0xffffffffu { sum += select(vec4f(), vec4f(pooled_gradient[place]), codes(argmax[place]) < vec4u(4u)); }
    }
    return sum;
}

fn store_bias(place: u32, word: u32) {
    var sum = vec4f();
    for (var thread = word; thread < THREADS; thread += 8u) { sum += biases[thread]; }
    for (var channel = 0u; channel < 4u; channel++) { partial[place + word * 4u + channel] = sum[channel]; }
}
