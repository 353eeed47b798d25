// conv2d.forward, portable.
//   output[n,oy,ox,oc] = act(bias[oc] + sum over ky,kx,ic of input[n, oy*STRIDE+ky-PAD, ox*STRIDE+kx-PAD, ic] * weights[ky,kx,ic,oc])
// One thread per output element, channels fastest: neighbours share the input and read neighbouring weights.
// Traffic without caches: 2 * KERNEL^2 * IN_C loads per element.
// use index

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    if id >= BATCH * OUT_H * OUT_W * OUT_C { return; }
    let oc = id % OUT_C;
    let ox = id / OUT_C % OUT_W;
    let oy = id / (OUT_C * OUT_W) % OUT_H;
    let n = id / (OUT_C * OUT_W * OUT_H);

    var sum = 0.0;
    for (var ky = 0u; ky < KERNEL; ky++) {
        let iy = oy * STRIDE + ky - PAD_TOP; // above the image wraps to a large number
        if iy >= IN_H { continue; }
        for (var kx = 0u; kx < KERNEL; kx++) {
            let ix = ox * STRIDE + kx - PAD_LEFT;
            if ix >= IN_W { continue; }
            let pixel = ((n * IN_H + iy) * IN_W + ix) * IN_C;
            let tap = (ky * KERNEL + kx) * IN_C * OUT_C + oc;
            for (var ic = 0u; ic < IN_C; ic++) {
                sum = fma(f32(input[pixel + ic]), f32(weights[tap + ic * OUT_C]), sum);
            }
        }
    }
    if BIAS { sum += bias[oc]; }
    if RELU && sum < 0.0 { sum = 0.0; }
    output[id] = Elem(sum);
}
