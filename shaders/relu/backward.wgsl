// relu.backward: input_gradient[i] = output_gradient[i] where output[i] > 0, else 0.
// One thread per item; 12 bytes an element.
// use index
// item output, output_gradient, input_gradient

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    if id >= ELEMENTS / LANES { return; }
    input_gradient[id] = Item(select(Value(), Value(output_gradient[id]), Value(output[id]) > Value()));
}
