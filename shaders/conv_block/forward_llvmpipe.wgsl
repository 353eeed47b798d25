// conv_block.forward for software adapters (formula: forward_direct.wgsl) with subgroups of 8, one AVX2 register wide. There
// a load is a loop over the eight lanes, as dear as 15 to 20 multiply-adds, while a shuffle costs next to nothing.
// One thread computes 2x2 pooled pixels x 16 output channels: 4x4 pixels x 16 channels, 256 sums. Per four input channels
// it loads the 6x6 patch (36 vec4) and its eighth of the subgroup's nine taps x 4 x 16 weights (18 vec4), which the lanes
// then hand around: 9216 multiply-adds for 54 loads. A workgroup shares its sixteen channels. Needs IN_C divisible by 4,
// OUT_C by 16.
// use index
// vec4 input, weights, bias, pooled

// Four output channels; column r, row c of a matrix: pixel (r, c) of the 4x4 tile.
struct Sums { c0: mat4x4f, c1: mat4x4f, c2: mat4x4f, c3: mat4x4f }

// Six pixels of a row as the three runs of four that the taps see; column i of a run: input channel i, row c: pixel c.
struct Row { left: mat4x4f, middle: mat4x4f, right: mat4x4f }

struct Patch { r0: Row, r1: Row, r2: Row, r3: Row, r4: Row, r5: Row }

// The lane's share of the weights, a matrix for each tap: lane l holds output channels 4 * (l % 4).. of input channel l / 4 in
// the first column, of input channel 2 + l / 4 in the second.
struct Taps { t0: mat2x4f, t1: mat2x4f, t2: mat2x4f, t3: mat2x4f, t4: mat2x4f, t5: mat2x4f, t6: mat2x4f, t7: mat2x4f, t8: mat2x4f }

// The tile's first pooled pixel.
struct Place { n: u32, py: u32, px: u32 }

@compute @workgroup_size(32)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let tiles = OUT_C / 16u;
    let blocks_x = (POOL_W + 1u) / 2u;
    let blocks_y = (POOL_H + 1u) / 2u;
    let flat = flat_group(group, groups);
    let tile = flat % tiles;
    // threads past the last block repeat the last and store nothing, as their lanes hold weights
    let wanted = flat / tiles * 32u + local;
    let id = min(wanted, BATCH * blocks_y * blocks_x - 1u);
    let at = Place(id / (blocks_x * blocks_y), id / blocks_x % blocks_y * 2u, id % blocks_x * 2u);

    let lane = local % 8u;
    let next = IN_C * OUT_C / 4u; // from one tap to the next
    var g0 = Sums();
    var g1 = Sums();
    var g2 = Sums();
    var g3 = Sums();
    for (var ic = 0u; ic < IN_C / 4u; ic++) {
        let x = Patch(load(at, 0u, ic), load(at, 1u, ic), load(at, 2u, ic), load(at, 3u, ic), load(at, 4u, ic), load(at, 5u, ic));
        let w = ((ic * 4u + lane / 4u) * tiles + tile) * 4u + lane % 4u;
        let t = Taps(share(w), share(w + next), share(w + next * 2u), share(w + next * 3u), share(w + next * 4u),
            share(w + next * 5u), share(w + next * 6u), share(w + next * 7u), share(w + next * 8u));
        g0 = four(g0, x, t, 0u);
        g1 = four(g1, x, t, 1u);
        g2 = four(g2, x, t, 2u);
        g3 = four(g3, x, t, 3u);
    }
    if wanted > id { return; }
    pool(at, tile * 4u, g0);
    pool(at, tile * 4u + 1u, g1);
    pool(at, tile * 4u + 2u, g2);
    pool(at, tile * 4u + 3u, g3);
}

// Row `row` of the patch, which starts one row above and one column left of the tile (below zero wraps to a large number).
fn load(at: Place, row: u32, ic: u32) -> Row {
    let y = at.py * 2u + row - 1u;
    let x = at.px * 2u - 1u;
    let a = pixel(at.n, y, x, ic);
    let b = pixel(at.n, y, x + 1u, ic);
    let c = pixel(at.n, y, x + 2u, ic);
    let d = pixel(at.n, y, x + 3u, ic);
    let e = pixel(at.n, y, x + 4u, ic);
    let f = pixel(at.n, y, x + 5u, ic);
    return Row(transpose(mat4x4f(a, b, c, d)), transpose(mat4x4f(b, c, d, e)), transpose(mat4x4f(c, d, e, f)));
}

