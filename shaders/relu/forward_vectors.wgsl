// relu.forward, four elements a thread: output[i] = max(0, input[i]); NaN stays NaN, so that a diverged run is seen.
// 8 bytes an element. Needs ELEMENTS divisible by 4.
override ELEMENTS: u32;

@group(0) @binding(1) var<storage, read> input: array<vec4<Elem>>;
@group(0) @binding(2) var<storage, read_write> output: array<vec4<Elem>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    if id >= ELEMENTS / 4u { return; }
    let x = vec4f(input[id]);
    output[id] = vec4<Elem>(select(x, vec4f(), x < vec4f()));
}
