// reduce.accumulate: sums[i] = values[i], plus what was there where the step has earlier micro-batches (before > 0).
// One thread per four elements; 12 bytes per element, 8 for the first micro-batch.
// use index, step
// vec4 values, sums

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    if id >= ELEMENTS / 4u { return; }
    var sum = values[id];
    if params.before > 0u { sum += sums[id]; }
    sums[id] = sum;
}
