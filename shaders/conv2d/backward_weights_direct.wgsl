// conv2d.backward_weights, portable.
//   weights_gradient[ky,kx,ic,oc] = sum over n,oy,ox of input[n, oy*STRIDE+ky-PAD, ox*STRIDE+kx-PAD, ic] * output_gradient[n,oy,ox,oc]
//   bias_gradient[oc]             = sum over n,oy,ox of output_gradient[n,oy,ox,oc]      (zero without BIAS)
// One thread per weight, then one per bias; the whole batch is summed by that thread, row by row: a row's sum first,
// so that roundings grow with the row and the number of rows, not with their product.
override BATCH: u32;
override IN_H: u32;
override IN_W: u32;
override IN_C: u32;
override OUT_H: u32;
override OUT_W: u32;
override OUT_C: u32;
override KERNEL: u32;
override STRIDE: u32;
override PAD_TOP: u32;
override PAD_LEFT: u32;
override BIAS: bool;

@group(0) @binding(1) var<storage, read> input: array<f32>;
@group(0) @binding(2) var<storage, read> output_gradient: array<f32>;
@group(0) @binding(3) var<storage, read_write> weights_gradient: array<f32>;
@group(0) @binding(4) var<storage, read_write> bias_gradient: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    let weights = KERNEL * KERNEL * IN_C * OUT_C;
    if id >= weights + OUT_C { return; }
    let oc = id % OUT_C; // OUT_C divides `weights`
    if id >= weights {
        bias_gradient[oc] = bias_sum(oc);
        return;
    }
    let ic = id / OUT_C % IN_C;
    let kx = id / (OUT_C * IN_C) % KERNEL;
    let ky = id / (OUT_C * IN_C * KERNEL);

    var sum = 0.0;
    for (var row = 0u; row < BATCH * OUT_H; row++) {
        let iy = row % OUT_H * STRIDE + ky - PAD_TOP;
        if iy >= IN_H { continue; }
        var row_sum = 0.0;
        for (var ox = 0u; ox < OUT_W; ox++) {
            let ix = ox * STRIDE + kx - PAD_LEFT;
            if ix >= IN_W { continue; }
            let x = input[((row / OUT_H * IN_H + iy) * IN_W + ix) * IN_C + ic];
            row_sum = fma(x, output_gradient[(row * OUT_W + ox) * OUT_C + oc], row_sum);
        }
        sum += row_sum;
    }
    weights_gradient[id] = sum;
}

fn bias_sum(oc: u32) -> f32 {
    var sum = 0.0;
    if !BIAS { return sum; }
    for (var row = 0u; row < BATCH * OUT_H; row++) {
        var row_sum = 0.0;
        for (var ox = 0u; ox < OUT_W; ox++) {
            row_sum += output_gradient[(row * OUT_W + ox) * OUT_C + oc];
        }
        sum += row_sum;
    }
    return sum;
}
