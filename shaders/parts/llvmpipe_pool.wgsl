// Bias, relu and maximum of the 2 x 2 windows of a tile of 4 x 4 pixels.
// use store_window
// vec4 bias

// Four output channels; column r, row c of a matrix: pixel (r, c) of the tile.
struct Sums { c0: mat4x4f, c1: mat4x4f, c2: mat4x4f, c3: mat4x4f }

// The tile's first pooled pixel.
struct Place { n: u32, py: u32, px: u32 }

// The tile's windows, four channels.
fn pool(at: Place, word: u32, s: Sums) {
    let place = ((at.n * POOL_H + at.py) * POOL_W + at.px) * WORDS + word;
    windows(place, bias[word], at.px, s, 0u);
    if at.py + 1u < POOL_H { windows(place + POOL_W * WORDS, bias[word], at.px, s, 2u); }
}

// Two windows, from rows r and r + 1 of the tile.
fn windows(place: u32, b: vec4f, px: u32, s: Sums, r: u32) {
    // column c: the four channels of pixel c
    let y = transpose(mat4x4f(s.c0[r], s.c1[r], s.c2[r], s.c3[r]));
    let z = transpose(mat4x4f(s.c0[r + 1u], s.c1[r + 1u], s.c2[r + 1u], s.c3[r + 1u]));
    store_window(place, b + y[0], b + y[1], b + z[0], b + z[1]);
    if px + 1u < POOL_W { store_window(place + WORDS, b + y[2], b + y[3], b + z[2], b + z[3]); }
}
