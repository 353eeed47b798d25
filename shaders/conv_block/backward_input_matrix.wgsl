// conv_block.backward_input on cooperative matrices (formula: backward_input_direct.wgsl).
// As a product of matrices: rows are 16 neighbouring pixels of an image row, columns 16 input channels, the sum runs over
// 9 taps x OUT_C. A workgroup computes 16 x 16 pixels x 16 * ACROSS channels with 2 * ACROSS subgroups; each of them holds 8
// rows of 16 pixels x 16 channels in tiles of f32 sums. Per 16 output channels the workgroup expands the 10 x 10 pooling
// windows around its pixels to 18 x 18 pixels of e; a tap is then a shifted tile of them, and the ten rows a subgroup
// loads for a column of taps serve all three taps. Weights come straight from memory, transposed by the load.
// Needs OUT_C divisible by 16 and IN_C by 16 * ACROSS.
// use codes
// vec4 pooled_gradient, weights, input_gradient

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
    let blocks_x = (IN_W + 15u) / 16u;
    let blocks_y = (IN_H + 15u) / 16u;
    let stripes = IN_C / (16u * ACROSS);
    if id >= BATCH * blocks_y * blocks_x * stripes { return; }
    let block = id / stripes;
    let n = block / (blocks_x * blocks_y);
    let corner = vec2u(block % blocks_x, block / blocks_x % blocks_y) * 16u;
    let channel = (id % stripes * ACROSS + subgroup / 2u) * 16u; // first of this subgroup's
    let top = subgroup % 2u * 8u; // first row of this subgroup's

    var sums: array<TileC, 8u * TILES * TILES>;
    for (var i = 0u; i < 8u * TILES * TILES; i++) { sums[i] = TileC(); }
    for (var from_word = 0u; from_word < WORDS; from_word += 4u) {
        workgroupBarrier();
        for (var i = local; i < 400u; i += SUBGROUP * 2u * ACROSS) { stage(n, corner / 2u, from_word, i); }
        workgroupBarrier();
        for (var k = 0u; k < TILES; k++) {
            for (var kx = 0u; kx < 3u; kx++) {
                var pixels: array<TileA, 10u * TILES>;
                for (var i = 0u; i < 10u * TILES; i++) {
                    let pixel = (top + i / TILES) * SIDE + i % TILES * TILE + 2u - kx;
                    pixels[i] = coopLoadT<TileA>(&area[pixel * PIXEL + k * TILE / 4u], PIXEL);
                }
                for (var ky = 0u; ky < 3u; ky++) {
                    for (var c = 0u; c < TILES; c++) {
                        let row = (ky * 3u + kx) * IN_C + channel + c * TILE;
                        let w = coopLoad<TileB>(&weights[row * WORDS + from_word + k * TILE / 4u], WORDS);
                        for (var i = 0u; i < 8u * TILES; i++) {
                            sums[i * TILES + c] = coopMultiplyAdd(pixels[(2u - ky) * TILES + i], w, sums[i * TILES + c]);
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
        for (var i = lane; i < 128u; i += SUBGROUP) {
            let at = corner + vec2u(i / 4u % 16u, top + pair * 2u + i / 64u);
            if at.x >= IN_W || at.y >= IN_H { continue; }
            input_gradient[(((n * IN_H + at.y) * IN_W + at.x) * IN_C + channel) / 4u + i % 4u] = vec4<Elem>(rows[own + i]);
        }
    }
}

// Expands four channels of a window to its four pixels, where they lie in the area, which starts one row above and one
// column left of the block: the first windows give their last row or column only, the last windows their first.
fn stage(n: u32, corner: vec2u, from_word: u32, i: u32) {
    let window = vec2u(i / 4u % 10u, i / 40u);
    let at = corner + window - 1u; // below zero wraps to a large number
    var gradient = vec4<Elem>();
    var code = vec4u(4u);
    if at.x < POOL_W && at.y < POOL_H {
        let place = ((n * POOL_H + at.y) * POOL_W + at.x) * WORDS + from_word + i % 4u;
        gradient = pooled_gradient[place];
        code = codes(argmax[place]);
    }
    for (var q = 0u; q < 4u; q++) {
        let pixel = window * 2u + vec2u(q % 2u, q / 2u) - 1u;
        if pixel.x >= SIDE || pixel.y >= SIDE { continue; }
        area[(pixel.y * SIDE + pixel.x) * PIXEL + i % 4u] = select(vec4<Elem>(), gradient, code == vec4u(q));
    }
}
