// conv2d.forward for software adapters (formula: forward_direct.wgsl), where a load is made lane by lane and sums that do not fit
// the registers are soon back from the cache, so that arithmetic per load is what counts.
// One thread computes 16 output pixels x 16 output channels: 256 sums. Per tap and four input channels it loads a vec4 of each
// pixel and 16 vec4 of weights: 1024 multiply-adds for 32 loads, twice as many a load as forward_registers.wgsl.
// Needs IN_C divisible by 4 and OUT_C by 16.
// use conv2d_pixels, finish, four_weights, index, sums16
// vec4 output

@compute @workgroup_size(32)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 32u + local;
    let pixels = BATCH * OUT_H * OUT_W;
    let tiles = OUT_C / 16u;
    if id >= (pixels + 15u) / 16u * tiles { return; }
    let column = id % tiles * 4u;
    let first = id / tiles * 16u;
    let pixel = first + vec4u(0u, 1u, 2u, 3u);
    let windows0 = windows(pixel);
    let windows1 = windows(pixel + 4u);
    let windows2 = windows(pixel + 8u);
    let windows3 = windows(pixel + 12u);

    var c0 = Sums();
    var c1 = Sums();
    var c2 = Sums();
    var c3 = Sums();
    for (var ky = 0u; ky < KERNEL; ky++) {
        for (var kx = 0u; kx < KERNEL; kx++) {
            let seen0 = seen(windows0, ky, kx, IN_C / 4u);
            let seen1 = seen(windows1, ky, kx, IN_C / 4u);
            let seen2 = seen(windows2, ky, kx, IN_C / 4u);
            let seen3 = seen(windows3, ky, kx, IN_C / 4u);
            let tap = (ky * KERNEL + kx) * IN_C * (OUT_C / 4u) + column;
            for (var ic = 0u; ic < IN_C / 4u; ic++) {
                let x = Sums(load(seen0, ic), load(seen1, ic), load(seen2, ic), load(seen3, ic));
                accumulate(&c0, four_weights(tap + ic * OUT_C, OUT_C / 4u), x);
                accumulate(&c1, four_weights(tap + ic * OUT_C + 1u, OUT_C / 4u), x);
                accumulate(&c2, four_weights(tap + ic * OUT_C + 2u, OUT_C / 4u), x);
                accumulate(&c3, four_weights(tap + ic * OUT_C + 3u, OUT_C / 4u), x);
            }
        }
    }
    store(first, column, c0);
    store(first, column + 1u, c1);
    store(first, column + 2u, c2);
    store(first, column + 3u, c3);
}

fn store_pixel(pixel: u32, column: u32, sums: vec4f) {
    if pixel >= BATCH * OUT_H * OUT_W { return; }
    output[pixel * (OUT_C / 4u) + column] = finish(sums, column);
}
