// dense.forward on cooperative matrices, first of two dispatches (formula: forward_direct.wgsl): products summed over a run of
// inputs. The inputs are cut into SPLITS runs of SPLIT_INS, a number fixed by the shapes, so that a small batch still fills
// an adapter with reads of the weights. A workgroup computes one run x 64 images x 16 * ACROSS outputs with ACROSS subgroups,
// each of which holds 64 images x 16 outputs in tiles of f32 sums. Per 64 inputs the workgroup stages its images, zero past the
// last; weights are used once and come straight from memory. forward_split_sum.wgsl adds the runs in order.
// Scratch: SPLITS x BATCH x OUT. Needs IN and SPLIT_INS divisible by 16 and OUT by 16 * ACROSS.
// vec4 input, weights, partial

const ROW = 18u; // words of a staged image: 64 inputs and 8 unused, so that the rows of a tile lie in different banks
const TILES = 16u / TILE; // along 16 images, outputs or inputs

var<workgroup> images: array<vec4<Elem>, 64u * ROW>;
var<workgroup> rows: array<vec4f, 256u * ACROSS>; // of each subgroup: 64 images x 16 outputs

@compute @workgroup_size(SUBGROUP * ACROSS)
fn main(
    @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32, @builtin(subgroup_id) subgroup: u32, @builtin(subgroup_invocation_id) lane: u32,
) {
    let id = group.y * groups.x + group.x; // naga takes what a function returns for divergent
    let stripes = OUT / (16u * ACROSS);
    let stacks = (BATCH + 63u) / 64u;
    if id >= SPLITS * stacks * stripes { return; }
    let column = (id % stripes * ACROSS + subgroup) * 16u; // first output of this subgroup's
    let first = id / stripes % stacks * 64u; // image
    let split = id / (stripes * stacks);

    var sums: array<TileC, 4u * TILES * TILES>;
    for (var i = 0u; i < 4u * TILES * TILES; i++) { sums[i] = TileC(); }
    let last = min((split + 1u) * SPLIT_INS, IN);
    for (var start = split * SPLIT_INS; start < last; start += 64u) {
        workgroupBarrier();
        for (var i = local; i < 1024u; i += SUBGROUP * ACROSS) { stage(first, start, i); }
        workgroupBarrier();
        let terms = min(64u, last - start);
        for (var k = 0u; k < terms; k += TILE) {
            var x: array<TileA, 4u * TILES>;
            for (var r = 0u; r < 4u * TILES; r++) { x[r] = coopLoadT<TileA>(&images[r * TILE * ROW + k / 4u], ROW); }
            for (var c = 0u; c < TILES; c++) {
                let w = coopLoadT<TileB>(&weights[((start + k) * OUT + column + c * TILE) / 4u], OUT / 4u);
                for (var r = 0u; r < 4u * TILES; r++) { sums[r * TILES + c] = coopMultiplyAdd(x[r], w, sums[r * TILES + c]); }
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
        partial[((split * BATCH + n) * OUT + column) / 4u + i % 4u] = rows[own + i];
    }
}

// Four inputs of an image; zero past the last of either.
fn stage(first: u32, start: u32, i: u32) {
    let n = first + i / 16u;
    let word = start / 4u + i % 16u;
    var value = vec4<Elem>();
    if n < BATCH && word < IN / 4u { value = input[n * (IN / 4u) + word]; }
    images[i / 16u * ROW + i % 16u] = value;
}
