// dense.backward_weights, portable.
//   weights_gradient[i,o] = sum over n of input[n,i] * output_gradient[n,o]
//   bias_gradient[o]      = sum over n of output_gradient[n,o]      (zero without BIAS)
// One thread per weight, then one per bias, outputs fastest. Traffic without caches: 2 * BATCH loads per element.
// use index

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    if id >= (IN + 1u) * OUT { return; }
    let o = id % OUT;
    let i = id / OUT;

    var sum = 0.0;
    if i == IN {
        if BIAS {
            for (var n = 0u; n < BATCH; n++) { sum += f32(output_gradient[n * OUT + o]); }
        }
        bias_gradient[o] = sum;
        return;
    }
    for (var n = 0u; n < BATCH; n++) {
        sum = fma(f32(input[n * IN + i]), f32(output_gradient[n * OUT + o]), sum);
    }
    weights_gradient[id] = sum;
}
