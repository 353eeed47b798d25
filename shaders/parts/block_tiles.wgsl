// Tiles in workgroup memory for 8 x 4 blocks of 2 x 2 pixels: 18 x 10 pixels around them, and the weights of nine taps, four terms of the
// sum at a time. A workgroup has 32 threads, one to a block, for each 16 of the channels that come out.
// use block

const ROWS = 10u;
const PAIRS = 12u; // to a row: nine, and three unused, so that the two rows of blocks that load together lie in different banks

var<workgroup> pixels: array<vec2f, 4u * ROWS * PAIRS>; // term, row, pair of columns
var<workgroup> taps: array<vec4f, 4u * 9u * 4u * ACROSS>; // term, tap, word

// Four terms of two neighbouring pixels, which go to four planes: a whole vector from one thread, since to store a part of one may be to
// store all of it.
fn stage_pixels(place: u32, left: vec4f, right: vec4f) {
    for (var k = 0u; k < 4u; k++) { pixels[k * ROWS * PAIRS + place] = vec2f(left[k], right[k]); }
}

// Adds a term's nine taps to a block, 16 channels from `word` on.
fn add_term(sums: ptr<function, Block>, k: u32, block: vec2u, word: u32) {
    let at = (k * ROWS + block.y * 2u) * PAIRS + block.x;
    let r0 = vec4f(pixels[at], pixels[at + 1u]);
    let r1 = vec4f(pixels[at + PAIRS], pixels[at + PAIRS + 1u]);
    let r2 = vec4f(pixels[at + 2u * PAIRS], pixels[at + 2u * PAIRS + 1u]);
    let r3 = vec4f(pixels[at + 3u * PAIRS], pixels[at + 3u * PAIRS + 1u]);
    let w = k * 36u * ACROSS + word;
    block_add(sums, tap_at(w), vec4f(r0.xy, r1.xy));
    block_add(sums, tap_at(w + 4u * ACROSS), vec4f(r0.yz, r1.yz));
    block_add(sums, tap_at(w + 8u * ACROSS), vec4f(r0.zw, r1.zw));
    block_add(sums, tap_at(w + 12u * ACROSS), vec4f(r1.xy, r2.xy));
    block_add(sums, tap_at(w + 16u * ACROSS), vec4f(r1.yz, r2.yz));
    block_add(sums, tap_at(w + 20u * ACROSS), vec4f(r1.zw, r2.zw));
    block_add(sums, tap_at(w + 24u * ACROSS), vec4f(r2.xy, r3.xy));
    block_add(sums, tap_at(w + 28u * ACROSS), vec4f(r2.yz, r3.yz));
    block_add(sums, tap_at(w + 32u * ACROSS), vec4f(r2.zw, r3.zw));
}

// A tap's weights of 16 channels.
fn tap_at(w: u32) -> mat4x4f {
    return mat4x4f(taps[w], taps[w + 1u], taps[w + 2u], taps[w + 3u]);
}
