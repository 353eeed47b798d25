// relu.forward: output[i] = max(0, input[i]); NaN stays NaN, so that a diverged run is seen.
// One thread per item; 8 bytes an element.
// use index
// item input, output

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    if id >= ELEMENTS / LANES { return; }
    let x = Value(input[id]);
    output[id] = Item(select(x, Value(), x < Value()));
}
