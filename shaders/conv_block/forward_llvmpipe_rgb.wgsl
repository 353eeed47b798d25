// conv_block.forward of pictures, three input channels, for software adapters (formula: forward_direct.wgsl) with subgroups of
// 8, where a load is a loop over the lanes and a shuffle costs next to nothing (see forward_llvmpipe.wgsl).
// One thread computes 2x2 pooled pixels x 16 output channels: 4x4 pixels x 16 channels, 256 sums. It loads the 6x6 patch as
// runs of floats (six rows x five vec4) and its eighth of the 27 x 16 weights (15 vec4), which the lanes then hand around:
// 6912 multiply-adds for 45 loads, no loop. A workgroup shares its sixteen channels. Needs IN_C = 3, IN_W divisible by 4,
// OUT_C by 16.
// use index, llvmpipe_pool
// vec4 input, weights

// Six pixels of a row as the three runs of four that the taps see; column i of a run: input channel i, row c: pixel c.
struct Row { left: mat3x4f, middle: mat3x4f, right: mat3x4f }

struct Patch { r0: Row, r1: Row, r2: Row, r3: Row, r4: Row, r5: Row }

// The lane's share of a row of taps, nine weights (three taps x three input channels) of each output channel: lane l holds
// output channels 4 * (l % 4).. of weights l / 4, 2 + l / 4, 4 + l / 4, ...
struct Share { w01: vec4f, w23: vec4f, w45: vec4f, w67: vec4f, w8: vec4f }

struct Taps { r0: Share, r1: Share, r2: Share }

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
    let x = Patch(load(at, 0u), load(at, 1u), load(at, 2u), load(at, 3u), load(at, 4u), load(at, 5u));
    let word = tile * 4u + lane % 4u;
    let t = Taps(share(0u, lane, word), share(9u, lane, word), share(18u, lane, word));
    let g0 = four(Sums(), x, t, 0u);
    let g1 = four(Sums(), x, t, 1u);
    let g2 = four(Sums(), x, t, 2u);
    let g3 = four(Sums(), x, t, 3u);
    if wanted > id { return; }
    pool(at, tile * 4u, g0);
    pool(at, tile * 4u + 1u, g1);
    pool(at, tile * 4u + 2u, g2);
    pool(at, tile * 4u + 3u, g3);
}

// Row `row` of the patch, which starts one row above and one column left of the tile (below zero wraps to a large number).
// A tile's four pixels are three vec4; one more on each side holds the pixels beside them.
fn load(at: Place, row: u32) -> Row {
    let y = at.py * 2u + row - 1u;
    let start = ((at.n * IN_H + y) * (IN_W / 4u) + at.px / 2u) * 3u;
    let inside = y < IN_H;
    let u = run(start - 1u, inside && at.px > 0u);
    let v = run(start, inside);
    let w = run(start + 1u, inside);
    let x = run(start + 2u, inside);
    let z = run(start + 3u, inside && at.px * 2u + 4u < IN_W);
    let b = v.xyz;
    let c = vec3f(v.w, w.xy);
    let d = vec3f(w.zw, x.x);
    let e = x.yzw;
    return Row(transpose(mat4x3f(u.yzw, b, c, d)), transpose(mat4x3f(b, c, d, e)), transpose(mat4x3f(c, d, e, z.xyz)));
}

// Four floats, zero outside the image.
fn run(at: u32, inside: bool) -> vec4f {
    return select(vec4f(), input[select(0u, at, inside)], inside);
}

// Nine weights from number `first` on.
fn share(first: u32, lane: u32, word: u32) -> Share {
    let at = (first + lane / 4u) * WORDS + word;
    return Share(weights[at], weights[at + 2u * WORDS], weights[at + 4u * WORDS], weights[at + 6u * WORDS],
        weights[(first + 8u) * WORDS + word]);
}

// Adds all taps to output channels 4g..4g+3 of the sixteen. The order, a channel after the other, keeps a channel's sums in
// registers while all taps pass.
fn four(before: Sums, x: Patch, t: Taps, g: u32) -> Sums {
    return Sums(channel(before.c0, x, t, g, 0u), channel(before.c1, x, t, g, 1u), channel(before.c2, x, t, g, 2u), channel(before.c3, x, t, g, 3u));
}

fn channel(before: mat4x4f, x: Patch, t: Taps, g: u32, j: u32) -> mat4x4f {
    let upper = weight(t.r0, g, j);
    let a = mat4x4f(taps(before[0], x.r0, upper), taps(before[1], x.r1, upper), taps(before[2], x.r2, upper), taps(before[3], x.r3, upper));
    let middle = weight(t.r1, g, j);
    let b = mat4x4f(taps(a[0], x.r1, middle), taps(a[1], x.r2, middle), taps(a[2], x.r3, middle), taps(a[3], x.r4, middle));
    let lower = weight(t.r2, g, j);
    return mat4x4f(taps(b[0], x.r2, lower), taps(b[1], x.r3, lower), taps(b[2], x.r4, lower), taps(b[3], x.r5, lower));
}

// A row of taps for output channel 4g + j, from the lanes that hold it; column kx, row: input channel.
fn weight(t: Share, g: u32, j: u32) -> mat3x3f {
    return mat3x3f(
        subgroupShuffle(t.w01[j], g), subgroupShuffle(t.w01[j], 4u + g), subgroupShuffle(t.w23[j], g),
        subgroupShuffle(t.w23[j], 4u + g), subgroupShuffle(t.w45[j], g), subgroupShuffle(t.w45[j], 4u + g),
        subgroupShuffle(t.w67[j], g), subgroupShuffle(t.w67[j], 4u + g), subgroupShuffle(t.w8[j], g));
}

// Four pixels of a row: three taps of three channels.
fn taps(before: vec4f, x: Row, w: mat3x3f) -> vec4f {
    return tap(tap(tap(before, x.left, w[0]), x.middle, w[1]), x.right, w[2]);
}

fn tap(before: vec4f, x: mat3x4f, w: vec3f) -> vec4f {
    return fma(x[2], vec4f(w.z), fma(x[1], vec4f(w.y), fma(x[0], vec4f(w.x), before)));
}
