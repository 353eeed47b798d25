// Pixels of three channels in workgroup memory and, unfolded, the 32 terms that each of them sees: a product of matrices needs them so.

const WIDTH = 18u; // of the area: 16 pixels and their neighbours
const PIXEL = 10u; // words of an unfolded pixel: 32 terms and 8 unused, so that the rows of a tile lie in different banks

// Channel i % 3 of a pixel of the area, which starts one row above and one column left of the `corner`; zero outside the image.
fn seen(n: u32, corner: vec2u, i: u32) -> Elem {
    let at = corner + vec2u(i / 3u % WIDTH, i / 3u / WIDTH) - 1u; // below zero wraps to a large number
    if n >= BATCH || at.x >= IN_W || at.y >= IN_H { return Elem(); }
    return input[((n * IN_H + at.y) * IN_W + at.x) * 3u + i % 3u];
}

// The terms of a pixel whose window starts at `corner` of the picture.
fn unfold(pixel: u32, corner: u32) {
    for (var word = 0u; word < 8u; word++) {
        let i = word * 4u;
        terms[pixel * PIXEL + word] = vec4<Elem>(term_of(corner, i), term_of(corner, i + 1u), term_of(corner, i + 2u), term_of(corner, i + 3u));
    }
}
