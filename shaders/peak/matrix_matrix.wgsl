// peak.matrix on cooperative matrices (formula: matrix_direct.wgsl): what they do at most, with both factors in registers.
// One subgroup to a group. Its eight sums of 16 x 16 do not wait for each other; each round adds the product to all of them.

const TILES = 16u / TILE; // along a side

@compute @workgroup_size(SUBGROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let id = group.y * groups.x + group.x; // naga takes what a function returns for divergent
    if id >= GROUPS { return; }
    var a: array<TileA, TILES * TILES>;
    var b: array<TileB, TILES * TILES>;
    for (var i = 0u; i < TILES * TILES; i++) {
        let place = (i / TILES * 16u + i % TILES) * TILE;
        a[i] = coopLoadT<TileA>(&left[place], 16u);
        b[i] = coopLoadT<TileB>(&right[place], 16u);
    }
    var sums: array<TileC, 8u * TILES * TILES>;
    for (var i = 0u; i < 8u * TILES * TILES; i++) { sums[i] = TileC(); }
    for (var round = 0u; round < ROUNDS; round++) {
        for (var k = 0u; k < TILES; k++) {
            for (var i = 0u; i < 8u * TILES * TILES; i++) {
                let tile = i % (TILES * TILES);
                sums[i] = coopMultiplyAdd(a[tile / TILES * TILES + k], b[k * TILES + tile % TILES], sums[i]);
            }
        }
    }
    for (var i = 0u; i < 8u * TILES * TILES; i++) {
        let tile = i % (TILES * TILES);
        let place = id * 2048u + i / (TILES * TILES) * 256u + (tile / TILES * 16u + tile % TILES) * TILE;
        coopStoreT(sums[i], &product[place], 16u);
    }
}
