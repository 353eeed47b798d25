// Where convolution windows of four output pixels look.

// Where the windows of four pixels start: row and column (above and left of the image they wrap to large numbers), and the first row of
// their images.
struct Windows { y: vec4u, x: vec4u, image: vec4u }

// What a tap sees of four pixels: where their channels start, and whether that is inside the image.
struct Seen { at: vec4u, inside: vec4<bool> }

// Pixels past the last repeat the last: they are computed and not stored.
fn windows(pixel: vec4u) -> Windows {
    let there = min(pixel, vec4u(BATCH * OUT_H * OUT_W - 1u));
    let row = there / OUT_W;
    return Windows(row % OUT_H * STRIDE - PAD_TOP, there % OUT_W * STRIDE - PAD_LEFT, row / OUT_H * IN_H);
}

// `words`: how many elements of the input a pixel has.
fn seen(from_windows: Windows, ky: u32, kx: u32, words: u32) -> Seen {
    let y = from_windows.y + ky;
    let x = from_windows.x + kx;
    let inside = vec4<bool>(never_outside()) | ((y < vec4u(IN_H)) & (x < vec4u(IN_W)));
    return Seen(select(vec4u(), ((from_windows.image + y) * IN_W + x) * words, inside), inside);
}

// Known when the pipeline is made: loads that cannot miss the image are not checked.
fn never_outside() -> bool {
    let ends = vec2u(OUT_H - 1u, OUT_W - 1u) * STRIDE + KERNEL;
    return PAD_TOP + PAD_LEFT == 0u && ends.x <= IN_H && ends.y <= IN_W;
}
