// What a tap sees of a row of output pixels, four input channels at a time. Rows of the weights are counted in fours.
// vec4 input

// A tap, less the padding (above and left it wraps to large numbers), and four input channels.
struct Tap { y: u32, x: u32, word: u32 }

// What a tap sees from a row of output pixels: where the channels of the image's row start, whether it is there, and the column
// seen from the first pixel.
struct Seen { at: u32, inside: bool, x: u32 }

fn tap(row: u32) -> Tap {
    let place = row / (IN_C / 4u);
    return Tap(place / KERNEL - PAD_TOP, place % KERNEL - PAD_LEFT, row % (IN_C / 4u));
}

fn seen(by: Tap, out_row: u32) -> Seen {
    let y = out_row % OUT_H * STRIDE + by.y;
    return Seen((out_row / OUT_H * IN_H + y) * IN_W * (IN_C / 4u) + by.word, y < IN_H, by.x);
}

// Four input channels that a tap sees from output pixel ox, zero outside the image.
fn load(from_seen: Seen, ox: u32) -> vec4f {
    let x = ox * STRIDE + from_seen.x;
    let inside = from_seen.inside && x < IN_W;
    return select(vec4f(), vec4f(input[select(0u, from_seen.at + x * (IN_C / 4u), inside)]), inside);
}
