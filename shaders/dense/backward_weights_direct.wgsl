// dense.backward_weights, portable.
//   weights_gradient[i,o] = sum over n of input[n,i] * output_gradient[n,o]
//   bias_gradient[o]      = sum over n of output_gradient[n,o]      (zero without BIAS)
// One thread per weight, then one per bias, outputs fastest. Traffic without caches: 2 * BATCH loads per element.
override BATCH: u32;
override IN: u32;
override OUT: u32;
override BIAS: bool;

@group(0) @binding(1) var<storage, read> input: array<Elem>;
@group(0) @binding(2) var<storage, read> output_gradient: array<Elem>;
@group(0) @binding(3) var<storage, read_write> weights_gradient: array<f32>;
@group(0) @binding(4) var<storage, read_write> bias_gradient: array<f32>;

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
