// conv_block.backward_weights of pictures, three input channels, for software adapters, first of two dispatches (formula:
// backward_weights_direct.wgsl): partial sums of a split, as in backward_weights_llvmpipe.wgsl.
// A subgroup computes one run of pooled rows x nine taps x three input channels x 16 output channels. Lane l takes output
// channels 4 * (l % 4)..; lanes 0-3 sum the left taps, lanes 4-7 the middle ones, all the right ones (lanes 4-7 in vain): 72
// sums a lane. Of each pooling window a lane loads four output channels' gradient and argmax codes, and two of the 4x4 input pixels that
// the window's taps touch; a shuffle fetches the pixel that won: 72 shuffles and multiply-adds, worth 216 of the
// convolution's, for a vec4 and seven scalars. Two windows pass together. reduce/splits_direct.wgsl adds the runs in order.
// Scratch: SPLITS rows of 27 * OUT_C weights, then OUT_C biases. Needs IN_C = 3 and OUT_C divisible by 16.
// use codes, index, pick
// vec4 pooled_gradient, partial

// A window: the lane's gradients, the lane of the pixel that won each, seen from the left tap or (lanes 4-7) the middle one,
// and the pixels of rows 0 and 1, 1 and 2, 2 and 3 of the patch, four to a row, one in each lane.
struct Window { gradient: vec4f, source: vec4u, upper: vec3f, middle: vec3f, lower: vec3f }

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = (flat_group(group, groups) * 64u + local) / 8u;
    let lane = local % 8u;
    let tiles = OUT_C / 16u;
    // subgroups past the last have an empty run
    let word = id % tiles * 4u + lane % 4u;
    let split = id / tiles;

    // a row of taps: left or middle ones, and right ones; column i of a matrix: input channel i, four output channels
    var upper = mat3x4f();
    var upper_right = mat3x4f();
    var middle = mat3x4f();
    var middle_right = mat3x4f();
    var lower = mat3x4f();
    var lower_right = mat3x4f();
    var bias = vec4f();
    let last = min((split + 1u) * SPLIT_ROWS, BATCH * POOL_H);
    for (var row = split * SPLIT_ROWS; row < last; row++) {
        for (var px = 0u; px < POOL_W; px += 2u) {
            let a = load(row, px, word, lane);
            let b = load(row, px + 1u, word, lane);
            let a_right = a.source + select(2u, 1u, lane > 3u);
            let b_right = b.source + select(2u, 1u, lane > 3u);
            upper = tap(tap(upper, a.gradient, a.upper, a.source), b.gradient, b.upper, b.source);
            upper_right = tap(tap(upper_right, a.gradient, a.upper, a_right), b.gradient, b.upper, b_right);
            middle = tap(tap(middle, a.gradient, a.middle, a.source), b.gradient, b.middle, b.source);
            middle_right = tap(tap(middle_right, a.gradient, a.middle, a_right), b.gradient, b.middle, b_right);
            lower = tap(tap(lower, a.gradient, a.lower, a.source), b.gradient, b.lower, b.source);
            lower_right = tap(tap(lower_right, a.gradient, a.lower, a_right), b.gradient, b.lower, b_right);
            bias += a.gradient + b.gradient;
        }
    }
    if split >= SPLITS { return; }
    let base = split * 28u * WORDS + word;
    let place = base + select(0u, 3u, lane > 3u) * WORDS;
    store(place, upper);
    store(place + 9u * WORDS, middle);
    store(place + 18u * WORDS, lower);
    if lane > 3u { return; }
    store(base + 6u * WORDS, upper_right);
    store(base + 15u * WORDS, middle_right);
    store(base + 24u * WORDS, lower_right);
    partial[base + 27u * WORDS] = bias;
}

// A window; right of the last there is one without gradient.
fn load(row: u32, px: u32, word: u32, lane: u32) -> Window {
    let there = px < POOL_W;
    let place = (row * POOL_W + select(0u, px, there)) * WORDS + word;
    let code = codes(argmax[place]);
    let gradient = select(vec4f(), pooled_gradient[place], code < vec4u(4u) & vec4<bool>(there));
    let y = row % POOL_H * 2u + lane / 4u - 1u; // above the image wraps to a large number
    let x = px * 2u + lane % 4u - 1u;
    let upper = pixel(row / POOL_H, y, x);
    let lower = pixel(row / POOL_H, y + 2u, x);
    let middle = select(subgroupShuffleXor(lower, 4u), subgroupShuffleXor(upper, 4u), lane < 4u);
    return Window(gradient, (code & vec4u(2u)) * 2u + (code & vec4u(1u)) + lane / 4u, upper, middle, lower);
}

// A pixel, zero outside the image.
fn pixel(n: u32, y: u32, x: u32) -> vec3f {
    let inside = y < IN_H && x < IN_W;
    let place = select(0u, ((n * IN_H + y) * IN_W + x) * 3u, inside);
    return select(vec3f(), vec3f(input[place], input[place + 1u], input[place + 2u]), inside);
}

// One tap of a window: three input channels x four output channels.
fn tap(sums: mat3x4f, gradient: vec4f, pixels: vec3f, source: vec4u) -> mat3x4f {
    return mat3x4f(fma(gradient, pick(pixels.x, source), sums[0]), fma(gradient, pick(pixels.y, source), sums[1]),
        fma(gradient, pick(pixels.z, source), sums[2]));
}

// Three input channels x four output channels.
fn store(place: u32, sums: mat3x4f) {
    partial[place] = sums[0];
    partial[place + WORDS] = sums[1];
    partial[place + 2u * WORDS] = sums[2];
}
