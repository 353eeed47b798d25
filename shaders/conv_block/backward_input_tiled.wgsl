// conv_block.backward_input on tiles in workgroup memory, for hardware (formula: backward_input_direct.wgsl).
// As forward_tiled.wgsl with inputs and outputs exchanged: a workgroup computes 8 x 4 blocks of 2 x 2 pixels x 16 * ACROSS input channels with
// 32 threads for each 16, one to a block. Per four output channels it expands the 10 x 6 pooling windows around its blocks to 18 x 10
// pixels of e, channel by channel, and stages the weights with their taps in reverse. Needs OUT_C divisible by 4 and IN_C by 16 * ACROSS.
// use block_tiles, codes, four_weights, index
// vec4 pooled_gradient, input_gradient

@compute @workgroup_size(32u * ACROSS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups);
    let blocks_x = (IN_W + 15u) / 16u;
    let blocks_y = (IN_H + 7u) / 8u;
    let stripes = IN_C / (16u * ACROSS);
    if id >= BATCH * blocks_y * blocks_x * stripes { return; }
    let block = id / stripes;
    let n = block / (blocks_x * blocks_y);
    let corner = vec2u(block % blocks_x * 8u, block / blocks_x % blocks_y * 4u); // in windows
    let first = id % stripes * 16u * ACROSS; // input channel
    let own = vec2u(local % 8u, local / 8u % 4u); // block
    let word = local / 32u * 4u;

    var sums = Block();
    for (var from_word = 0u; from_word < WORDS; from_word++) {
        workgroupBarrier();
        for (var i = local; i < ROWS * 9u; i += 32u * ACROSS) { stage_pair(n, corner, from_word, i); }
        for (var i = local; i < 36u * ACROSS; i += 32u * ACROSS) { stage_weights(first, from_word, i); }
        workgroupBarrier();
        for (var k = 0u; k < 4u; k++) { add_term(&sums, k, own, word); }
    }

    let pixel = (corner + own) * 2u;
    let channel = first / 4u + word;
    store(n, pixel, channel, sums.q0);
    store(n, pixel + vec2u(1u, 0u), channel, sums.q1);
    store(n, pixel + vec2u(0u, 1u), channel, sums.q2);
    store(n, pixel + vec2u(1u, 1u), channel, sums.q3);
}

// Four channels of e of two neighbouring pixels. The area starts one row above and one column left of the blocks: pixels of even columns and rows are the right
// and lower ones of their windows.
fn stage_pair(n: u32, corner: vec2u, from_word: u32, i: u32) {
    let pair = i % 9u;
    let y = i / 9u;
    let q = (1u - y % 2u) * 2u;
    let row = corner.y + (y + 1u) / 2u - 1u; // of windows; below zero wraps to a large number
    let left = expand(n, vec2u(corner.x + pair - 1u, row), from_word, q + 1u);
    let right = expand(n, vec2u(corner.x + pair, row), from_word, q);
    stage_pixels(y * PAIRS + pair, left, right);
}

// What a window hands to its pixel q, four channels; nothing outside the pooled image.
fn expand(n: u32, at: vec2u, from_word: u32, q: u32) -> vec4f {
    if at.x >= POOL_W || at.y >= POOL_H { return vec4f(); }
    let place = ((n * POOL_H + at.y) * POOL_W + at.x) * WORDS + from_word;
    let code = codes(argmax[place]);
    return select(vec4f(), vec4f(pooled_gradient[place]), code == vec4u(q));
}

// Four output channels of four input channels and a tap, which go to four planes.
fn stage_weights(first: u32, from_word: u32, i: u32) {
    let channel = i % (4u * ACROSS);
    let tap = i / (4u * ACROSS);
    let place = (tap * IN_C + first + channel * 4u) * WORDS + from_word;
    let w = transpose(four_weights(place, WORDS));
    let at = (8u - tap) * 4u * ACROSS + channel;
    taps[at] = w[0];
    taps[at + 36u * ACROSS] = w[1];
    taps[at + 72u * ACROSS] = w[2];
    taps[at + 108u * ACROSS] = w[3];
}

fn store(n: u32, at: vec2u, channel: u32, sums: mat4x4f) {
    if at.x >= IN_W || at.y >= IN_H { return; }
    let place = ((n * IN_H + at.y) * IN_W + at.x) * (IN_C / 4u) + channel;
    input_gradient[place] = vec4<Elem>(sums[0]);
    input_gradient[place + 1u] = vec4<Elem>(sums[1]);
    input_gradient[place + 2u] = vec4<Elem>(sums[2]);
    input_gradient[place + 3u] = vec4<Elem>(sums[3]);
}
