// conv2d.backward_weights for any number of input channels, such as the three of a picture; first of two dispatches, as
// backward_weights_split.wgsl, whose inputs are whole vec4s. Each of a thread's 8 rows has its own tap and input channel: per output pixel
// it loads two vec4 of gradients and eight inputs, 64 multiply-adds for 10 loads. Needs OUT_C divisible by 4.
// use conv2d_backward_weights

// The taps of four rows, less the padding (above and left they wrap to large numbers), and their input channels.
struct Tap { y: vec4u, x: vec4u, channel: vec4u }

// What they see from a row of output pixels: where the image's rows start, whether those are there, and the columns seen from
// the first pixel.
struct Seen { at: vec4u, inside: vec4<bool>, x: vec4u }

// Rows past the last repeat the last.
fn tap(four: u32) -> Tap {
    let row = min(four * 4u + vec4u(0u, 1u, 2u, 3u), vec4u(KERNEL * KERNEL * IN_C - 1u));
    let place = row / IN_C;
    return Tap(place / KERNEL - PAD_TOP, place % KERNEL - PAD_LEFT, row % IN_C);
}

fn seen(by: Tap, out_row: u32) -> Seen {
    let y = out_row % OUT_H * STRIDE + by.y;
    return Seen((out_row / OUT_H * IN_H + y) * IN_W * IN_C + by.channel, y < vec4u(IN_H), by.x);
}

// What four rows' taps see from output pixel ox, zero outside the image.
fn load(from_seen: Seen, ox: u32) -> vec4f {
    let x = ox * STRIDE + from_seen.x;
    let inside = from_seen.inside & (x < vec4u(IN_W));
    let at = select(vec4u(), from_seen.at + x * IN_C, inside);
    return select(vec4f(), vec4f(f32(input[at.x]), f32(input[at.y]), f32(input[at.z]), f32(input[at.w])), inside);
}
