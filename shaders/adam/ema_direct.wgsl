// adam.ema: ema = ema + share * (p - ema), the exponential moving average (EMA) of the parameters over the steps.
// Nothing changes where status[0] is 0: the step's loss or gradient was not finite. One thread per four elements; 12 bytes an element.
// use index, step
// vec4 parameters, ema

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    if id >= ELEMENTS / 4u || status[0] == 0u { return; }
    ema[id] = ema[id] + params.ema * (parameters[id] - ema[id]);
}
