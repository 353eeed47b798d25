// conv2d.backward_weights for software adapters (why: forward_llvmpipe.wgsl), first of two dispatches, as backward_weights_split.wgsl.
// One thread computes one run of output rows x 16 rows x 16 columns of the weights: 256 sums. Per output pixel it loads four
// vec4 of gradients and four vec4 of inputs: 256 multiply-adds for 8 loads. Needs IN_C divisible by 4 and OUT_C by 16.
// use conv2d_taps, index, outer
// vec4 input, output_gradient, partial

// Four rows x 16 columns; column j of matrix g: row j, output channels 4g..4g+3.
struct Sums { g0: mat4x4f, g1: mat4x4f, g2: mat4x4f, g3: mat4x4f }

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    let rows = KERNEL * KERNEL * IN_C / 4u; // of four
    let columns = OUT_C / 4u;
    let row_tiles = (rows + 3u) / 4u;
    let tiles = OUT_C / 16u;
    if id >= SPLITS * row_tiles * tiles { return; }
    let column = id % tiles * 4u;
    let row = id / tiles % row_tiles * 4u;
    let split = id / (tiles * row_tiles);
    // rows past the last repeat the last: they are computed and not stored
    let tap0 = tap(row);
    let tap1 = tap(min(row + 1u, rows - 1u));
    let tap2 = tap(min(row + 2u, rows - 1u));
    let tap3 = tap(min(row + 3u, rows - 1u));

    var sums0 = Sums();
    var sums1 = Sums();
    var sums2 = Sums();
    var sums3 = Sums();
    var bias = mat4x4f();
    let last = min((split + 1u) * SPLIT_ROWS, BATCH * OUT_H);
    for (var out_row = split * SPLIT_ROWS; out_row < last; out_row++) {
        let seen0 = seen(tap0, out_row);
        let seen1 = seen(tap1, out_row);
        let seen2 = seen(tap2, out_row);
        let seen3 = seen(tap3, out_row);
        for (var ox = 0u; ox < OUT_W; ox++) {
            let place = (out_row * OUT_W + ox) * columns + column;
            let e = mat4x4f(output_gradient[place], output_gradient[place + 1u], output_gradient[place + 2u], output_gradient[place + 3u]);
            accumulate(&sums0, e, load(seen0, ox));
            accumulate(&sums1, e, load(seen1, ox));
            accumulate(&sums2, e, load(seen2, ox));
            accumulate(&sums3, e, load(seen3, ox));
            bias += e;
        }
    }
    let base = split * (rows * 4u + 1u) * columns + column;
    store(base, row, sums0);
    store(base, row + 1u, sums1);
    store(base, row + 2u, sums2);
    store(base, row + 3u, sums3);
    if row == 0u {
        store_row(base + rows * OUT_C, select(vec4f(), bias[0], BIAS), select(vec4f(), bias[1], BIAS), select(vec4f(), bias[2], BIAS), select(vec4f(), bias[3], BIAS));
    }
}

// Each row's input times the gradients.
fn accumulate(sums: ptr<function, Sums>, e: mat4x4f, x: vec4f) {
    (*sums).g0 += outer(e[0], x);
    (*sums).g1 += outer(e[1], x);
    (*sums).g2 += outer(e[2], x);
    (*sums).g3 += outer(e[3], x);
}

// Four rows of 16 columns.
fn store(base: u32, row: u32, sums: Sums) {
    if row >= KERNEL * KERNEL * IN_C / 4u { return; }
    let next = OUT_C / 4u;
    let place = base + row * OUT_C;
    store_row(place, sums.g0[0], sums.g1[0], sums.g2[0], sums.g3[0]);
    store_row(place + next, sums.g0[1], sums.g1[1], sums.g2[1], sums.g3[1]);
    store_row(place + 2u * next, sums.g0[2], sums.g1[2], sums.g2[2], sums.g3[2]);
    store_row(place + 3u * next, sums.g0[3], sums.g1[3], sums.g2[3], sums.g3[3]);
}

fn store_row(place: u32, g0: vec4f, g1: vec4f, g2: vec4f, g3: vec4f) {
    partial[place] = g0;
    partial[place + 1u] = g1;
    partial[place + 2u] = g2;
    partial[place + 3u] = g3;
}
