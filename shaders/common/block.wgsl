// A block of 2 x 2 pixels x 16 channels in registers, summed up tap by tap, and the maximum of its four pixels.
// Column g of a matrix holds channels 4g..4g+3 of a pixel.
struct Block { q0: mat4x4f, q1: mat4x4f, q2: mat4x4f, q3: mat4x4f }

// One tap: the weights of 16 channels, and what the tap sees from each of the four pixels.
fn block_add(sums: ptr<function, Block>, w: mat4x4f, x: vec4f) {
    (*sums).q0 += w * x.x;
    (*sums).q1 += w * x.y;
    (*sums).q2 += w * x.z;
    (*sums).q3 += w * x.w;
}

// Four channels of a pooled window, and who won: a code of four channels to a byte each.
struct Pooled { value: vec4f, winner: u32 }

// Relu and max of a window's four pixels; only a larger value takes the window over, so the first maximum wins, and 4 stays where
// relu closes it.
fn pool_window(y0: vec4f, y1: vec4f, y2: vec4f, y3: vec4f) -> Pooled {
    var best = vec4f(0.0);
    var code = vec4u(4u);
    code = select(code, vec4u(0u), y0 > best); best = select(best, y0, y0 > best);
    code = select(code, vec4u(1u), y1 > best); best = select(best, y1, y1 > best);
    code = select(code, vec4u(2u), y2 > best); best = select(best, y2, y2 > best);
    code = select(code, vec4u(3u), y3 > best); best = select(best, y3, y3 > best);
    return Pooled(best, code.x | (code.y << 8u) | (code.z << 16u) | (code.w << 24u));
}
