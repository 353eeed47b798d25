// conv2d.forward on cooperative matrices (formula: forward_direct.wgsl).
// As a product of matrices: rows are 64 output pixels, counted through the whole batch, columns output channels, the sum runs
// over KERNEL^2 * IN_C terms, in the order of the weights. A workgroup has ACROSS subgroups; each holds 64 pixels x
// 16 * WIDE channels (WIDE 1 or 2) in tiles of f32 sums. Per 64 terms, of one tap or several, the workgroup stages what its
// pixels see, zero outside the image, so any kernel and stride will do. Weights come straight from memory. Sums leave through
// workgroup memory, 16 channels at a time, for bias and relu. Needs IN_C divisible by 16 and OUT_C by 16 * WIDE * ACROSS.
// PIXELS: BATCH * OUT_H * OUT_W. TERMS: KERNEL^2 * IN_C.
// use conv2d_matrix_inputs, finish
// vec4 weights, output

const TILES = 16u / TILE; // along 16 pixels, channels or terms

var<workgroup> rows: array<vec4f, 256u * ACROSS>; // of each subgroup: 64 pixels x 16 channels

@compute @workgroup_size(SUBGROUP * ACROSS)
fn main(
    @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32, @builtin(subgroup_id) subgroup: u32, @builtin(subgroup_invocation_id) lane: u32,
) {
    let id = group.y * groups.x + group.x; // naga takes what a function returns for divergent
    let stripes = OUT_C / (16u * WIDE * ACROSS);
    let first = id / stripes * 64u;
    if first >= PIXELS { return; }
    let channel = (id % stripes * ACROSS + subgroup) * 16u * WIDE; // first of this subgroup's
    for (var i = local; i < 64u; i += SUBGROUP * ACROSS) { windows[i] = window(first + i); }

    var sums: array<TileC, 8u * TILES * TILES>; // down, then across
    for (var i = 0u; i < 8u * TILES * TILES; i++) { sums[i] = TileC(); }
    for (var start = 0u; start < TERMS; start += 64u) {
        workgroupBarrier();
        for (var i = local; i < 512u; i += SUBGROUP * ACROSS) { stage(start, i); }
        workgroupBarrier();
        let terms = min(64u, TERMS - start);
        for (var k = 0u; k < terms; k += TILE) {
            var x: array<TileA, 4u * TILES>;
            for (var r = 0u; r < 4u * TILES; r++) { x[r] = coopLoadT<TileA>(&pixels[r * TILE * ROW + k / 4u], ROW); }
            for (var c = 0u; c < WIDE * TILES; c++) {
                let w = coopLoadT<TileB>(&weights[((start + k) * OUT_C + channel + c * TILE) / 4u], OUT_C / 4u);
                for (var r = 0u; r < 4u * TILES; r++) {
                    sums[c * 4u * TILES + r] = coopMultiplyAdd(x[r], w, sums[c * 4u * TILES + r]);
                }
            }
        }
    }

    let own = subgroup * 256u;
    for (var c = 0u; c < WIDE; c++) {
        workgroupBarrier();
        for (var i = 0u; i < 4u * TILES * TILES; i++) {
            let place = i % (4u * TILES) * TILE * 4u + i / (4u * TILES) * TILE / 4u;
            coopStoreT(sums[c * 4u * TILES * TILES + i], &rows[own + place], 4u);
        }
        workgroupBarrier();
        for (var i = lane; i < 256u; i += SUBGROUP) { store(first + i / 4u, channel / 4u + c * 4u + i % 4u, rows[own + i]); }
    }
}

fn store(pixel: u32, word: u32, sums: vec4f) {
    if pixel < PIXELS { output[pixel * (OUT_C / 4u) + word] = vec4<Elem>(finish(sums, word)); }
}