// Four channels of a pixel, zero outside the image.
fn pixel(n: u32, y: u32, x: u32, ic: u32) -> vec4f {
    let inside = y < IN_H && x < IN_W;
    let place = ((n * IN_H + y) * IN_W + x) * (IN_C / 4u) + ic;
    return select(vec4f(), input[select(0u, place, inside)], inside);
}

fn share(at: u32) -> mat2x4f {
    return mat2x4f(weights[at], weights[at + OUT_C / 2u]);
}

// Adds four input channels' taps to output channels 4g..4g+3 of the sixteen. The order, a channel after the other, keeps a
// channel's sums in registers while all taps pass.
fn four(before: Sums, x: Patch, t: Taps, g: u32) -> Sums {
    return Sums(channel(before.c0, x, t, g, 0u), channel(before.c1, x, t, g, 1u), channel(before.c2, x, t, g, 2u), channel(before.c3, x, t, g, 3u));
}

fn channel(before: mat4x4f, x: Patch, t: Taps, g: u32, j: u32) -> mat4x4f {
    let upper = mat3x4f(weight(t.t0, g, j), weight(t.t1, g, j), weight(t.t2, g, j));
    let a = mat4x4f(taps(before[0], x.r0, upper), taps(before[1], x.r1, upper), taps(before[2], x.r2, upper), taps(before[3], x.r3, upper));
    let middle = mat3x4f(weight(t.t3, g, j), weight(t.t4, g, j), weight(t.t5, g, j));
    let b = mat4x4f(taps(a[0], x.r1, middle), taps(a[1], x.r2, middle), taps(a[2], x.r3, middle), taps(a[3], x.r4, middle));
    let lower = mat3x4f(weight(t.t6, g, j), weight(t.t7, g, j), weight(t.t8, g, j));
    return mat4x4f(taps(b[0], x.r2, lower), taps(b[1], x.r3, lower), taps(b[2], x.r4, lower), taps(b[3], x.r5, lower));
}

// A tap's weights for output channel 4g + j, four input channels, from the lanes that hold them.
fn weight(tap: mat2x4f, g: u32, j: u32) -> vec4f {
    let low = tap[0][j];
    let high = tap[1][j];
    return vec4f(subgroupShuffle(low, g), subgroupShuffle(low, 4u + g), subgroupShuffle(high, g), subgroupShuffle(high, 4u + g));
}

// Four pixels of a row: three taps of four channels.
fn taps(before: vec4f, x: Row, w: mat3x4f) -> vec4f {
    return tap(tap(tap(before, x.left, w[0]), x.middle, w[1]), x.right, w[2]);
}

fn tap(before: vec4f, x: mat4x4f, w: vec4f) -> vec4f {
    return fma(x[3], vec4f(w.w), fma(x[2], vec4f(w.z), fma(x[1], vec4f(w.y), fma(x[0], vec4f(w.x), before))));
}

// Bias, relu and max of the tile's windows, four channels.
fn pool(at: Place, word: u32, s: Sums) {
    let place = ((at.n * POOL_H + at.py) * POOL_W + at.px) * WORDS + word;
    windows(place, bias[word], at.px, s, 0u);
    if at.py + 1u < POOL_H { windows(place + POOL_W * WORDS, bias[word], at.px, s, 2u); }
}

// Two windows, from rows r and r + 1 of the tile.
fn windows(place: u32, b: vec4f, px: u32, s: Sums, r: u32) {
    // column c: the four channels of pixel c
    let y = transpose(mat4x4f(s.c0[r], s.c1[r], s.c2[r], s.c3[r]));
    let z = transpose(mat4x4f(s.c0[r + 1u], s.c1[r + 1u], s.c2[r + 1u], s.c3[r + 1u]));
    store(place, b, y[0], y[1], z[0], z[1]);
    if px + 1u < POOL_W { store(place + WORDS, b, y[2], y[3], z[2], z[3]); }
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
    argmax[place] = code.x | (code.y << 8u) | (code.z << 16u) | (code.w << 24u);
}
