// What 64 output pixels see of the input, staged in workgroup memory for cooperative matrices: terms are the rows of the weights.
// vec4 input

const ROW = 18u; // words of a staged pixel: 64 terms and 8 unused, so that the rows of a tile lie in different banks
const NOWHERE = 0x80000000u;

// Of each pixel: row and column where its window starts (above and left of the image they wrap to large numbers), and the
// first row of its image.
var<workgroup> windows: array<vec3u, 64>;
var<workgroup> pixels: array<vec4<Elem>, 64u * ROW>;

// Pixels past the last see nothing.
fn window(pixel: u32) -> vec3u {
    let row = pixel / OUT_W;
    let at = vec3u(row % OUT_H * STRIDE - PAD_TOP, pixel % OUT_W * STRIDE - PAD_LEFT, row / OUT_H * IN_H);
    return select(vec3u(NOWHERE, 0u, 0u), at, pixel < PIXELS);
}

// Eight terms of a pixel, all of one tap.
fn stage(start: u32, i: u32) {
    let term = start + i % 8u * 8u;
    let tap = term / IN_C;
    let seen = windows[i / 8u] + vec3u(tap / KERNEL, tap % KERNEL, 0u);
    let to = i / 8u * ROW + i % 8u * 2u;
    var low = vec4<Elem>();
    var high = vec4<Elem>();
    if term < TERMS && seen.x < IN_H && seen.y < IN_W {
        let at = (((seen.z + seen.x) * IN_W + seen.y) * IN_C + term % IN_C) / 4u;
        low = input[at];
        high = input[at + 1u];
    }
    pixels[to] = low;
    pixels[to + 1u] = high;
}
