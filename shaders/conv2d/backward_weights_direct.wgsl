// conv2d.backward_weights, portable.
//   weights_gradient[ky,kx,ic,oc] = sum over n,oy,ox of input[n, oy*STRIDE+ky-PAD, ox*STRIDE+kx-PAD, ic] * output_gradient[n,oy,ox,oc]
//   bias_gradient[oc]             = sum over n,oy,ox of output_gradient[n,oy,ox,oc]      (zero without BIAS)
// First of two dispatches: the output rows of the batch are cut into SPLITS runs, a number fixed by the shapes; one thread
// per run and weight (or bias) sums that run, row by row: a row's sum first, so that roundings grow with the row and the
// number of rows, not with their product. reduce/splits_direct.wgsl adds the runs in order.
// Scratch: SPLITS rows of KERNEL^2 * IN_C * OUT_C weights, then OUT_C biases.
// use index

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let thread = flat_group(group, groups) * 64u + local;
    let weights = KERNEL * KERNEL * IN_C * OUT_C;
    let split = thread / (weights + OUT_C);
    if split >= SPLITS { return; }
    let id = thread % (weights + OUT_C);
    let oc = id % OUT_C; // OUT_C divides `weights`
    let first = split * SPLIT_ROWS;
    let last = min(first + SPLIT_ROWS, BATCH * OUT_H);
    if id >= weights {
        partial[thread] = bias_sum(oc, first, last);
        return;
    }
    let ic = id / OUT_C % IN_C;
    let kx = id / (OUT_C * IN_C) % KERNEL;
    let ky = id / (OUT_C * IN_C * KERNEL);

    var sum = 0.0;
    for (var row = first; row < last; row++) {
        let iy = row % OUT_H * STRIDE + ky - PAD_TOP; // above the image wraps to a large number
        if iy >= IN_H { continue; }
        var row_sum = 0.0;
        for (var ox = 0u; ox < OUT_W; ox++) {
            let ix = ox * STRIDE + kx - PAD_LEFT;
            if ix >= IN_W { continue; }
            let x = f32(input[((row / OUT_H * IN_H + iy) * IN_W + ix) * IN_C + ic]);
            row_sum = fma(x, f32(output_gradient[(row * OUT_W + ox) * OUT_C + oc]), row_sum);
        }
        sum += row_sum;
    }
    partial[thread] = sum;
}

fn bias_sum(oc: u32, first: u32, last: u32) -> f32 {
    var sum = 0.0;
    if !BIAS { return sum; }
    for (var row = first; row < last; row++) {
        var row_sum = 0.0;
        for (var ox = 0u; ox < OUT_W; ox++) {
            row_sum += f32(output_gradient[(row * OUT_W + ox) * OUT_C + oc]);
        }
        sum += row_sum;
    }
    return sum;
}
