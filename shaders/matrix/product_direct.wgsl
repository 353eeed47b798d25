// matrix.product, portable: product[r,c] = sum over k of left[r,k] * right[k,c].
// One thread per element of the product, columns fastest. Traffic without caches: 2 * INNER loads per element.
override ROWS: u32;
override INNER: u32;
override COLUMNS: u32;

@group(0) @binding(1) var<storage, read> left: array<Elem>;
@group(0) @binding(2) var<storage, read> right: array<Elem>;
@group(0) @binding(3) var<storage, read_write> product: array<f32>;

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
