// conv_block.backward_input on tiles in workgroup memory, for hardware (formula: backward_input_direct.wgsl).
// As forward_tiled.wgsl with inputs and outputs exchanged: a workgroup computes 8 x 4 blocks of 2 x 2 pixels x 16 * ACROSS input channels with
// 32 threads for each 16, one to a block. Per four output channels it expands the 10 x 6 pooling windows around its blocks to 18 x 10
// pixels of e, channel by channel, and stages the weights with their taps in reverse. Needs OUT_C divisible by 4 and IN_C by 16 * ACROSS.
override BATCH: u32;
override IN_H: u32;
override IN_W: u32;
override IN_C: u32;
override POOL_H: u32;
override POOL_W: u32;
override OUT_C: u32;
override WORDS: u32;
override ACROSS: u32;

@group(0) @binding(1) var<storage, read> pooled_gradient: array<vec4<Elem>>;
@group(0) @binding(2) var<storage, read> winner: array<u32>;
@group(0) @binding(3) var<storage, read> weights: array<vec4<Elem>>;
@group(0) @binding(4) var<storage, read_write> input_gradient: array<vec4<Elem>>;

const COLUMNS = 18u;
const ROWS = 10u;
const PAIRS = 12u; // to a row: nine, and three unused, so that the two rows of blocks that load together lie in different banks

var<workgroup> pixels: array<vec2f, 4u * ROWS * PAIRS>; // channel, row, pair of columns
var<workgroup> taps: array<vec4f, 4u * 9u * 4u * ACROSS>; // channel, tap in reverse, word

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
        for (var i = local; i < 60u; i += 32u * ACROSS) { stage_window(n, corner, from_word, i); }
        for (var i = local; i < 144u * ACROSS; i += 32u * ACROSS) { stage_weights(first, from_word, i); }
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

    let pixel = (corner + own) * 2u;
    let channel = first / 4u + word;
    store(n, pixel, channel, sums.q0);
    store(n, pixel + vec2u(1u, 0u), channel, sums.q1);
    store(n, pixel + vec2u(0u, 1u), channel, sums.q2);
    store(n, pixel + vec2u(1u, 1u), channel, sums.q3);
}

// Expands four channels of a window to its four pixels. The area starts one row above and one column left of the blocks: the first
// windows give their last row or column only, the last windows their first.
fn stage_window(n: u32, corner: vec2u, from_word: u32, i: u32) {
    let window = vec2u(i % 10u, i / 10u);
    let at = corner + window - 1u; // below zero wraps to a large number
    var gradient = vec4f();
    var code = vec4u(4u);
    if at.x < POOL_W && at.y < POOL_H {
        let place = ((n * POOL_H + at.y) * POOL_W + at.x) * WORDS + from_word;
        gradient = vec4f(pooled_gradient[place]);
        code = (vec4u(winner[place]) >> vec4u(0u, 8u, 16u, 24u)) & vec4u(255u);
    }
    for (var q = 0u; q < 4u; q++) {
        let pixel = window * 2u + vec2u(q % 2u, q / 2u) - 1u;
        if pixel.x >= COLUMNS || pixel.y >= ROWS { continue; }
        let e = select(vec4f(), gradient, code == vec4u(q));
        let place = pixel.y * PAIRS + pixel.x / 2u;
        for (var k = 0u; k < 4u; k++) { pixels[k * ROWS * PAIRS + place][pixel.x % 2u] = e[k]; }
    }
}

// Four output channels of an input channel and tap, which go to four planes.
fn stage_weights(first: u32, from_word: u32, i: u32) {
    let channel = i % (16u * ACROSS);
    let tap = i / (16u * ACROSS);
    let w = vec4f(weights[(tap * IN_C + first + channel) * WORDS + from_word]);
    for (var k = 0u; k < 4u; k++) { taps[(k * 9u + 8u - tap) * 4u * ACROSS + channel / 4u][channel % 4u] = w[k]; }
}

// The weights of 16 input channels.
fn tap_at(w: u32) -> mat4x4f {
    return mat4x4f(taps[w], taps[w + 1u], taps[w + 2u], taps[w + 3u]);
}

fn store(n: u32, at: vec2u, channel: u32, sums: mat4x4f) {
    if at.x >= IN_W || at.y >= IN_H { return; }
    let place = ((n * IN_H + at.y) * IN_W + at.x) * (IN_C / 4u) + channel;
    input_gradient[place] = vec4<Elem>(sums[0]);
    input_gradient[place + 1u] = vec4<Elem>(sums[1]);
    input_gradient[place + 2u] = vec4<Elem>(sums[2]);
    input_gradient[place + 3u] = vec4<Elem>(sums[3]);
}
