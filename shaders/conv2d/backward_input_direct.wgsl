// conv2d.backward_input, portable.
//   input_gradient[n,iy,ix,ic] = sum over ky,kx,oc with oy*STRIDE + ky - PAD = iy (x likewise) of
//                                output_gradient[n,oy,ox,oc] * weights[ky,kx,ic,oc]
// One thread per input element, channels fastest. A gather, so no element is written twice.
// use index

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    if id >= BATCH * IN_H * IN_W * IN_C { return; }
    let ic = id % IN_C;
    let ix = id / IN_C % IN_W;
    let iy = id / (IN_C * IN_W) % IN_H;
    let n = id / (IN_C * IN_W * IN_H);

    var sum = 0.0;
    for (var ky = 0u; ky < KERNEL; ky++) {
        let from_y = iy + PAD_TOP - ky; // below zero wraps to a large number, which no oy reaches
        if from_y % STRIDE != 0u || from_y / STRIDE >= OUT_H { continue; }
        for (var kx = 0u; kx < KERNEL; kx++) {
            let from_x = ix + PAD_LEFT - kx;
            if from_x % STRIDE != 0u || from_x / STRIDE >= OUT_W { continue; }
            let pixel = ((n * OUT_H + from_y / STRIDE) * OUT_W + from_x / STRIDE) * OUT_C;
            let tap = ((ky * KERNEL + kx) * IN_C + ic) * OUT_C;
            for (var oc = 0u; oc < OUT_C; oc++) {
                sum = fma(f32(output_gradient[pixel + oc]), f32(weights[tap + oc]), sum);
            }
        }
    }
    input_gradient[id] = Elem(sum);
}
