// Four channels of a pooled window: the maximum, and which pixel it is, a code of four channels to a byte each.
struct Pooled { value: vec4f, argmax: u32 }

// Relu and max of a window's four pixels; only a larger value takes the window over, so the first maximum counts, and the code is 4 where relu
// closes the window.
fn pool_window(y0: vec4f, y1: vec4f, y2: vec4f, y3: vec4f) -> Pooled {
    var best = vec4f(0.0);
    var code = vec4u(4u);
    code = select(code, vec4u(0u), y0 > best); best = select(best, y0, y0 > best);
    code = select(code, vec4u(1u), y1 > best); best = select(best, y1, y1 > best);
    code = select(code, vec4u(2u), y2 > best); best = select(best, y2, y2 > best);
    code = select(code, vec4u(3u), y3 > best); best = select(best, y3, y3 > best);
    return Pooled(best, code.x | (code.y << 8u) | (code.z << 16u) | (code.w << 24u));
}
