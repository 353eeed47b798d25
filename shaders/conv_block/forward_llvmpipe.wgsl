// conv_block.forward for software adapters (formula: forward_direct.wgsl) with subgroups of 8, one AVX2 register wide. There
// a load is a loop over the eight lanes, as dear as 15 to 20 multiply-adds, while a shuffle costs next to nothing.
// One thread computes 2x2 pooled pixels x 16 output channels: 4x4 pixels x 16 channels, 256 sums. Per four input channels
// it loads the 6x6 patch (36 vec4) and its eighth of the subgroup's nine taps x 4 x 16 weights (18 vec4), which the lanes
// then hand around: 9216 multiply-adds for 54 loads. A workgroup shares its sixteen channels. Needs IN_C divisible by 4,
// OUT_C by 16.
// use index, llvmpipe_patch, llvmpipe_pool
// vec4 input, weights

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
    return row_of(a, b, c, d, e, f);
}

// Four channels of a pixel, zero outside the image.
fn pixel(n: u32, y: u32, x: u32, ic: u32) -> vec4f {
    let inside = y < IN_H && x < IN_W;
    let place = ((n * IN_H + y) * IN_W + x) * (IN_C / 4u) + ic;
    return select(vec4f(), input[select(0u, place, inside)], inside);
}

// The lane's share of a tap's weights: lane l holds output channels 4 * (l % 4).. of input channel l / 4 in the first column, of input
// channel 2 + l / 4 in the second.
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
    let middle = mat3x4f(weight(t.t3, g, j), weight(t.t4, g, j), weight(t.t5, g, j));
    let lower = mat3x4f(weight(t.t6, g, j), weight(t.t7, g, j), weight(t.t8, g, j));
    return add_taps(before, x, upper, middle, lower);
}

// A tap's weights for output channel 4g + j, four input channels, from the lanes that hold them.
fn weight(tap: mat2x4f, g: u32, j: u32) -> vec4f {
    let low = tap[0][j];
    let high = tap[1][j];
    return vec4f(subgroupShuffle(low, g), subgroupShuffle(low, 4u + g), subgroupShuffle(high, g), subgroupShuffle(high, 4u + g));
}
