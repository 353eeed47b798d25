// conv_block.forward on cooperative matrices: 3x3 same convolution, bias, relu and 2x2 max-pool (formula: forward_direct.wgsl).
// As a product of matrices: rows are 16 neighbouring pixels of an image row, columns 16 output channels, the sum runs over
// 9 taps x IN_C. A workgroup computes 16 x 16 pixels x 16 * ACROSS channels with 2 * ACROSS subgroups; each of them holds 8
// rows of 16 pixels x 16 channels in tiles of f32 sums. Per 16 input channels the workgroup stages its 18 x 18 pixels; a tap
// is then a shifted tile of them, and the ten rows a subgroup loads for a column of taps serve all three taps. Weights
// come straight from memory. Sums leave through workgroup memory, two rows at a time, to be pooled.
// Needs IN_C divisible by 16 and OUT_C by 16 * ACROSS.
// use store_window
// vec4 input, weights, bias

const SIDE = 18u;
const PIXEL = 6u; // a staged pixel: 16 channels and 8 unused, so that the rows of a tile lie in different banks
const TILES = 16u / TILE; // along 16 pixels, 16 channels, or 16 terms of the sum

var<workgroup> area: array<vec4<Elem>, SIDE * SIDE * PIXEL>;
var<workgroup> rows: array<vec4f, 256u * ACROSS>; // of each subgroup: 2 rows x 16 pixels x 16 channels

@compute @workgroup_size(SUBGROUP * 2u * ACROSS)
fn main(
    @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32, @builtin(subgroup_id) subgroup: u32, @builtin(subgroup_invocation_id) lane: u32,
) {
    let id = group.y * groups.x + group.x; // naga takes what a function returns for divergent
    let blocks_x = (POOL_W + 7u) / 8u;
    let blocks_y = (POOL_H + 7u) / 8u;
    let stripes = OUT_C / (16u * ACROSS);
    if id >= BATCH * blocks_y * blocks_x * stripes { return; }
    let block = id / stripes;
    let n = block / (blocks_x * blocks_y);
    let corner = vec2u(block % blocks_x, block / blocks_x % blocks_y) * 16u;
    let channel = (id % stripes * ACROSS + subgroup / 2u) * 16u; // first of this subgroup's
    let top = subgroup % 2u * 8u; // first row of this subgroup's

    var sums: array<TileC, 8u * TILES * TILES>;
    for (var i = 0u; i < 8u * TILES * TILES; i++) { sums[i] = TileC(); }
    for (var from_channel = 0u; from_channel < IN_C; from_channel += 16u) {
        workgroupBarrier();
        for (var i = local; i < SIDE * SIDE * 4u; i += SUBGROUP * 2u * ACROSS) { stage(n, corner, from_channel, i); }
        workgroupBarrier();
        for (var k = 0u; k < TILES; k++) {
            for (var kx = 0u; kx < 3u; kx++) {
                var pixels: array<TileA, 10u * TILES>;
                for (var i = 0u; i < 10u * TILES; i++) {
                    let pixel = (top + i / TILES) * SIDE + i % TILES * TILE + kx;
                    pixels[i] = coopLoadT<TileA>(&area[pixel * PIXEL + k * TILE / 4u], PIXEL);
                }
                for (var ky = 0u; ky < 3u; ky++) {
                    for (var c = 0u; c < TILES; c++) {
                        let term = (ky * 3u + kx) * IN_C + from_channel + k * TILE;
                        let w = coopLoadT<TileB>(&weights[(term * OUT_C + channel + c * TILE) / 4u], OUT_C / 4u);
                        for (var i = 0u; i < 8u * TILES; i++) {
                            sums[i * TILES + c] = coopMultiplyAdd(pixels[ky * TILES + i], w, sums[i * TILES + c]);
                        }
                    }
                }
            }
        }
    }

    let own = subgroup * 128u;
    for (var pair = 0u; pair < 4u; pair++) {
        workgroupBarrier();
        for (var i = 0u; i < 2u * TILES * TILES; i++) {
            let pixel = i / (TILES * TILES) * 16u + i / TILES % TILES * TILE;
            coopStoreT(sums[pair * 2u * TILES * TILES + i], &rows[own + pixel * 4u + i % TILES * TILE / 4u], 4u);
        }
        workgroupBarrier();
        let py = (corner.y + top) / 2u + pair;
        for (var i = lane; i < 32u; i += SUBGROUP) { pool(n, py, corner.x / 2u + i / 4u, channel / 4u + i % 4u, own + i / 4u * 8u + i % 4u); }
    }
}

// Four channels of a pixel of the area, which starts one row above and one column left of the block; zero outside the image.
fn stage(n: u32, corner: vec2u, channel: u32, i: u32) {
    let pixel = i / 4u;
    let at = corner + vec2u(pixel % SIDE, pixel / SIDE) - 1u; // below zero wraps to a large number
    let place = ((n * IN_H + at.y) * IN_W + at.x) * IN_C + channel;
    var value = vec4<Elem>();
    if at.x < IN_W && at.y < IN_H { value = input[place / 4u + i % 4u]; }
    area[pixel * PIXEL + i % 4u] = value;
}

// Bias, relu and max of a window, four channels.
fn pool(n: u32, py: u32, px: u32, word: u32, at: u32) {
    if py >= POOL_H || px >= POOL_W { return; }
    let start = bias[word];
    let place = ((n * POOL_H + py) * POOL_W + px) * WORDS + word;
    store_window(place, rows[at] + start, rows[at + 4u] + start, rows[at + 64u] + start, rows[at + 68u] + start);
}
