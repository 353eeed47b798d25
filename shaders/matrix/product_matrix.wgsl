// matrix.product on cooperative matrices: product[r,c] = sum over k of left[r,k] * right[k,c], factors f16, sums f32.
// One subgroup computes 16 x 16 elements, in all the ways that other kernels use matrices, since the start-up test relies on it: tiles
// from workgroup memory by columns, tiles from storage by rows, vectors in both (some drivers take numbers only), and sums through
// workgroup memory. Needs ROWS, INNER and COLUMNS divisible by 16.
// vec4 left, right, product

const TILES = 16u / TILE; // along a side
const TERM = 6u; // 16 rows of a staged term, and 8 unused

var<workgroup> terms: array<vec4<Elem>, 16u * TERM>; // of left, transposed
var<workgroup> rows: array<vec4f, 64u>;

@compute @workgroup_size(SUBGROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = group.y * groups.x + group.x; // naga takes what a function returns for divergent
    if id >= ROWS / 16u * (COLUMNS / 16u) { return; }
    let row = id / (COLUMNS / 16u) * 16u;
    let column = id % (COLUMNS / 16u) * 16u;
    var sums: array<TileC, TILES * TILES>;
    for (var i = 0u; i < TILES * TILES; i++) { sums[i] = TileC(); }
    for (var start = 0u; start < INNER; start += 16u) {
        workgroupBarrier();
        for (var i = local; i < 16u; i += SUBGROUP) { stage(row + i / 4u * 4u, start + i % 4u * 4u, i % 4u * 4u * TERM + i / 4u); }
        workgroupBarrier();
        for (var k = 0u; k < 16u; k += TILE) {
            for (var i = 0u; i < TILES * TILES; i++) {
                let a = coopLoad<TileA>(&terms[k * TERM + i / TILES * TILE / 4u], TERM);
                let b = coopLoadT<TileB>(&right[((start + k) * COLUMNS + column + i % TILES * TILE) / 4u], COLUMNS / 4u);
                sums[i] = coopMultiplyAdd(a, b, sums[i]);
            }
        }
    }
    for (var i = 0u; i < TILES * TILES; i++) { coopStoreT(sums[i], &rows[i / TILES * TILE * 4u + i % TILES * TILE / 4u], 4u); }
    workgroupBarrier();
    for (var i = local; i < 64u; i += SUBGROUP) { product[((row + i / 4u) * COLUMNS + column) / 4u + i % 4u] = rows[i]; }
}

// Four terms of four rows of left, transposed.
fn stage(row: u32, term: u32, place: u32) {
    let at = (row * INNER + term) / 4u;
    let next = INNER / 4u;
    let four = transpose(mat4x4f(vec4f(left[at]), vec4f(left[at + next]), vec4f(left[at + 2u * next]), vec4f(left[at + 3u * next])));
    terms[place] = vec4<Elem>(four[0]);
    terms[place + TERM] = vec4<Elem>(four[1]);
    terms[place + 2u * TERM] = vec4<Elem>(four[2]);
    terms[place + 3u * TERM] = vec4<Elem>(four[3]);
}
