// dense.backward_input on cooperative matrices (formula: backward_input_direct.wgsl).
// A workgroup computes 64 images x 16 * ACROSS inputs with ACROSS subgroups, each of which holds 64 images x 16 inputs in tiles
// of f32 sums. Per 64 outputs the workgroup stages the gradients of its images, zero past the last; weights are used once
// and come straight from memory, transposed by the load. Sums leave through workgroup memory, to be rounded.
// Needs OUT divisible by 16 and IN by 16 * ACROSS.
// vec4 output_gradient, weights, input_gradient

const ROW = 18u; // words of a staged image: 64 outputs and 8 unused, so that the rows of a tile lie in different banks
const TILES = 16u / TILE; // along 16 images, inputs or outputs

var<workgroup> images: array<vec4<Elem>, 64u * ROW>;
var<workgroup> rows: array<vec4f, 256u * ACROSS>; // of each subgroup: 64 images x 16 inputs

@compute @workgroup_size(SUBGROUP * ACROSS)
fn main(
    @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32, @builtin(subgroup_id) subgroup: u32, @builtin(subgroup_invocation_id) lane: u32,
) {
    let id = group.y * groups.x + group.x; // naga takes what a function returns for divergent
    let stripes = IN / (16u * ACROSS);
    let first = id / stripes * 64u; // image
    if first >= BATCH { return; }
    let column = (id % stripes * ACROSS + subgroup) * 16u; // first input of this subgroup's

    var sums: array<TileC, 4u * TILES * TILES>;
    for (var i = 0u; i < 4u * TILES * TILES; i++) { sums[i] = TileC(); }
    for (var start = 0u; start < OUT; start += 64u) {
        workgroupBarrier();
        for (var i = local; i < 1024u; i += SUBGROUP * ACROSS) { stage(first, start, i); }
        workgroupBarrier();
        let terms = min(64u, OUT - start);
        for (var k = 0u; k < terms; k += TILE) {
            var e: array<TileA, 4u * TILES>;
            for (var r = 0u; r < 4u * TILES; r++) { e[r] = coopLoadT<TileA>(&images[r * TILE * ROW + k / 4u], ROW); }
            for (var c = 0u; c < TILES; c++) {
                let w = coopLoad<TileB>(&weights[((column + c * TILE) * OUT + start + k) / 4u], OUT / 4u);
                for (var r = 0u; r < 4u * TILES; r++) { sums[r * TILES + c] = coopMultiplyAdd(e[r], w, sums[r * TILES + c]); }
            }
        }
    }

    let own = subgroup * 256u;
    for (var i = 0u; i < 4u * TILES * TILES; i++) {
        coopStoreT(sums[i], &rows[own + i / TILES * TILE * 4u + i % TILES * TILE / 4u], 4u);
    }
    workgroupBarrier();
    for (var i = lane; i < 256u; i += SUBGROUP) {
        let n = first + i / 4u;
        if n >= BATCH { continue; }
        input_gradient[(n * IN + column) / 4u + i % 4u] = vec4<Elem>(rows[own + i]);
    }
}

// Four outputs' gradients of an image; zero past the last of either.
fn stage(first: u32, start: u32, i: u32) {
    let n = first + i / 16u;
    let word = start / 4u + i % 16u;
    var value = vec4<Elem>();
    if n < BATCH && word < OUT / 4u { value = output_gradient[n * (OUT / 4u) + word]; }
    images[i / 16u * ROW + i % 16u] = value;
}
