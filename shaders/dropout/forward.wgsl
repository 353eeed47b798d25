// dropout.forward: output[i] = input[i] / (1 - RATE) where u(i) >= RATE, else 0. One thread per item; 8 bytes an element.
// use dropout, index
// item input, output

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    if id >= ELEMENTS / LANES { return; }
    output[id] = Item(dropped(id, Value(input[id])));
}
