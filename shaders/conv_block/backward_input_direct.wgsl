// conv_block.backward_input, portable.
//   e(y,x,oc)                  = pooled_gradient of the window around (y,x) where its argmax is (y,x), else 0
//   input_gradient[n,iy,ix,ic] = sum over ky,kx,oc of e(iy+1-ky, ix+1-kx, oc) * weights[ky,kx,ic,oc]
// One thread per input element, channels fastest; e is looked up, never stored.
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
    for (var ky = 0u; ky < 3u; ky++) {
        let y = iy + 1u - ky; // above the image wraps to a large number
        if y / 2u >= POOL_H { continue; }
        for (var kx = 0u; kx < 3u; kx++) {
            let x = ix + 1u - kx;
            if x / 2u >= POOL_W { continue; }
            let pixel = (n * POOL_H + y / 2u) * POOL_W + x / 2u;
            let code = y % 2u * 2u + x % 2u;
            let tap = ((ky * 3u + kx) * IN_C + ic) * OUT_C;
            for (var oc = 0u; oc < OUT_C; oc++) {
                if ((argmax[pixel * WORDS + oc / 4u] >> (oc % 4u * 8u)) & 255u) == code {
                    sum = fma(f32(pooled_gradient[pixel * OUT_C + oc]), f32(weights[tap + oc]), sum);
                }
            }
        }
    }
    input_gradient[id] = Elem(sum);
}
