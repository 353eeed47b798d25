// conv_block.backward_weights, portable.
//   weights_gradient[ky,kx,ic,oc] = sum over n,py,px with argmax q < 4 of
//                                   pooled_gradient[n,py,px,oc] * input[n, 2py+qy+ky-1, 2px+qx+kx-1, ic]
//   bias_gradient[oc]             = sum over n,py,px with argmax q < 4 of pooled_gradient[n,py,px,oc]
// First of two dispatches: the pooled rows of the batch are cut into SPLITS runs, a number fixed by the shapes; one thread
// per run and weight (or bias) sums that run, a row's sum before the whole, so that roundings stay small.
// reduce/splits_direct.wgsl adds the runs in order. Scratch: SPLITS rows of 9 * IN_C * OUT_C weights, then OUT_C biases.
// use index

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let thread = flat_group(group, groups) * 64u + local;
    let weights = 9u * IN_C * OUT_C;
    let split = thread / (weights + OUT_C);
    if split >= SPLITS { return; }
    let id = thread % (weights + OUT_C);
    let is_bias = id >= weights;
    let oc = id % OUT_C; // OUT_C divides `weights`
    let ic = id / OUT_C % IN_C;
    let kx = id / (OUT_C * IN_C) % 3u;
    let ky = id / (OUT_C * IN_C * 3u);

    var sum = 0.0;
    let last = min((split + 1u) * SPLIT_ROWS, BATCH * POOL_H);
    for (var row = split * SPLIT_ROWS; row < last; row++) {
        var row_sum = 0.0;
        for (var px = 0u; px < POOL_W; px++) {
            let pixel = row * POOL_W + px;
            let q = (argmax[pixel * WORDS + oc / 4u] >> (oc % 4u * 8u)) & 255u;
            if q > 3u { continue; }
            let gradient = f32(pooled_gradient[pixel * OUT_C + oc]);
            if is_bias { row_sum += gradient; continue; }
            let y = row % POOL_H * 2u + q / 2u + ky - 1u; // above the image wraps to a large number
            let x = px * 2u + q % 2u + kx - 1u;
            if y >= IN_H || x >= IN_W { continue; }
            row_sum = fma(gradient, f32(input[((row / POOL_H * IN_H + y) * IN_W + x) * IN_C + ic]), row_sum);
        }
        sum += row_sum;
    }
    partial[thread] = sum;
}
