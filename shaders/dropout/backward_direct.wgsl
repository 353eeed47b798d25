// dropout.backward, portable: input_gradient[i] = output_gradient[i] / (1 - RATE) where u(i) >= RATE, else 0.
//   u(i) = 24 random bits of the counters (before * IMAGE + i, step, seed, STREAM); forward and backward draw the same, nothing is stored.
// One thread per element; 8 bytes each.
override ELEMENTS: u32;
override IMAGE: u32;
override RATE: f32;
override STREAM: u32;

@group(0) @binding(1) var<storage, read> output_gradient: array<Elem>;
@group(0) @binding(2) var<storage, read_write> input_gradient: array<Elem>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    if id >= ELEMENTS { return; }
    let keep = unit(pcg4d(vec4u(params.before * IMAGE + id, params.step, params.seed, STREAM)).x) >= RATE;
    input_gradient[id] = Elem(select(0.0, f32(output_gradient[id]) / (1.0 - RATE), keep));
}
