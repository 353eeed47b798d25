// conv_block.backward_input in registers (formula: backward_input_direct.wgsl).
// One thread computes a 2x2 block of input pixels x 16 input channels: 64 sums. Per four output channels it reads the nine
// pooling windows around the block (a vec4 of gradients and a word of argmax codes each), expands them to the 4x4 patch
// of convolution outputs the block reaches, and multiplies with nine taps x 16 weights (a vec4 over output channels
// each): 2304 multiply-adds for 153 vec4 loads. Needs IN_C divisible by 16 and OUT_C by 4.
// use codes, four_weights, index, products
// vec4 pooled_gradient, input_gradient

// Four pixels x 16 channels; column g of a matrix holds input channels 4g..4g+3.
struct Sums { p0: mat4x4f, p1: mat4x4f, p2: mat4x4f, p3: mat4x4f }

// A pooling window's gradient and argmax codes, four channels.
struct Window { gradient: vec4f, argmax: vec4u }

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    let tiles = IN_C / 16u;
    let blocks_x = (IN_W + 1u) / 2u;
    let blocks_y = (IN_H + 1u) / 2u;
    if id >= BATCH * blocks_y * blocks_x * tiles { return; }
    let tile = id % tiles;
    let bx = id / tiles % blocks_x;
    let by = id / (tiles * blocks_x) % blocks_y;
    let n = id / (tiles * blocks_x * blocks_y);

    var sums = Sums();
    for (var word = 0u; word < WORDS; word++) {
        let a0 = window(n, by - 1u, bx - 1u, word); // below zero wraps to a large number
        let a1 = window(n, by - 1u, bx, word);
        let a2 = window(n, by - 1u, bx + 1u, word);
        let b0 = window(n, by, bx - 1u, word);
        let b1 = window(n, by, bx, word);
        let b2 = window(n, by, bx + 1u, word);
        let c0 = window(n, by + 1u, bx - 1u, word);
        let c1 = window(n, by + 1u, bx, word);
        let c2 = window(n, by + 1u, bx + 1u, word);
        // row 0 of the patch is the lower half of the windows above, rows 1 and 2 are the block's own windows, ...
        let r0 = mat4x4f(at(a0, 3u), at(a1, 2u), at(a1, 3u), at(a2, 2u));
        let r1 = mat4x4f(at(b0, 1u), at(b1, 0u), at(b1, 1u), at(b2, 0u));
        let r2 = mat4x4f(at(b0, 3u), at(b1, 2u), at(b1, 3u), at(b2, 2u));
        let r3 = mat4x4f(at(c0, 1u), at(c1, 0u), at(c1, 1u), at(c2, 0u));
        let w = tile * 16u * WORDS + word;
        let next = IN_C * WORDS; // from one tap to the next; taps run backwards over the patch
        accumulate(&sums, w + next * 8u, mat4x4f(r0[0], r0[1], r1[0], r1[1]));
        accumulate(&sums, w + next * 7u, mat4x4f(r0[1], r0[2], r1[1], r1[2]));
        accumulate(&sums, w + next * 6u, mat4x4f(r0[2], r0[3], r1[2], r1[3]));
        accumulate(&sums, w + next * 5u, mat4x4f(r1[0], r1[1], r2[0], r2[1]));
        accumulate(&sums, w + next * 4u, mat4x4f(r1[1], r1[2], r2[1], r2[2]));
        accumulate(&sums, w + next * 3u, mat4x4f(r1[2], r1[3], r2[2], r2[3]));
        accumulate(&sums, w + next * 2u, mat4x4f(r2[0], r2[1], r3[0], r3[1]));
        accumulate(&sums, w + next, mat4x4f(r2[1], r2[2], r3[1], r3[2]));
        accumulate(&sums, w, mat4x4f(r2[2], r2[3], r3[2], r3[3]));
    }
    store(n, by * 2u, bx * 2u, tile, sums.p0);
    store(n, by * 2u, bx * 2u + 1u, tile, sums.p1);
    store(n, by * 2u + 1u, bx * 2u, tile, sums.p2);
    store(n, by * 2u + 1u, bx * 2u + 1u, tile, sums.p3);
}

// Four channels of a window; outside the pooled image nobody won.
fn window(n: u32, py: u32, px: u32, word: u32) -> Window {
    if py >= POOL_H || px >= POOL_W { return Window(vec4f(), vec4u(4u)); }
    let place = ((n * POOL_H + py) * POOL_W + px) * WORDS + word;
    return Window(vec4f(pooled_gradient[place]), codes(argmax[place]));
}

// What the window hands to its pixel q.
fn at(window: Window, q: u32) -> vec4f {
    return select(vec4f(), window.gradient, window.argmax == vec4u(q));
}

// One tap: column p of `e` holds what pixel p receives, four output channels; four input channels at a time.
fn accumulate(sums: ptr<function, Sums>, start: u32, e: mat4x4f) {
    for (var g = 0u; g < 4u; g++) {
        let place = start + g * 4u * WORDS;
        // column: an output channel, four input channels
        let w = transpose(four_weights(place, WORDS));
        (*sums).p0[g] = chain((*sums).p0[g], w, e[0]);
        (*sums).p1[g] = chain((*sums).p1[g], w, e[1]);
        (*sums).p2[g] = chain((*sums).p2[g], w, e[2]);
        (*sums).p3[g] = chain((*sums).p3[g], w, e[3]);
    }
}

fn store(n: u32, y: u32, x: u32, tile: u32, sums: mat4x4f) {
    if y >= IN_H || x >= IN_W { return; }
    let place = (((n * IN_H + y) * IN_W + x) * IN_C) / 4u + tile * 4u;
    input_gradient[place] = vec4<Elem>(sums[0]);
    input_gradient[place + 1u] = vec4<Elem>(sums[1]);
    input_gradient[place + 2u] = vec4<Elem>(sums[2]);
    input_gradient[place + 3u] = vec4<Elem>(sums[3]);
}
