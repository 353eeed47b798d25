// conv_block.backward_weights, first of two dispatches (formula: backward_weights_direct.wgsl): partial sums of a split.
// The pooled rows of the batch are cut into SPLITS equal runs, a number fixed by the shapes. One thread computes one run x
// one tap x 4 input channels x 16 output channels: 64 sums in registers. Per pooled pixel it reads 16 gradients and argmax codes
// and four input pixels x 4 channels, and expands the gradients as it goes: 256 multiply-adds for 20 vec4-sized loads.
// The thread of tap 4 and the first input channels also sums the bias. reduce/splits_direct.wgsl adds the runs in order.
// Scratch: SPLITS rows of 9 * IN_C * OUT_C weights, then OUT_C biases. Needs OUT_C divisible by 16.
// use codes, index
// vec4 pooled_gradient, partial

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    let in_tiles = (IN_C + 3u) / 4u;
    let out_tiles = OUT_C / 16u;
    if id >= SPLITS * 9u * out_tiles * in_tiles { return; }
    let ic = id % in_tiles * 4u;
    let out_tile = id / in_tiles % out_tiles;
    let tap = id / (in_tiles * out_tiles) % 9u;
    let split = id / (in_tiles * out_tiles * 9u);

    // column j of matrix g: input channel j, output channels 4g..4g+3
    var g0 = mat4x4f();
    var g1 = mat4x4f();
    var g2 = mat4x4f();
    var g3 = mat4x4f();
    var bias = mat4x4f();
    let last = min((split + 1u) * SPLIT_ROWS, BATCH * POOL_H);
    for (var row = split * SPLIT_ROWS; row < last; row++) {
        let n = row / POOL_H;
        let y = row % POOL_H * 2u + tap / 3u - 1u; // above the image wraps to a large number
        for (var px = 0u; px < POOL_W; px++) {
            let x = px * 2u + tap % 3u - 1u;
            let x0 = load(n, y, x, ic);
            let x1 = load(n, y, x + 1u, ic);
            let x2 = load(n, y + 1u, x, ic);
            let x3 = load(n, y + 1u, x + 1u, ic);
            let place = (row * POOL_W + px) * WORDS + out_tile * 4u;
            bias[0] += accumulate(&g0, place, x0, x1, x2, x3);
            bias[1] += accumulate(&g1, place + 1u, x0, x1, x2, x3);
            bias[2] += accumulate(&g2, place + 2u, x0, x1, x2, x3);
            bias[3] += accumulate(&g3, place + 3u, x0, x1, x2, x3);
        }
    }

    let columns = OUT_C / 4u;
    let base = split * (9u * IN_C + 1u) * columns + out_tile * 4u;
    for (var j = 0u; j < min(4u, IN_C - ic); j++) {
        let place = base + (tap * IN_C + ic + j) * columns;
        partial[place] = g0[j];
        partial[place + 1u] = g1[j];
        partial[place + 2u] = g2[j];
        partial[place + 3u] = g3[j];
    }
    if tap == 4u && ic == 0u {
        for (var g = 0u; g < 4u; g++) { partial[base + 9u * IN_C * columns + g] = bias[g]; }
    }
}

// Four input channels of a pixel, zero outside the image and beyond IN_C.
fn load(n: u32, y: u32, x: u32, ic: u32) -> vec4f {
    if y >= IN_H || x >= IN_W { return vec4f(); }
    let place = ((n * IN_H + y) * IN_W + x) * IN_C;
    let channel = ic + vec4u(0u, 1u, 2u, 3u);
    let at = place + min(channel, vec4u(IN_C - 1u));
    return select(vec4f(), vec4f(f32(input[at.x]), f32(input[at.y]), f32(input[at.z]), f32(input[at.w])), channel < vec4u(IN_C));
}

// Adds the window's outer product of inputs and expanded gradients; returns the gradient that passed the relu. Each output
// channel has one argmax, so its input is picked first and multiplied once, instead of four products with three zeros.
fn accumulate(sums: ptr<function, mat4x4f>, place: u32, x0: vec4f, x1: vec4f, x2: vec4f, x3: vec4f) -> vec4f {
    let code = codes(argmax[place]);
    let gradient = select(vec4f(), vec4f(pooled_gradient[place]), code < vec4u(4u));
    let second = code == vec4u(1u);
    let third = code == vec4u(2u);
    let fourth = code == vec4u(3u);
    (*sums)[0] += gradient * select(select(select(vec4f(x0.x), vec4f(x1.x), second), vec4f(x2.x), third), vec4f(x3.x), fourth);
    (*sums)[1] += gradient * select(select(select(vec4f(x0.y), vec4f(x1.y), second), vec4f(x2.y), third), vec4f(x3.y), fourth);
    (*sums)[2] += gradient * select(select(select(vec4f(x0.z), vec4f(x1.z), second), vec4f(x2.z), third), vec4f(x3.z), fourth);
    (*sums)[3] += gradient * select(select(select(vec4f(x0.w), vec4f(x1.w), second), vec4f(x2.w), third), vec4f(x3.w), fourth);
    return gradient;
}
