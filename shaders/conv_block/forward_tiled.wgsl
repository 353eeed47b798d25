// conv_block.forward on tiles in workgroup memory, for hardware (formula: forward_direct.wgsl).
// A workgroup computes 8 x 4 windows x 16 * ACROSS output channels with 32 threads for each 16, one to a window: its four pixels x 16
// channels are 64 sums in registers, and it pools them itself. Per four input channels the workgroup stages the 18 x 10 pixels around its
// windows, channel by channel, and the weights. Per input channel a thread then reads 8 pairs of pixels, of which neighbouring
// threads share half, and 36 vec4 of weights, all threads of 32 the same: 576 multiply-adds for 44 loads from workgroup memory, and for 1.5 to 2.5
// loads of its own from storage. Needs IN_C divisible by 4 and OUT_C by 16 * ACROSS.
// use block, index, pool
// vec4 input, weights, bias, pooled

const ROWS = 10u;
const PAIRS = 12u; // to a row: nine, and three unused, so that the two rows of windows that load together lie in different banks

var<workgroup> pixels: array<vec2f, 4u * ROWS * PAIRS>; // channel, row, pair of columns
var<workgroup> taps: array<vec4f, 4u * 9u * 4u * ACROSS>; // channel, tap, word

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
        for (var k = 0u; k < 4u; k++) {
            let at = (k * ROWS + own.y * 2u) * PAIRS + own.x;
            let r0 = vec4f(pixels[at], pixels[at + 1u]);
            let r1 = vec4f(pixels[at + PAIRS], pixels[at + PAIRS + 1u]);
            let r2 = vec4f(pixels[at + 2u * PAIRS], pixels[at + 2u * PAIRS + 1u]);
            let r3 = vec4f(pixels[at + 3u * PAIRS], pixels[at + 3u * PAIRS + 1u]);
            let w = k * 36u * ACROSS + word;
            block_add(&sums, tap_at(w), vec4f(r0.xy, r1.xy));
            block_add(&sums, tap_at(w + 4u * ACROSS), vec4f(r0.yz, r1.yz));
            block_add(&sums, tap_at(w + 8u * ACROSS), vec4f(r0.zw, r1.zw));
            block_add(&sums, tap_at(w + 12u * ACROSS), vec4f(r1.xy, r2.xy));
            block_add(&sums, tap_at(w + 16u * ACROSS), vec4f(r1.yz, r2.yz));
            block_add(&sums, tap_at(w + 20u * ACROSS), vec4f(r1.zw, r2.zw));
            block_add(&sums, tap_at(w + 24u * ACROSS), vec4f(r2.xy, r3.xy));
            block_add(&sums, tap_at(w + 28u * ACROSS), vec4f(r2.yz, r3.yz));
            block_add(&sums, tap_at(w + 32u * ACROSS), vec4f(r2.zw, r3.zw));
        }
    }

    let window = corner + own;
    if window.x >= POOL_W || window.y >= POOL_H { return; }
    let place = ((n * POOL_H + window.y) * POOL_W + window.x) * WORDS + b;
    store(place, pool_window(sums.q0[0], sums.q1[0], sums.q2[0], sums.q3[0]));
    store(place + 1u, pool_window(sums.q0[1], sums.q1[1], sums.q2[1], sums.q3[1]));
    store(place + 2u, pool_window(sums.q0[2], sums.q1[2], sums.q2[2], sums.q3[2]));
    store(place + 3u, pool_window(sums.q0[3], sums.q1[3], sums.q2[3], sums.q3[3]));
}

// Four channels of two neighbouring pixels, which go to four planes: a whole vector from one thread, since to store a part of one may be to
// store all of it. The area starts one row above and one column left of the windows.
fn stage_pair(n: u32, corner: vec2u, channel: u32, i: u32) {
    let at = corner + vec2u(i % 9u * 2u, i / 9u) - 1u; // below zero wraps to a large number
    let left = load(n, at, channel);
    let right = load(n, at + vec2u(1u, 0u), channel);
    let place = i / 9u * PAIRS + i % 9u;
    for (var k = 0u; k < 4u; k++) { pixels[k * ROWS * PAIRS + place] = vec2f(left[k], right[k]); }
}

// Four channels of a pixel, zero outside the image.
fn load(n: u32, at: vec2u, channel: u32) -> vec4f {
    if at.x >= IN_W || at.y >= IN_H { return vec4f(); }
    return vec4f(input[(((n * IN_H + at.y) * IN_W + at.x) * IN_C + channel) / 4u]);
}

// The weights of 16 output channels.
fn tap_at(w: u32) -> mat4x4f {
    return mat4x4f(taps[w], taps[w + 1u], taps[w + 2u], taps[w + 3u]);
}

fn store(place: u32, window: Pooled) {
    pooled[place] = vec4<Elem>(window.value);
    argmax[place] = window.argmax;
}
