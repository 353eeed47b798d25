// matrix.product on cooperative matrices: product[r,c] = sum over k of left[r,k] * right[k,c], factors f16, sums f32.
// One subgroup computes 16 x 16 elements, tiles of TILE x TILE straight from memory: the plainest use of all three tile
// roles, which the start-up test relies on. Needs ROWS, INNER and COLUMNS divisible by 16.
override ROWS: u32;
override INNER: u32;
override COLUMNS: u32;

@group(0) @binding(1) var<storage, read> left: array<Elem>;
@group(0) @binding(2) var<storage, read> right: array<Elem>;
@group(0) @binding(3) var<storage, read_write> product: array<f32>;

@compute @workgroup_size(SUBGROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let id = group.y * groups.x + group.x; // naga takes what a function returns for divergent
    if id >= ROWS / 16u * (COLUMNS / 16u) { return; }
    let corner_row = id / (COLUMNS / 16u) * 16u;
    let corner_column = id % (COLUMNS / 16u) * 16u;
    for (var tile = 0u; tile < 16u / TILE * (16u / TILE); tile++) {
        let row = corner_row + tile / (16u / TILE) * TILE;
        let column = corner_column + tile % (16u / TILE) * TILE;
        var sum = TileC();
        for (var k = 0u; k < INNER; k += TILE) {
            let a = coopLoadT<TileA>(&left[row * INNER + k], INNER);
            let b = coopLoadT<TileB>(&right[k * COLUMNS + column], COLUMNS);
            sum = coopMultiplyAdd(a, b, sum);
        }
        coopStoreT(sum, &product[row * COLUMNS + column], COLUMNS);
    }
}
