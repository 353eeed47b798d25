// reduce.accumulate, four values at a time (formula: accumulate_direct.wgsl).
// One thread per four elements; ELEMENTS is a multiple of four; 12 bytes per element, 8 for the first micro-batch.
override ELEMENTS: u32;

@group(0) @binding(1) var<storage, read> values: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> sums: array<vec4f>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    if id >= ELEMENTS / 4u { return; }
    var sum = values[id];
    if params.before > 0u { sum += sums[id]; }
    sums[id] = sum;
}
