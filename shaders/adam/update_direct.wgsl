// adam.update (formula: parts/adam.wgsl). Nothing changes where status[0] is 0: the step's loss or gradient was not finite.
// One thread per four elements; 28 bytes an element.
// use adam, index

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    if id >= ELEMENTS / 4u || status[0] == 0u { return; }
    update(id);
}
