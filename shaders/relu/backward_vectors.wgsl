// relu.backward, four elements a thread: input_gradient[i] = output_gradient[i] where output[i] > 0, else 0.
// 12 bytes an element. Needs ELEMENTS divisible by 4.
override ELEMENTS: u32;

@group(0) @binding(1) var<storage, read> output: array<vec4<Elem>>;
@group(0) @binding(2) var<storage, read> output_gradient: array<vec4<Elem>>;
@group(0) @binding(3) var<storage, read_write> input_gradient: array<vec4<Elem>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    if id >= ELEMENTS / 4u { return; }
    input_gradient[id] = vec4<Elem>(select(vec4f(), vec4f(output_gradient[id]), vec4f(output[id]) > vec4f()));
}
