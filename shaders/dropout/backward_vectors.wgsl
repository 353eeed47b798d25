// dropout.backward, four elements a thread: input_gradient[i] = output_gradient[i] / (1 - RATE) where u(i) >= RATE, else 0.
//   u(i) = 24 random bits of the counters (before * IMAGE + i, step, seed, STREAM); forward and backward draw the same, nothing is stored.
// 8 bytes an element. Needs ELEMENTS divisible by 4.
override ELEMENTS: u32;
override IMAGE: u32;
override RATE: f32;
override STREAM: u32;

@group(0) @binding(1) var<storage, read> output_gradient: array<vec4<Elem>>;
@group(0) @binding(2) var<storage, read_write> input_gradient: array<vec4<Elem>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    if id >= ELEMENTS / 4u { return; }
    let keep = vec4<bool>(keeps(id * 4u), keeps(id * 4u + 1u), keeps(id * 4u + 2u), keeps(id * 4u + 3u));
    input_gradient[id] = vec4<Elem>(select(vec4f(), vec4f(output_gradient[id]) / (1.0 - RATE), keep));
}

fn keeps(i: u32) -> bool {
    return unit(pcg4d(vec4u(params.before * IMAGE + i, params.step, params.seed, STREAM)).x) >= RATE;
}
