// adam.update_mixed: adam.update, and a copy in f16, which the next step multiplies with.
// One thread per four elements; 30 bytes an element.
// use adam, index
// vec4 half_parameters

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    if id >= ELEMENTS / 4u || status[0] == 0u { return; }
    half_parameters[id] = vec4<Elem>(update(id));
}
