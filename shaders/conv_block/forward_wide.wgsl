// conv_block.forward for software adapters (formula: forward_direct.wgsl), where a load is a gather lane by lane and registers
// spill anyway, so that arithmetic per load is what counts.
// One thread computes 2x2 pooled pixels x 8 output channels: 4x4 pixels x 8 channels, 128 sums. Per input channel it loads
// the 6x6 patch (36 scalars) and nine taps x 8 weights (18 vec4) for 1152 multiply-adds. Needs OUT_C divisible by 8.
override BATCH: u32;
override IN_H: u32;
override IN_W: u32;
override IN_C: u32;
override POOL_H: u32;
override POOL_W: u32;
override OUT_C: u32;
override WORDS: u32;

@group(0) @binding(1) var<storage, read> input: array<f32>;
@group(0) @binding(2) var<storage, read> weights: array<vec4f>;
@group(0) @binding(3) var<storage, read> bias: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> pooled: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> winner: array<u32>;

// One matrix per output channel; column r, row c: pixel (r, c) of the 4x4 tile.
struct Sums { c0: mat4x4f, c1: mat4x4f, c2: mat4x4f, c3: mat4x4f, c4: mat4x4f, c5: mat4x4f, c6: mat4x4f, c7: mat4x4f }

// Six pixels of a row, as the three runs of four that the taps see.
struct Row { left: vec4f, middle: vec4f, right: vec4f }

// Where the patch lies; columns that are outside the image read column 0 and count as zero.
struct Patch { image: u32, top: u32, across: vec4u, inside: vec4<bool>, across2: vec2u, inside2: vec2<bool> }

// The tile's first pooled pixel and its eight channels.
struct Place { n: u32, py: u32, px: u32, tile: u32 }

@compute @workgroup_size(32)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 32u + local;
    let tiles = OUT_C / 8u;
    let blocks_x = (POOL_W + 1u) / 2u;
    let blocks_y = (POOL_H + 1u) / 2u;
    if id >= BATCH * blocks_y * blocks_x * tiles { return; }
    let tile = id / (blocks_x * blocks_y) % tiles;
    let bx = id % blocks_x;
    let by = id / blocks_x % blocks_y;
    let n = id / (blocks_x * blocks_y * tiles);

    let left = bx * 4u - 1u; // below zero wraps to a large number
    let columns = left + vec4u(0u, 1u, 2u, 3u);
    let columns2 = left + vec2u(4u, 5u);
    let inside = columns < vec4u(IN_W);
    let inside2 = columns2 < vec2u(IN_W);
    let across = select(vec4u(), columns, inside) * IN_C;
    let across2 = select(vec2u(), columns2, inside2) * IN_C;
    let patch_at = Patch(n * IN_H, by * 4u - 1u, across, inside, across2, inside2);

    var sums = Sums();
    for (var ic = 0u; ic < IN_C; ic++) {
        let r0 = load(patch_at, 0u, ic);
        let r1 = load(patch_at, 1u, ic);
        let r2 = load(patch_at, 2u, ic);
        let r3 = load(patch_at, 3u, ic);
        let r4 = load(patch_at, 4u, ic);
        let r5 = load(patch_at, 5u, ic);
        let w = (ic * tiles + tile) * 2u;
        let next = IN_C * tiles * 2u; // from one tap to the next
        accumulate(&sums, w, mat4x4f(r0.left, r1.left, r2.left, r3.left));
        accumulate(&sums, w + next, mat4x4f(r0.middle, r1.middle, r2.middle, r3.middle));
        accumulate(&sums, w + next * 2u, mat4x4f(r0.right, r1.right, r2.right, r3.right));
        accumulate(&sums, w + next * 3u, mat4x4f(r1.left, r2.left, r3.left, r4.left));
        accumulate(&sums, w + next * 4u, mat4x4f(r1.middle, r2.middle, r3.middle, r4.middle));
        accumulate(&sums, w + next * 5u, mat4x4f(r1.right, r2.right, r3.right, r4.right));
        accumulate(&sums, w + next * 6u, mat4x4f(r2.left, r3.left, r4.left, r5.left));
        accumulate(&sums, w + next * 7u, mat4x4f(r2.middle, r3.middle, r4.middle, r5.middle));
        accumulate(&sums, w + next * 8u, mat4x4f(r2.right, r3.right, r4.right, r5.right));
    }

    let place = Place(n, by * 2u, bx * 2u, tile);
    pool(&sums, place, 0u, 0u);
    pool(&sums, place, 0u, 1u);
    pool(&sums, place, 1u, 0u);
    pool(&sums, place, 1u, 1u);
}

