// conv_block.forward on tiles in workgroup memory, for hardware (formula: forward_direct.wgsl).
// A workgroup computes 8 x 4 windows x 16 * ACROSS output channels with 32 threads for each 16, one to a window: its four pixels x 16
// channels are 64 sums in registers, and it pools them itself. Per four input channels the workgroup stages the 18 x 10 pixels around its
// windows, channel by channel, and the weights. Per input channel a thread then reads 8 pairs of pixels, of which neighbouring
// threads share half, and 36 vec4 of weights, all threads of 32 the same: 576 multiply-adds for 44 loads from workgroup memory, and for 1.5 to 2.5
// loads of its own from storage. Needs IN_C divisible by 4 and OUT_C by 16 * ACROSS.
// use block_tiles, index, store_window
// vec4 input, weights, bias

@compute @workgroup_size(32u * ACROSS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups);
    let blocks_x = (POOL_W + 7u) / 8u;
    let blocks_y = (POOL_H + 3u) / 4u;
    let stripes = OUT_C / (16u * ACROSS);
    if id >= BATCH * blocks_y * blocks_x * stripes { return; }
    let block = id / stripes;
    let n = block / (blocks_x * blocks_y);
    let corner = vec2u(block % blocks_x * 8u, block / blocks_x % blocks_y * 4u); // in windows
    let first_word = id % stripes * 4u * ACROSS;
    let own = vec2u(local % 8u, local / 8u % 4u); // window
    let word = local / 32u * 4u;

    let b = first_word + word;
    let start = mat4x4f(bias[b], bias[b + 1u], bias[b + 2u], bias[b + 3u]);
    var sums = Block(start, start, start, start);
    for (var channel = 0u; channel < IN_C; channel += 4u) {
        workgroupBarrier();
        for (var i = local; i < ROWS * 9u; i += 32u * ACROSS) { stage_pair(n, corner * 2u, channel, i); }
        for (var i = local; i < 144u * ACROSS; i += 32u * ACROSS) {
            let tap = i / (4u * ACROSS); // of 9, four channels one after the other
            taps[i] = vec4f(weights[(tap % 9u * IN_C + channel + tap / 9u) * WORDS + first_word + i % (4u * ACROSS)]);
        }
        workgroupBarrier();
        for (var k = 0u; k < 4u; k++) { add_term(&sums, k, own, word); }
    }

    let window = corner + own;
    if window.x >= POOL_W || window.y >= POOL_H { return; }
    let place = ((n * POOL_H + window.y) * POOL_W + window.x) * WORDS + b;
    store_window(place, sums.q0[0], sums.q1[0], sums.q2[0], sums.q3[0]);
    store_window(place + 1u, sums.q0[1], sums.q1[1], sums.q2[1], sums.q3[1]);
    store_window(place + 2u, sums.q0[2], sums.q1[2], sums.q2[2], sums.q3[2]);
    store_window(place + 3u, sums.q0[3], sums.q1[3], sums.q2[3], sums.q3[3]);
}

// Four channels of two neighbouring pixels. The area starts one row above and one column left of the windows.
fn stage_pair(n: u32, corner: vec2u, channel: u32, i: u32) {
    let at = corner + vec2u(i % 9u * 2u, i / 9u) - 1u; // below zero wraps to a large number
    let left = load(n, at, channel);
    let right = load(n, at + vec2u(1u, 0u), channel);
    stage_pixels(i / 9u * PAIRS + i % 9u, left, right);
}

// Four channels of a pixel, zero outside the image.
fn load(n: u32, at: vec2u, channel: u32) -> vec4f {
    if at.x >= IN_W || at.y >= IN_H { return vec4f(); }
    return vec4f(input[(((n * IN_H + at.y) * IN_W + at.x) * IN_C + channel) / 4u]);
}
