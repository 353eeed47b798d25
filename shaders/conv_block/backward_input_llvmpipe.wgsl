// conv_block.backward_input for software adapters (formula: backward_input_direct.wgsl) with subgroups of 8, where a load is
// a loop over the lanes and a shuffle costs next to nothing (see forward_llvmpipe.wgsl).
// One thread computes 4x4 input pixels x 16 input channels, 256 sums. Per four output channels it loads the 16 pooling
// windows around its pixels (a vec4 of gradients and a word of argmax codes each), expands them to the 6x6 patch of convolution
// outputs that reach the pixels, and loads its eighth of the subgroup's nine taps x 16 x 4 weights (18 vec4), which the
// lanes then hand around: 9216 multiply-adds for 50 loads. A workgroup shares its sixteen channels. Needs IN_C divisible by 16
// and OUT_C by 4.
// use codes, index, llvmpipe_patch
// vec4 pooled_gradient, weights, input_gradient

// Four input channels; column r, row c of a matrix: pixel (r, c) of the 4x4 tile.
struct Sums { c0: mat4x4f, c1: mat4x4f, c2: mat4x4f, c3: mat4x4f }

// A pooling window's gradient and argmax codes, four output channels.
struct Window { gradient: vec4f, argmax: vec4u }

// Four windows side by side.
struct Windows { a: Window, b: Window, c: Window, d: Window }

// The tile's first pixel.
struct Place { n: u32, y: u32, x: u32 }

@compute @workgroup_size(32)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let tiles = IN_C / 16u;
    let blocks_x = (IN_W + 3u) / 4u;
    let blocks_y = (IN_H + 3u) / 4u;
    let flat = flat_group(group, groups);
    let tile = flat % tiles;
    // threads past the last block repeat the last and store nothing, as their lanes hold weights
    let wanted = flat / tiles * 32u + local;
    let id = min(wanted, BATCH * blocks_y * blocks_x - 1u);
    let at = Place(id / (blocks_x * blocks_y), id / blocks_x % blocks_y * 4u, id % blocks_x * 4u);

    let next = IN_C * WORDS; // from one tap to the next
    var g0 = Sums();
    var g1 = Sums();
    var g2 = Sums();
    var g3 = Sums();
    for (var word = 0u; word < WORDS; word++) {
        let above = windows(at, 0u, word);
        let upper = windows(at, 1u, word);
        let lower = windows(at, 2u, word);
        let below = windows(at, 3u, word);
        let e = Patch(expand(above, 2u), expand(upper, 0u), expand(upper, 2u), expand(lower, 0u), expand(lower, 2u), expand(below, 0u));
        let w = (tile * 16u + local % 8u) * WORDS + word;
        let t = Taps(share(w), share(w + next), share(w + next * 2u), share(w + next * 3u), share(w + next * 4u),
            share(w + next * 5u), share(w + next * 6u), share(w + next * 7u), share(w + next * 8u));
        g0 = four(g0, e, t, 0u, 0u);
        g1 = four(g1, e, t, 0u, 4u);
        g2 = four(g2, e, t, 1u, 0u);
        g3 = four(g3, e, t, 1u, 4u);
    }
    if wanted > id { return; }
    store(at, tile * 4u, g0);
    store(at, tile * 4u + 1u, g1);
    store(at, tile * 4u + 2u, g2);
    store(at, tile * 4u + 3u, g3);
}

// Row `row` of the windows, which start one above and one left of the tile's own (below zero wraps to a large number).
fn windows(at: Place, row: u32, word: u32) -> Windows {
    let py = at.y / 2u + row - 1u;
    let px = at.x / 2u - 1u;
    return Windows(window(at.n, py, px, word), window(at.n, py, px + 1u, word), window(at.n, py, px + 2u, word), window(at.n, py, px + 3u, word));
}

// Four channels of a window; outside the pooled image nobody won.
fn window(n: u32, py: u32, px: u32, word: u32) -> Window {
    let inside = py < POOL_H && px < POOL_W;
    let place = select(0u, ((n * POOL_H + py) * POOL_W + px) * WORDS + word, inside);
    return Window(pooled_gradient[place], codes(select(0x04040404u, argmax[place], inside)));
}

// The upper (q = 0) or lower (q = 2) half of a row of windows.
fn expand(w: Windows, q: u32) -> Row {
    let a = reach(w.a, q + 1u);
    let b = reach(w.b, q);
    let c = reach(w.b, q + 1u);
    let d = reach(w.c, q);
    let e = reach(w.c, q + 1u);
    let f = reach(w.d, q);
    return row_of(a, b, c, d, e, f);
}

// What the window hands to its pixel q.
fn reach(window: Window, q: u32) -> vec4f {
    return select(vec4f(), window.gradient, window.argmax == vec4u(q));
}

// The lane's share of a tap's weights: lane l holds four output channels of input channel l in the first column, of input channel 8 + l
// in the second.
fn share(at: u32) -> mat2x4f {
    return mat2x4f(weights[at], weights[at + 8u * WORDS]);
}

// Adds four output channels' taps to four of the sixteen input channels, whose weights lanes `first`.. hold in column
// `half`. The order, a channel after the other, keeps a channel's sums in registers while all taps pass.
fn four(before: Sums, e: Patch, t: Taps, half: u32, first: u32) -> Sums {
    return Sums(channel(before.c0, e, t, half, first), channel(before.c1, e, t, half, first + 1u),
        channel(before.c2, e, t, half, first + 2u), channel(before.c3, e, t, half, first + 3u));
}

// Taps run backwards over the patch.
fn channel(before: mat4x4f, e: Patch, t: Taps, half: u32, lane: u32) -> mat4x4f {
    let upper = mat3x4f(subgroupShuffle(t.t8[half], lane), subgroupShuffle(t.t7[half], lane), subgroupShuffle(t.t6[half], lane));
    let middle = mat3x4f(subgroupShuffle(t.t5[half], lane), subgroupShuffle(t.t4[half], lane), subgroupShuffle(t.t3[half], lane));
    let lower = mat3x4f(subgroupShuffle(t.t2[half], lane), subgroupShuffle(t.t1[half], lane), subgroupShuffle(t.t0[half], lane));
    return add_taps(before, e, upper, middle, lower);
}

// The tile, four channels.
fn store(at: Place, word: u32, s: Sums) {
    store_row(at, 0u, word, transpose(mat4x4f(s.c0[0], s.c1[0], s.c2[0], s.c3[0])));
    store_row(at, 1u, word, transpose(mat4x4f(s.c0[1], s.c1[1], s.c2[1], s.c3[1])));
    store_row(at, 2u, word, transpose(mat4x4f(s.c0[2], s.c1[2], s.c2[2], s.c3[2])));
    store_row(at, 3u, word, transpose(mat4x4f(s.c0[3], s.c1[3], s.c2[3], s.c3[3])));
}

fn store_row(at: Place, row: u32, word: u32, pixels: mat4x4f) {
    if at.y + row >= IN_H { return; }
    let place = ((at.n * IN_H + at.y + row) * IN_W + at.x) * (IN_C / 4u) + word;
    input_gradient[place] = pixels[0];
    if at.x + 1u < IN_W { input_gradient[place + IN_C / 4u] = pixels[1]; }
    if at.x + 2u < IN_W { input_gradient[place + IN_C / 2u] = pixels[2]; }
    if at.x + 3u < IN_W { input_gradient[place + IN_C / 4u * 3u] = pixels[3]; }
}
