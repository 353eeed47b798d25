// conv_block.backward_weights for software adapters, first of two dispatches (formula: backward_weights_direct.wgsl): partial
// sums of a split. Subgroups of 8, where a load is a loop over the lanes and a shuffle costs next to nothing.
// A subgroup computes one run of pooled rows x nine taps x 4 input channels x 32 output channels, each lane four of those:
// 144 sums a lane. Of each pooling window a lane loads four output channels' gradient and argmax codes, and one or two of the
// 4x4 input pixels that the window's taps touch. As every output channel has one argmax among the window's four pixels, it
// takes one product for each tap, not four, and a shuffle fetches the pixel from the lane that holds it: 144 shuffles and
// multiply-adds, worth 576 of the convolution's, for four loads. Two windows pass together.
// The subgroups of the first input channels also sum the bias. reduce/splits_direct.wgsl adds the runs in order.
// Scratch: SPLITS rows of 9 * IN_C * OUT_C weights, then OUT_C biases. Needs IN_C divisible by 4 and OUT_C by 32.
// use codes, index, pick
// vec4 input, pooled_gradient, partial

// A window: the lane's gradients, the lane of the pixel that won each, and the pixels of rows 0 and 1, 1 and 2, 2 and 3
// of the patch, four to a row, one in each lane.
struct Window { gradient: vec4f, source: vec4u, upper: vec4f, middle: vec4f, lower: vec4f }

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = (flat_group(group, groups) * 64u + local) / 8u;
    let lane = local % 8u;
    let in_tiles = IN_C / 4u;
    let out_tiles = OUT_C / 32u;
    // subgroups past the last have an empty run
    let word = id / in_tiles % out_tiles * 8u + lane;
    let ic = id % in_tiles;
    let split = id / (in_tiles * out_tiles);

    // column i of a matrix: input channel i, four output channels
    var t0 = mat4x4f();
    var t1 = mat4x4f();
    var t2 = mat4x4f();
    var t3 = mat4x4f();
    var t4 = mat4x4f();
    var t5 = mat4x4f();
    var t6 = mat4x4f();
    var t7 = mat4x4f();
    var t8 = mat4x4f();
    var bias = vec4f();
    let last = min((split + 1u) * SPLIT_ROWS, BATCH * POOL_H);
    for (var row = split * SPLIT_ROWS; row < last; row++) {
        for (var px = 0u; px < POOL_W; px += 2u) {
            let a = load(row, px, word, ic, lane);
            let b = load(row, px + 1u, word, ic, lane);
            t0 = tap(tap(t0, a, a.upper, 0u), b, b.upper, 0u);
            t1 = tap(tap(t1, a, a.upper, 1u), b, b.upper, 1u);
            t2 = tap(tap(t2, a, a.upper, 2u), b, b.upper, 2u);
            t3 = tap(tap(t3, a, a.middle, 0u), b, b.middle, 0u);
            t4 = tap(tap(t4, a, a.middle, 1u), b, b.middle, 1u);
            t5 = tap(tap(t5, a, a.middle, 2u), b, b.middle, 2u);
            t6 = tap(tap(t6, a, a.lower, 0u), b, b.lower, 0u);
            t7 = tap(tap(t7, a, a.lower, 1u), b, b.lower, 1u);
            t8 = tap(tap(t8, a, a.lower, 2u), b, b.lower, 2u);
            bias += a.gradient + b.gradient;
        }
    }
    if split >= SPLITS { return; }
    let base = split * (9u * IN_C + 1u) * WORDS + word;
    let place = base + ic * 4u * WORDS;
    store(place, t0);
    store(place + IN_C * WORDS, t1);
    store(place + 2u * IN_C * WORDS, t2);
    store(place + 3u * IN_C * WORDS, t3);
    store(place + 4u * IN_C * WORDS, t4);
    store(place + 5u * IN_C * WORDS, t5);
    store(place + 6u * IN_C * WORDS, t6);
    store(place + 7u * IN_C * WORDS, t7);
    store(place + 8u * IN_C * WORDS, t8);
    if ic == 0u { partial[base + 9u * IN_C * WORDS] = bias; }
}

// A window; right of the last there is one without gradient.
fn load(row: u32, px: u32, word: u32, ic: u32, lane: u32) -> Window {
    let there = px < POOL_W;
    let place = (row * POOL_W + select(0u, px, there)) * WORDS + word;
    let code = codes(argmax[place]);
    let gradient = select(vec4f(), pooled_gradient[place], code < vec4u(4u) & vec4<bool>(there));
    let y = row % POOL_H * 2u + lane / 4u - 1u; // above the image wraps to a large number
    let x = px * 2u + lane % 4u - 1u;
    let upper = pixel(row / POOL_H, y, x, ic);
    let lower = pixel(row / POOL_H, y + 2u, x, ic);
    let middle = select(subgroupShuffleXor(lower, 4u), subgroupShuffleXor(upper, 4u), lane < 4u);
    return Window(gradient, (code & vec4u(2u)) * 2u + (code & vec4u(1u)), upper, middle, lower);
}

// Four channels of a pixel, zero outside the image.
fn pixel(n: u32, y: u32, x: u32, ic: u32) -> vec4f {
    let inside = y < IN_H && x < IN_W;
    let place = ((n * IN_H + y) * IN_W + x) * (IN_C / 4u) + ic;
    return select(vec4f(), input[select(0u, place, inside)], inside);
}

// One tap of a window: four input channels x four output channels.
fn tap(sums: mat4x4f, w: Window, pixels: vec4f, kx: u32) -> mat4x4f {
    let s = w.source + kx;
    return mat4x4f(
        fma(w.gradient, pick(pixels.x, s), sums[0]), fma(w.gradient, pick(pixels.y, s), sums[1]),
        fma(w.gradient, pick(pixels.z, s), sums[2]), fma(w.gradient, pick(pixels.w, s), sums[3]));
}

// Four input channels x four output channels.
fn store(place: u32, sums: mat4x4f) {
    partial[place] = sums[0];
    partial[place + WORDS] = sums[1];
    partial[place + 2u * WORDS] = sums[2];
    partial[place + 3u * WORDS] = sums[3];
}
