// reduce.sum_squares: partial[g] = sum of values[i]^2 over the i with (i / 256) mod GROUPS = g.
// One workgroup of 256 threads per partial sum: 64 threads share a block of 256 values, so a workgroup takes four of its
// blocks at once; then a fixed tree. 4 bytes per value, in vec4 loads. The number of groups follows from the shapes alone, so the result
// does not depend on the adapter.
// use index, reduce
// vec4 values

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups);
    var sum = vec4f();
    for (var i = (id + GROUPS * (local / 64u)) * 64u + local % 64u; i < ELEMENTS / 4u; i += GROUPS * REDUCE_THREADS) {
        let value = values[i];
        sum += value * value;
    }
    let all = reduce_sum((sum.x + sum.y) + (sum.z + sum.w), local);
    if local == 0u && id < GROUPS { partial[id] = all; }
}
