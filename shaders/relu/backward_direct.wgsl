// relu.backward, portable: input_gradient[i] = output_gradient[i] where output[i] > 0, else 0.
// One thread per element; 12 bytes each.
override ELEMENTS: u32;

@group(0) @binding(1) var<storage, read> output: array<Elem>;
@group(0) @binding(2) var<storage, read> output_gradient: array<Elem>;
@group(0) @binding(3) var<storage, read_write> input_gradient: array<Elem>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    if id >= ELEMENTS { return; }
    input_gradient[id] = Elem(select(0.0, f32(output_gradient[id]), f32(output[id]) > 0.0));
}
