// reduce.sum_squares, four values at a time (formula: sum_squares_direct.wgsl).
// One workgroup of 256 threads per partial sum: 64 threads share a block of 256 values, so a workgroup takes four of its
// blocks at once; then a fixed tree. 4 bytes per value, in vec4 loads. Needs ELEMENTS divisible by 4.
override ELEMENTS: u32;
override GROUPS: u32;

@group(0) @binding(1) var<storage, read> values: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> partial: array<f32>;

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
