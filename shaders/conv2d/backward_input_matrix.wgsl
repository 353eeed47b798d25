// conv2d.backward_input on cooperative matrices (formula: backward_input_direct.wgsl).
// As a product of matrices: rows are 64 input pixels of one phase of the stride, counted through the whole batch, columns
// input channels, the sum runs over the taps that reach the phase x OUT_C. A workgroup has ACROSS subgroups; each holds
// 64 pixels x 16 * WIDE channels (WIDE 1 or 2) in tiles of f32 sums. Per tap and 64 output channels the workgroup stages the
// gradients its pixels reach, zero outside the output. Weights come straight from memory, transposed by the load. Sums leave
// through workgroup memory, 16 channels at a time, to be rounded. Needs OUT_C divisible by 16 and IN_C by 16 * WIDE * ACROSS.
// HIGH, BROAD: rows and columns of the largest phase. PIXELS: BATCH * HIGH * BROAD.
// vec4 output_gradient, weights, input_gradient

const ROW = 18u; // words of a staged pixel: 64 channels and 8 unused, so that the rows of a tile lie in different banks
const TILES = 16u / TILE; // along 16 pixels, channels or terms
const NOWHERE = 0x80000000u;

// Of each pixel: row and column of the output that the phase's first tap reaches, and the first row of its image.
var<workgroup> windows: array<vec3u, 64>;
var<workgroup> pixels: array<vec4<Elem>, 64u * ROW>;
var<workgroup> rows: array<vec4f, 256u * ACROSS>; // of each subgroup: 64 pixels x 16 channels

@compute @workgroup_size(SUBGROUP * ACROSS)
fn main(
    @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32, @builtin(subgroup_id) subgroup: u32, @builtin(subgroup_invocation_id) lane: u32,
) {
    let id = group.y * groups.x + group.x; // naga takes what a function returns for divergent
    let stripes = IN_C / (16u * WIDE * ACROSS);
    let stacks = (PIXELS + 63u) / 64u;
    if id >= STRIDE * STRIDE * stacks * stripes { return; }
    let channel = (id % stripes * ACROSS + subgroup) * 16u * WIDE; // first of this subgroup's
    let first = id / stripes % stacks * 64u;
    let phase = vec2u(id / (stripes * stacks) / STRIDE, id / (stripes * stacks) % STRIDE);
    let begin = phase + vec2u(PAD_TOP, PAD_LEFT); // the phase's first taps, and whole strides from its pixels to the output's
    for (var i = local; i < 64u; i += SUBGROUP * ACROSS) { windows[i] = window(first + i, begin / STRIDE); }

    var sums: array<TileC, 8u * TILES * TILES>; // down, then across
    for (var i = 0u; i < 8u * TILES * TILES; i++) { sums[i] = TileC(); }
    for (var ky = begin.x % STRIDE; ky < KERNEL; ky += STRIDE) {
        for (var kx = begin.y % STRIDE; kx < KERNEL; kx += STRIDE) {
            for (var start = 0u; start < OUT_C; start += 64u) {
                workgroupBarrier();
                for (var i = local; i < 512u; i += SUBGROUP * ACROSS) { stage(vec2u(ky, kx) / STRIDE, start, i); }
                workgroupBarrier();
                let terms = min(64u, OUT_C - start);
                for (var k = 0u; k < terms; k += TILE) {
                    var e: array<TileA, 4u * TILES>;
                    for (var r = 0u; r < 4u * TILES; r++) { e[r] = coopLoadT<TileA>(&pixels[r * TILE * ROW + k / 4u], ROW); }
                    for (var c = 0u; c < WIDE * TILES; c++) {
                        let row = (ky * KERNEL + kx) * IN_C + channel + c * TILE;
                        let w = coopLoad<TileB>(&weights[(row * OUT_C + start + k) / 4u], OUT_C / 4u);
                        for (var r = 0u; r < 4u * TILES; r++) {
                            sums[c * 4u * TILES + r] = coopMultiplyAdd(e[r], w, sums[c * 4u * TILES + r]);
                        }
                    }
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
        for (var i = lane; i < 256u; i += SUBGROUP) { store(first + i / 4u, phase, channel / 4u + c * 4u + i % 4u, rows[own + i]); }
    }
}

// Pixels past the last reach nothing.
fn window(pixel: u32, begin: vec2u) -> vec3u {
    let row = pixel / BROAD;
    let at = vec3u(row % HIGH + begin.x, pixel % BROAD + begin.y, row / HIGH * OUT_H);
    return select(vec3u(NOWHERE, 0u, 0u), at, pixel < PIXELS);
}

// Eight output channels of a pixel; `tap`: which of the phase's.
fn stage(tap: vec2u, start: u32, i: u32) {
    let channel = start + i % 8u * 8u;
    let reached = windows[i / 8u] - vec3u(tap, 0u); // below zero wraps to a large number
    let to = i / 8u * ROW + i % 8u * 2u;
    var low = vec4<Elem>();
    var high = vec4<Elem>();
    if channel < OUT_C && reached.x < OUT_H && reached.y < OUT_W {
        let at = (((reached.z + reached.x) * OUT_W + reached.y) * OUT_C + channel) / 4u;
        low = output_gradient[at];
        high = output_gradient[at + 1u];
    }
    pixels[to] = low;
    pixels[to + 1u] = high;
}

// Smaller phases lack the last row or column of the largest.
fn store(pixel: u32, phase: vec2u, word: u32, sums: vec4f) {
    let row = pixel / BROAD;
    let at = vec2u(row % HIGH, pixel % BROAD) * STRIDE + phase;
    if pixel >= PIXELS || at.x >= IN_H || at.y >= IN_W { return; }
    input_gradient[((row / HIGH * IN_H + at.x) * IN_W + at.y) * (IN_C / 4u) + word] = vec4<Elem>(sums);
}
