// conv2d.forward in registers, for any number of input channels, such as the three of a picture (formula: forward_direct.wgsl): as
// forward_registers.wgsl, with one input channel at a time. Per tap and input channel a thread loads a scalar of each pixel and two
// vec4 of weights: 64 multiply-adds for 10 loads. Needs OUT_C divisible by 4.
// use conv2d_forward, outer

fn add_tap(before: Sums, windows0: Windows, windows1: Windows, ky: u32, kx: u32, left: u32, right: u32) -> Sums {
    let seen0 = seen(windows0, ky, kx, IN_C);
    let seen1 = seen(windows1, ky, kx, IN_C);
    var sums = before;
    for (var ic = 0u; ic < IN_C; ic++) {
        let x0 = load(seen0, ic);
        let x1 = load(seen1, ic);
        let w_left = vec4f(weights[left + ic * (OUT_C / 4u)]);
        let w_right = vec4f(weights[right + ic * (OUT_C / 4u)]);
        sums.left0 += outer(w_left, x0);
        sums.left1 += outer(w_left, x1);
        sums.right0 += outer(w_right, x0);
        sums.right1 += outer(w_right, x1);
    }
    return sums;
}

// One input channel of four pixels, zero outside the image.
fn load(from_seen: Seen, ic: u32) -> vec4f {
    let at = from_seen.at + ic;
    return select(vec4f(), vec4f(f32(input[at.x]), f32(input[at.y]), f32(input[at.z]), f32(input[at.w])), from_seen.inside);
}
