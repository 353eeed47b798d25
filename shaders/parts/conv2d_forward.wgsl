// conv2d.forward for 8 output pixels x 8 output channels a thread: 64 sums in registers. Pixels are counted through the whole batch, so small
// images fill the threads too. Neighbouring threads share the pixels and read neighbouring weights. The kernel adds a tap.
// use conv2d_windows, finish, index, sums8
// vec4 weights, output

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    let pixels = BATCH * OUT_H * OUT_W;
    let columns = OUT_C / 4u;
    let tiles = (columns + 1u) / 2u;
    if id >= (pixels + 7u) / 8u * tiles { return; }
    let column = id % tiles * 2u;
    let first = id / tiles * 8u;
    let windows0 = windows(first + vec4u(0u, 1u, 2u, 3u));
    let windows1 = windows(first + vec4u(4u, 5u, 6u, 7u));
    let right = min(column + 1u, columns - 1u); // past the last channels the last repeat: computed and not stored

    var sums = Sums();
    for (var ky = 0u; ky < KERNEL; ky++) {
        for (var kx = 0u; kx < KERNEL; kx++) {
            let tap = (ky * KERNEL + kx) * IN_C * columns;
            sums = add_tap(sums, windows0, windows1, ky, kx, tap + column, tap + right);
        }
    }
    store_sums(first, column, column + 1u < columns, sums);
}

// Eight channels of a pixel, or four where there are no more.
fn store(pixel: u32, column: u32, two: bool, left: vec4f, right: vec4f) {
    if pixel >= BATCH * OUT_H * OUT_W { return; }
    output[pixel * (OUT_C / 4u) + column] = vec4<Elem>(finish(left, column));
    if two { output[pixel * (OUT_C / 4u) + column + 1u] = vec4<Elem>(finish(right, column + 1u)); }
}
