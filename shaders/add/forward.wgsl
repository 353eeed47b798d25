// add.forward: output[i] = left[i] + right[i].
// One thread per item; 12 bytes an element.
// use index
// item left, right, output

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    if id >= ELEMENTS / LANES { return; }
    output[id] = Item(Value(left[id]) + Value(right[id]));
}
