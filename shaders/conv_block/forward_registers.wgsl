// conv_block.forward in registers: 3x3 same convolution, bias, relu and 2x2 max-pool (formula: forward_direct.wgsl).
// One thread computes one pooled pixel x 16 output channels: the window's four pixels x 16 channels are 64 sums in
// registers. Per input channel it loads the 4x4 input patch (16 scalars) and nine taps x 16 weights (36 vec4) for 576
// multiply-adds. Neighbouring threads share a pixel, then walk along its row. Needs OUT_C divisible by 16.
// use block, index, store_window
// vec4 weights, bias

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    let tiles = OUT_C / 16u;
    if id >= BATCH * POOL_H * POOL_W * tiles { return; }
    let tile = id % tiles;
    let pixel = id / tiles;
    // the patch starts one row above and one column left of the window (below zero wraps to a large number); the window
    // itself, rows and columns 1 and 2, is always inside
    let columns = pixel % POOL_W * 2u - 1u + vec4u(0u, 1u, 2u, 3u);
    let rows = pixel / POOL_W % POOL_H * 2u - 1u + vec4u(0u, 1u, 2u, 3u);
    let inside = columns < vec4u(IN_W);
    let across = select(vec4u(), columns, inside) * IN_C;
    let down = (pixel / (POOL_W * POOL_H) * IN_H + min(rows, vec4u(IN_H - 1u))) * IN_W * IN_C;

    let start = mat4x4f(bias[tile * 4u], bias[tile * 4u + 1u], bias[tile * 4u + 2u], bias[tile * 4u + 3u]);
    var sums = Block(start, start, start, start);
    for (var ic = 0u; ic < IN_C; ic++) {
        let r0 = select(vec4f(), load(down.x + ic + across), inside & vec4<bool>(rows.x < IN_H));
        let r1 = select(vec4f(), load(down.y + ic + across), inside);
        let r2 = select(vec4f(), load(down.z + ic + across), inside);
        let r3 = select(vec4f(), load(down.w + ic + across), inside & vec4<bool>(rows.w < IN_H));
        let w = (ic * tiles + tile) * 4u;
        let next = IN_C * tiles * 4u; // from one tap to the next
        accumulate(&sums, w, vec4f(r0.xy, r1.xy));
        accumulate(&sums, w + next, vec4f(r0.yz, r1.yz));
        accumulate(&sums, w + next * 2u, vec4f(r0.zw, r1.zw));
        accumulate(&sums, w + next * 3u, vec4f(r1.xy, r2.xy));
        accumulate(&sums, w + next * 4u, vec4f(r1.yz, r2.yz));
        accumulate(&sums, w + next * 5u, vec4f(r1.zw, r2.zw));
        accumulate(&sums, w + next * 6u, vec4f(r2.xy, r3.xy));
        accumulate(&sums, w + next * 7u, vec4f(r2.yz, r3.yz));
        accumulate(&sums, w + next * 8u, vec4f(r2.zw, r3.zw));
    }
    for (var g = 0u; g < 4u; g++) {
        store_window(pixel * WORDS + tile * 4u + g, sums.q0[g], sums.q1[g], sums.q2[g], sums.q3[g]);
    }
}

fn load(at: vec4u) -> vec4f {
    return vec4f(f32(input[at.x]), f32(input[at.y]), f32(input[at.z]), f32(input[at.w]));
}

// One tap: `x` holds what it sees from each of the four pixels.
fn accumulate(sums: ptr<function, Block>, at: u32, x: vec4f) {
    block_add(sums, mat4x4f(vec4f(weights[at]), vec4f(weights[at + 1u]), vec4f(weights[at + 2u]), vec4f(weights[at + 3u])), x);
}