// Row `row` of the patch, zero outside the image.
fn load(at: Patch, row: u32, ic: u32) -> Row {
    let y = at.top + row;
    if y >= IN_H { return Row(vec4f(), vec4f(), vec4f()); }
    let start = (at.image + y) * IN_W * IN_C + ic;
    let a = start + at.across;
    let b = start + at.across2;
    let four = select(vec4f(), vec4f(input[a.x], input[a.y], input[a.z], input[a.w]), at.inside);
    let two = select(vec2f(), vec2f(input[b.x], input[b.y]), at.inside2);
    return Row(four, vec4f(four.yzw, two.x), vec4f(four.zw, two));
}

// One tap: `x` holds what it sees from each of the 4x4 pixels.
fn accumulate(sums: ptr<function, Sums>, at: u32, x: mat4x4f) {
    let low = weights[at];
    let high = weights[at + 1u];
    (*sums).c0 += x * low.x;
    (*sums).c1 += x * low.y;
    (*sums).c2 += x * low.z;
    (*sums).c3 += x * low.w;
    (*sums).c4 += x * high.x;
    (*sums).c5 += x * high.y;
    (*sums).c6 += x * high.z;
    (*sums).c7 += x * high.w;
}

// Bias, relu and max of window (y, x) of the tile, eight channels.
fn pool(sums: ptr<function, Sums>, at: Place, y: u32, x: u32) {
    if at.py + y >= POOL_H || at.px + x >= POOL_W { return; }
    let place = ((at.n * POOL_H + at.py + y) * POOL_W + at.px + x) * WORDS + at.tile * 2u;
    let r = y * 2u;
    let s = x * 2u;
    store(place, bias[at.tile * 2u], low(sums, r, s), low(sums, r, s + 1u), low(sums, r + 1u, s), low(sums, r + 1u, s + 1u));
    store(place + 1u, bias[at.tile * 2u + 1u], high(sums, r, s), high(sums, r, s + 1u), high(sums, r + 1u, s), high(sums, r + 1u, s + 1u));
}

// The first four channels of a pixel.
fn low(sums: ptr<function, Sums>, r: u32, s: u32) -> vec4f {
    return vec4f((*sums).c0[r][s], (*sums).c1[r][s], (*sums).c2[r][s], (*sums).c3[r][s]);
}

// The last four channels of a pixel.
fn high(sums: ptr<function, Sums>, r: u32, s: u32) -> vec4f {
    return vec4f((*sums).c4[r][s], (*sums).c5[r][s], (*sums).c6[r][s], (*sums).c7[r][s]);
}

// Bias, relu and max of a window's four pixels; only a larger value takes the window over, so the first maximum wins.
fn store(place: u32, b: vec4f, y0: vec4f, y1: vec4f, y2: vec4f, y3: vec4f) {
    var best = vec4f(0.0);
    var code = vec4u(4u);
    code = select(code, vec4u(0u), b + y0 > best); best = select(best, b + y0, b + y0 > best);
    code = select(code, vec4u(1u), b + y1 > best); best = select(best, b + y1, b + y1 > best);
    code = select(code, vec4u(2u), b + y2 > best); best = select(best, b + y2, b + y2 > best);
    code = select(code, vec4u(3u), b + y3 > best); best = select(best, b + y3, b + y3 > best);
    pooled[place] = best;
    winner[place] = code.x | (code.y << 8u) | (code.z << 16u) | (code.w << 24u);
}
