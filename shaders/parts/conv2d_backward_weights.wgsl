// conv2d.backward_weights, first of two dispatches, for 8 rows x 8 columns of the weights' gradient a thread: 64 sums in registers. The weights
// are a matrix of KERNEL^2 * IN_C rows and OUT_C columns; the output rows of the batch are cut into SPLITS equal runs, a number fixed by the
// shapes. Neighbouring threads share the inputs and read neighbouring gradients. The threads of the first rows also sum the bias. The
// kernel says what four rows see. reduce/splits_direct.wgsl adds the runs in order. Scratch: SPLITS rows of KERNEL^2 * IN_C * OUT_C weights,
// then OUT_C biases.
// use index, outer
// vec4 output_gradient, partial

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    let rows = (KERNEL * KERNEL * IN_C + 3u) / 4u; // of four
    let columns = OUT_C / 4u;
    let row_tiles = (rows + 1u) / 2u;
    let tiles = (columns + 1u) / 2u;
    if id >= SPLITS * row_tiles * tiles { return; }
    let column = id % tiles * 2u;
    let row = id / tiles % row_tiles * 2u;
    let split = id / (tiles * row_tiles);
    // rows and columns past the last repeat the last: they are computed and not stored
    let right = min(column + 1u, columns - 1u);
    let upper = tap(row);
    let lower = tap(min(row + 1u, rows - 1u));

    // column j of a matrix: input channel j, four output channels
    var upper_left = mat4x4f();
    var upper_right = mat4x4f();
    var lower_left = mat4x4f();
    var lower_right = mat4x4f();
    var bias_left = vec4f();
    var bias_right = vec4f();
    let last = min((split + 1u) * SPLIT_ROWS, BATCH * OUT_H);
    for (var out_row = split * SPLIT_ROWS; out_row < last; out_row++) {
        let seen0 = seen(upper, out_row);
        let seen1 = seen(lower, out_row);
        for (var ox = 0u; ox < OUT_W; ox++) {
            let place = (out_row * OUT_W + ox) * columns;
            let e0 = vec4f(output_gradient[place + column]);
            let e1 = vec4f(output_gradient[place + right]);
            let x0 = load(seen0, ox);
            let x1 = load(seen1, ox);
            upper_left += outer(e0, x0);
            upper_right += outer(e1, x0);
            lower_left += outer(e0, x1);
            lower_right += outer(e1, x1);
            bias_left += e0;
            bias_right += e1;
        }
    }
    let weights = KERNEL * KERNEL * IN_C;
    let base = split * (weights + 1u) * columns + column;
    let two = column + 1u < columns;
    store(base, row * 4u, two, upper_left, upper_right);
    store(base, row * 4u + 4u, two, lower_left, lower_right);
    if row == 0u {
        partial[base + weights * columns] = select(vec4f(), bias_left, BIAS);
        if two { partial[base + weights * columns + 1u] = select(vec4f(), bias_right, BIAS); }
    }
}

// Four rows of eight columns, or four where there are no more.
fn store(base: u32, row: u32, two: bool, left: mat4x4f, right: mat4x4f) {
    store_row(base, row, two, left[0], right[0]);
    store_row(base, row + 1u, two, left[1], right[1]);
    store_row(base, row + 2u, two, left[2], right[2]);
    store_row(base, row + 3u, two, left[3], right[3]);
}

fn store_row(base: u32, row: u32, two: bool, left: vec4f, right: vec4f) {
    if row >= KERNEL * KERNEL * IN_C { return; }
    partial[base + row * (OUT_C / 4u)] = left;
    if two { partial[base + row * (OUT_C / 4u) + 1u] = right; }
}
