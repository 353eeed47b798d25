// dense.forward, portable: output[n,o] = act(bias[o] + sum over i of input[n,i] * weights[i,o]).
// One thread per output element, outputs fastest: neighbours share the input and read neighbouring weights.
// Traffic without caches: 2 * IN loads per element.
override BATCH: u32;
override IN: u32;
override OUT: u32;
override BIAS: bool;
override RELU: bool;

@group(0) @binding(1) var<storage, read> input: array<f32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> output: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    if id >= BATCH * OUT { return; }
    let o = id % OUT;
    let row = id / OUT * IN;

    var sum = 0.0;
    for (var i = 0u; i < IN; i++) {
        sum = fma(input[row + i], weights[i * OUT + o], sum);
    }
    if BIAS { sum += bias[o]; }
    if RELU && sum < 0.0 { sum = 0.0; }
    output[id] = sum;
}
