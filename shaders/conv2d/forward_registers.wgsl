// conv2d.forward in registers (formula: forward_direct.wgsl), 8 output pixels x 8 output channels a thread (parts/conv2d_forward.wgsl).
// Per tap and four input channels it loads a vec4 of each pixel and 8 vec4 of weights: 256 multiply-adds for 16 loads, whatever the
// kernel and stride; a 1x1 convolution is the matrix product of dense.forward. Needs IN_C and OUT_C divisible by 4.
// use conv2d_forward, conv2d_pixels, four_weights

fn add_tap(before: Sums, windows0: Windows, windows1: Windows, ky: u32, kx: u32, left: u32, right: u32) -> Sums {
    let seen0 = seen(windows0, ky, kx, IN_C / 4u);
    let seen1 = seen(windows1, ky, kx, IN_C / 4u);
    var sums = before;
    for (var ic = 0u; ic < IN_C / 4u; ic++) {
        let w_left = four_weights(left + ic * OUT_C, OUT_C / 4u);
        let w_right = four_weights(right + ic * OUT_C, OUT_C / 4u);
        sums = add_terms(sums, w_left, w_right, load(seen0, ic), load(seen1, ic));
    }
    return sums;
}
