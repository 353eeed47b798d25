// reduce.sum_squares, portable: partial[g] = sum of values[i]^2 over the i with (i / 256) mod GROUPS = g.
// One workgroup of 256 threads per partial sum: each thread sums every (256 * GROUPS)-th value, then a fixed tree.
// 4 bytes per value. The number of groups follows from the shapes alone, so the result does not depend on the adapter.
override ELEMENTS: u32;
override GROUPS: u32;

@group(0) @binding(1) var<storage, read> values: array<f32>;
@group(0) @binding(2) var<storage, read_write> partial: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups);
    var sum = 0.0;
    for (var i = id * REDUCE_THREADS + local; i < ELEMENTS; i += REDUCE_THREADS * GROUPS) {
        let value = values[i];
        sum = fma(value, value, sum);
    }
    let all = reduce_sum(sum, local);
    if local == 0u && id < GROUPS { partial[id] = all; }
}
