// matrix.product, portable: product[r,c] = sum over k of left[r,k] * right[k,c].
// One thread per element of the product, columns fastest. Traffic without caches: 2 * INNER loads per element.
// use index

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    if id >= ROWS * COLUMNS { return; }
    var sum = 0.0;
    for (var k = 0u; k < INNER; k++) {
        sum = fma(f32(left[id / COLUMNS * INNER + k]), f32(right[k * COLUMNS + id % COLUMNS]), sum);
    }
    product[id] = sum;
}
