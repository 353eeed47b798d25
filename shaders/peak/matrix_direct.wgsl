// peak.matrix, portable: product = the sum of ROUNDS times left * right, 16 x 16 matrices, eight times for each of GROUPS groups.
// One thread per element of a product.
// use index

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    if id >= GROUPS * 2048u { return; }
    var one = 0.0;
    for (var k = 0u; k < 16u; k++) { one = fma(f32(left[id / 16u % 16u * 16u + k]), f32(right[k * 16u + id % 16u]), one); }
    var sum = 0.0;
    for (var round = 0u; round < ROUNDS; round++) { sum += one; }
    product[id] = sum;
}
