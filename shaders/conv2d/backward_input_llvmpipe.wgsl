// conv2d.backward_input for software adapters (formula: backward_input_direct.wgsl; why: forward_llvmpipe.wgsl).
// One thread computes 16 input pixels of one phase of the stride x 16 input channels: 256
// sums. Per tap and four output channels it loads a vec4 of each pixel's gradient and 16 vec4 of weights: 1024 multiply-adds for
// 32 loads. Needs IN_C divisible by 16 and OUT_C by 4.
// use conv2d_phases, four_weights, index, sums16
// vec4 input_gradient

@compute @workgroup_size(32)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 32u + local;
    let pixels = BATCH * phase_size().x * phase_size().y;
    let columns = IN_C / 4u;
    let tiles = IN_C / 16u;
    let stacks = (pixels + 15u) / 16u;
    if id >= STRIDE * STRIDE * stacks * tiles { return; }
    let column = id % tiles * 4u;
    let first = id / tiles % stacks * 16u;
    phase = vec2u(id / (tiles * stacks) / STRIDE, id / (tiles * stacks) % STRIDE);
    let begin = phase + vec2u(PAD_TOP, PAD_LEFT); // the phase's first taps, and whole strides from its pixels to the output's
    let index = first + vec4u(0u, 1u, 2u, 3u);
    let pixels0 = pixels_of(index, begin / STRIDE);
    let pixels1 = pixels_of(index + 4u, begin / STRIDE);
    let pixels2 = pixels_of(index + 8u, begin / STRIDE);
    let pixels3 = pixels_of(index + 12u, begin / STRIDE);

    var c0 = Sums();
    var c1 = Sums();
    var c2 = Sums();
    var c3 = Sums();
    for (var ky = begin.x % STRIDE; ky < KERNEL; ky += STRIDE) {
        for (var kx = begin.y % STRIDE; kx < KERNEL; kx += STRIDE) {
            let seen0 = seen(pixels0, ky / STRIDE, kx / STRIDE);
            let seen1 = seen(pixels1, ky / STRIDE, kx / STRIDE);
            let seen2 = seen(pixels2, ky / STRIDE, kx / STRIDE);
            let seen3 = seen(pixels3, ky / STRIDE, kx / STRIDE);
            let tap = ((ky * KERNEL + kx) * columns + column) * OUT_C;
            for (var oc = 0u; oc < OUT_C / 4u; oc++) {
                let e = Sums(load(seen0, oc), load(seen1, oc), load(seen2, oc), load(seen3, oc));
                accumulate(&c0, transpose(four_weights(tap + oc, OUT_C / 4u)), e);
                accumulate(&c1, transpose(four_weights(tap + OUT_C + oc, OUT_C / 4u)), e);
                accumulate(&c2, transpose(four_weights(tap + 2u * OUT_C + oc, OUT_C / 4u)), e);
                accumulate(&c3, transpose(four_weights(tap + 3u * OUT_C + oc, OUT_C / 4u)), e);
            }
        }
    }
    store(first, column, c0);
    store(first, column + 1u, c1);
    store(first, column + 2u, c2);
    store(first, column + 3u, c3);
}

fn store_pixel(index: u32, column: u32, sums: vec4f) {
    let place = place_of(index);
    if place != 0xffffffffu { input_gradient[place + column] = sums; }
}
