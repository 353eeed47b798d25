// peak.copy, portable: what an adapter's memory can do. output[i] = input[i].
// One thread per vector of 16 bytes, neighbours beside each other; 32 bytes per vector. Workgroups of 256, so that starting
// them is no bound on a GPU.
// use index
// vec4 input, output

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 256u + local;
    if id >= VECTORS { return; }
    output[id] = input[id];
}
