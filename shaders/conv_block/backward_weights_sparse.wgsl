// conv_block.backward_weights without its zeros, first of two dispatches (formula: backward_weights_direct.wgsl): partial sums of
// a split. Of a window's four pixels one has a gradient, or none: a branch on the argmax makes nine products, one for each tap,
// where a convolution makes 36. The branch is the same for all input channels, and neighbouring threads hold those.
// A workgroup computes IN_TILE input channels x 32 output channels over a run of segments of eight windows of a pooled row, whose 4 x
// 18 inputs and gradients it stages; a thread has one input channel, eight output channels and nine taps: 72 sums. From one
// window to the next it reads two columns of four inputs; the other two it has. Per output channel and window that is a branch,
// nine multiply-adds and 1.5 loads from workgroup memory.
// The segments of the batch are cut into SPLITS equal runs of SPLIT_ROWS, a number fixed by the shapes. The workgroups of the first input
// channels also sum the bias, in the threads that stage gradients. reduce/splits_shared.wgsl adds the runs in order.
// Scratch: SPLITS rows of 9 * IN_C * OUT_C weights, then OUT_C biases. Needs IN_C divisible by IN_TILE, OUT_C by 32.
// use codes, index
// vec4 pooled_gradient, partial

const WINDOWS = 8u;
const COLUMNS = 2u * WINDOWS + 2u;

var<workgroup> inputs: array<f32, 4u * COLUMNS * IN_TILE>; // column by column, four rows each, of all input channels
var<workgroup> gradients: array<vec4f, WINDOWS * 8u>;
var<workgroup> words: array<u32, WINDOWS * 8u>; // of argmax codes

@compute @workgroup_size(IN_TILE * 4u)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups);
    let in_blocks = IN_C / IN_TILE;
    let out_blocks = OUT_C / 32u;
    if id >= SPLITS * in_blocks * out_blocks { return; }
    let first = id % in_blocks * IN_TILE; // input channel
    let first_word = id / in_blocks % out_blocks * 8u;
    let split = id / (in_blocks * out_blocks);
    let ic = local % IN_TILE;
    let word = local / IN_TILE * 2u; // of the block's eight

    // of an output channel: column kx, row ky
    var s0 = mat3x3f();
    var s1 = mat3x3f();
    var s2 = mat3x3f();
    var s3 = mat3x3f();
    var s4 = mat3x3f();
    var s5 = mat3x3f();
    var s6 = mat3x3f();
    var s7 = mat3x3f();
    var bias = vec4f();
    let across = (POOL_W + WINDOWS - 1u) / WINDOWS;
    for (var i = 0u; i < SPLIT_ROWS; i++) {
        let segment = split * SPLIT_ROWS + i; // past the last: an image past the last, without gradients
        let row = segment / across;
        let px = segment % across * WINDOWS;
        workgroupBarrier();
        for (var k = local; k < 4u * COLUMNS * IN_TILE; k += IN_TILE * 4u) { stage_input(row, px, first, k); }
        if local < WINDOWS * 8u { bias += stage_gradient(row, px, first_word, local); }
        workgroupBarrier();
        var seen = mat4x4f(vec4f(), vec4f(), column(0u, ic), column(1u, ic)); // column x, row y
        for (var w = 0u; w < WINDOWS; w++) {
            seen = mat4x4f(seen[2], seen[3], column(2u * w + 2u, ic), column(2u * w + 3u, ic));
            let a = gradients[w * 8u + word];
            let b = gradients[w * 8u + word + 1u];
            let won_a = words[w * 8u + word];
            let won_b = words[w * 8u + word + 1u];
            s0 = add(s0, seen, won_a & 255u, a.x);
            s1 = add(s1, seen, (won_a >> 8u) & 255u, a.y);
            s2 = add(s2, seen, (won_a >> 16u) & 255u, a.z);
            s3 = add(s3, seen, won_a >> 24u, a.w);
            s4 = add(s4, seen, won_b & 255u, b.x);
            s5 = add(s5, seen, (won_b >> 8u) & 255u, b.y);
            s6 = add(s6, seen, (won_b >> 16u) & 255u, b.z);
            s7 = add(s7, seen, won_b >> 24u, b.w);
        }
    }

    let base = split * (9u * IN_C + 1u) * WORDS + first_word;
    let place = base + (first + ic) * WORDS + word;
    store(place, s0[0], s1[0], s2[0], s3[0], s4[0], s5[0], s6[0], s7[0]);
    store(place + IN_C * WORDS, s0[1], s1[1], s2[1], s3[1], s4[1], s5[1], s6[1], s7[1]);
    store(place + 2u * IN_C * WORDS, s0[2], s1[2], s2[2], s3[2], s4[2], s5[2], s6[2], s7[2]);
    if first > 0u { return; }
    workgroupBarrier();
    if local < WINDOWS * 8u { gradients[local] = bias; }
    workgroupBarrier();
    if local < 8u {
        var sum = vec4f();
        for (var w = 0u; w < WINDOWS; w++) { sum += gradients[w * 8u + local]; }
        partial[base + 9u * IN_C * WORDS + local] = sum;
    }
}

