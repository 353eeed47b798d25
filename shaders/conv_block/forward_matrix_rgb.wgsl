// conv_block.forward of pictures, three input channels, on cooperative matrices (formula: forward_direct.wgsl).
// As a product of matrices: rows are 16 neighbouring pixels of an image row, columns 16 output channels, the sum runs over 27
// terms, padded to 32. A workgroup computes 16 x 16 pixels x all output channels with four subgroups, each of which takes four
// rows, two at a time. The workgroup stages its 18 x 18 pixels; each subgroup unfolds two rows of them, 32 terms to a pixel,
// keeps these tiles and multiplies them with 16 channels after the other. Weights come straight from memory: the last tile of terms
// starts at 27 - TILE, so that it ends with the weights, and its five terms that the tile before it has too are zero.
// Sums leave through workgroup memory, to be pooled. Needs IN_C = 3 and OUT_C divisible by 16.
// use rgb_terms, store_window
// vec4 bias

const TILES = 16u / TILE; // along 16 pixels, channels or terms

var<workgroup> picture: array<Elem, WIDTH * WIDTH * 3u>;
var<workgroup> terms: array<vec4<Elem>, 4u * 32u * PIXEL>; // of each subgroup: 2 rows x 16 pixels
var<workgroup> rows: array<vec4f, 4u * 128u>; // of each subgroup: 2 rows x 16 pixels x 16 channels

@compute @workgroup_size(SUBGROUP * 4u)
fn main(
    @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32, @builtin(subgroup_id) subgroup: u32, @builtin(subgroup_invocation_id) lane: u32,
) {
    let id = group.y * groups.x + group.x; // naga takes what a function returns for divergent
    let blocks_x = (POOL_W + 7u) / 8u;
    let blocks_y = (POOL_H + 7u) / 8u;
    if id >= BATCH * blocks_y * blocks_x { return; }
    let n = id / (blocks_x * blocks_y);
    let corner = vec2u(id % blocks_x, id / blocks_x % blocks_y) * 16u;
    for (var i = local; i < WIDTH * WIDTH * 3u; i += SUBGROUP * 4u) { picture[i] = seen(n, corner, i); }

    for (var pair = 0u; pair < 2u; pair++) {
        let row = subgroup * 4u + pair * 2u;
        workgroupBarrier();
        for (var i = lane; i < 32u; i += SUBGROUP) { unfold(subgroup * 32u + i, ((row + i / 16u) * WIDTH + i % 16u) * 3u); }
        workgroupBarrier();
        var x: array<TileA, 4u * TILES * TILES>;
        for (var i = 0u; i < 4u * TILES * TILES; i++) {
            let pixel = subgroup * 32u + i % (2u * TILES) * TILE;
            x[i] = coopLoadT<TileA>(&terms[pixel * PIXEL + i / (2u * TILES) * TILE / 4u], PIXEL);
        }
        for (var channel = 0u; channel < OUT_C; channel += 16u) {
            var sums: array<TileC, 2u * TILES * TILES>;
            for (var i = 0u; i < 2u * TILES * TILES; i++) { sums[i] = TileC(); }
            for (var k = 0u; k < 2u * TILES; k++) {
                let term = min(k * TILE, 27u - TILE);
                for (var c = 0u; c < TILES; c++) {
                    let w = coopLoadT<TileB>(&weights[term * OUT_C + channel + c * TILE], OUT_C);
                    for (var r = 0u; r < 2u * TILES; r++) {
                        sums[r * TILES + c] = coopMultiplyAdd(x[k * 2u * TILES + r], w, sums[r * TILES + c]);
                    }
                }
            }
            workgroupBarrier();
            for (var i = 0u; i < 2u * TILES * TILES; i++) {
                coopStoreT(sums[i], &rows[subgroup * 128u + i / TILES * TILE * 4u + i % TILES * TILE / 4u], 4u);
            }
            workgroupBarrier();
            for (var i = lane; i < 32u; i += SUBGROUP) {
                let at = subgroup * 128u + i / 4u * 8u + i % 4u;
                pool(n, (corner.y + row) / 2u, corner.x / 2u + i / 4u, channel / 4u + i % 4u, at);
            }
        }
    }
}

fn term_of(corner: u32, i: u32) -> Elem {
    let term = select(i, i - 5u, i >= 32u - TILE);
    if i >= 32u - TILE && i < 37u - TILE { return Elem(); }
    return picture[corner + term / 9u * WIDTH * 3u + term % 9u];
}

// Bias, relu and max of a window, four channels.
fn pool(n: u32, py: u32, px: u32, word: u32, at: u32) {
    if py >= POOL_H || px >= POOL_W { return; }
    let start = bias[word];
    let place = ((n * POOL_H + py) * POOL_W + px) * WORDS + word;
    store_window(place, rows[at] + start, rows[at + 4u] + start, rows[at + 64u] + start, rows[at + 68u] + start);
}
