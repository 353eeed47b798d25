// adam.average_mixed: adam.average, and a copy in f16, which inference multiplies with.
// One thread per four elements; 14 bytes an element.
// use index, step
// vec4 parameters, average, half_average

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    if id >= ELEMENTS / 4u || status[0] == 0u { return; }
    let renewed = average[id] + params.average * (parameters[id] - average[id]);
    average[id] = renewed;
    half_average[id] = vec4<Elem>(renewed);
}