// Number k of the segment's inputs, which start one row above and one column left of its windows; zero outside the image.
fn stage_input(row: u32, px: u32, first: u32, k: u32) {
    let pixel = k / IN_TILE;
    let y = row % POOL_H * 2u + pixel % 4u - 1u; // above the image wraps to a large number
    let x = px * 2u + pixel / 4u - 1u;
    let n = row / POOL_H;
    var value = 0.0;
    if n < BATCH && y < IN_H && x < IN_W { value = f32(input[((n * IN_H + y) * IN_W + x) * IN_C + first + k % IN_TILE]); }
    inputs[k] = value;
}

// Word i % 8 of window i / 8 of the segment; returns what of its gradient passed the relu.
fn stage_gradient(row: u32, px: u32, first_word: u32, i: u32) -> vec4f {
    let there = row < BATCH * POOL_H && px + i / 8u < POOL_W;
    let place = select(0u, (row * POOL_W + px + i / 8u) * WORDS + first_word + i % 8u, there);
    let gradient = vec4f(pooled_gradient[place]);
    let code = select(0x04040404u, argmax[place], there);
    gradients[i] = gradient;
    words[i] = code;
    let closed = codes(code) == vec4u(4u);
    return select(gradient, vec4f(), closed);
}

// Four rows of a staged column.
fn column(x: u32, ic: u32) -> vec4f {
    let place = x * 4u * IN_TILE + ic;
    return vec4f(inputs[place], inputs[place + IN_TILE], inputs[place + 2u * IN_TILE], inputs[place + 3u * IN_TILE]);
}

// One window of one output channel: the nine inputs around the pixel that won, times its gradient.
fn add(sums: mat3x3f, p: mat4x4f, won: u32, g: f32) -> mat3x3f {
    switch won {
        case 0u: { return mat3x3f(sums[0] + p[0].xyz * g, sums[1] + p[1].xyz * g, sums[2] + p[2].xyz * g); }
        case 1u: { return mat3x3f(sums[0] + p[1].xyz * g, sums[1] + p[2].xyz * g, sums[2] + p[3].xyz * g); }
        case 2u: { return mat3x3f(sums[0] + p[0].yzw * g, sums[1] + p[1].yzw * g, sums[2] + p[2].yzw * g); }
        case 3u: { return mat3x3f(sums[0] + p[1].yzw * g, sums[1] + p[2].yzw * g, sums[2] + p[3].yzw * g); }
        default: { return sums; }
    }
}

// The three rows of a column of taps, of eight output channels.
fn store(place: u32, t0: vec3f, t1: vec3f, t2: vec3f, t3: vec3f, t4: vec3f, t5: vec3f, t6: vec3f, t7: vec3f) {
    let next = 3u * IN_C * WORDS;
    partial[place] = vec4f(t0.x, t1.x, t2.x, t3.x);
    partial[place + 1u] = vec4f(t4.x, t5.x, t6.x, t7.x);
    partial[place + next] = vec4f(t0.y, t1.y, t2.y, t3.y);
    partial[place + next + 1u] = vec4f(t4.y, t5.y, t6.y, t7.y);
    partial[place + 2u * next] = vec4f(t0.z, t1.z, t2.z, t3.z);
    partial[place + 2u * next + 1u] = vec4f(t4.z, t5.z, t6.z, t7.z);
}
