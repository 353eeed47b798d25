// adam.ema_mixed: adam.ema, and a copy in f16, which inference multiplies with.
// One thread per four elements; 14 bytes an element.
// use index, step
// vec4 parameters, ema, half_ema

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    if id >= ELEMENTS / 4u || status[0] == 0u { return; }
    let renewed = ema[id] + params.ema * (parameters[id] - ema[id]);
    ema[id] = renewed;
    half_ema[id] = vec4<Elem>(renewed);
}
