// conv2d.backward_weights, first of two dispatches (formula: backward_weights_direct.wgsl): partial sums of a split.
// The output rows of the batch are cut into SPLITS equal runs, a number fixed by the shapes. The weights are a matrix of
// KERNEL^2 * IN_C rows and OUT_C columns; one thread computes one run x 8 rows x 8 columns: 64 sums in registers. Per output
// pixel it loads two vec4 of gradients and two vec4 of inputs (four channels seen by a tap): 64 multiply-adds for 4 loads.
// Neighbouring threads share the inputs and read neighbouring gradients. The threads of the first rows also sum the bias.
// reduce/splits_direct.wgsl adds the runs in order. Scratch: SPLITS rows of KERNEL^2 * IN_C * OUT_C weights, then OUT_C
// biases. Needs IN_C and OUT_C divisible by 4.
// use index
// vec4 input, output_gradient, partial

// A tap, less the padding (above and left it wraps to large numbers), and four input channels.
struct Tap { y: u32, x: u32, word: u32 }

// What a tap sees from a row of output pixels: where the channels of the image's row start, whether it is there, and the column
// seen from the first pixel.
struct Seen { at: u32, inside: bool, x: u32 }

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    let rows = KERNEL * KERNEL * IN_C / 4u; // of four
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
    let base = split * (rows * 4u + 1u) * columns + column;
    let two = column + 1u < columns;
    store(base + row * OUT_C, two, upper_left, upper_right);
    if row + 1u < rows { store(base + (row + 1u) * OUT_C, two, lower_left, lower_right); }
    if row == 0u {
        partial[base + rows * OUT_C] = select(vec4f(), bias_left, BIAS);
        if two { partial[base + rows * OUT_C + 1u] = select(vec4f(), bias_right, BIAS); }
    }
}

fn tap(row: u32) -> Tap {
    let place = row / (IN_C / 4u);
    return Tap(place / KERNEL - PAD_TOP, place % KERNEL - PAD_LEFT, row % (IN_C / 4u));
}

fn seen(by: Tap, out_row: u32) -> Seen {
    let y = out_row % OUT_H * STRIDE + by.y;
    return Seen((out_row / OUT_H * IN_H + y) * IN_W * (IN_C / 4u) + by.word, y < IN_H, by.x);
}

// Four input channels that a tap sees from output pixel ox, zero outside the image.
fn load(from_seen: Seen, ox: u32) -> vec4f {
    let x = ox * STRIDE + from_seen.x;
    let inside = from_seen.inside && x < IN_W;
    return select(vec4f(), vec4f(input[select(0u, from_seen.at + x * (IN_C / 4u), inside)]), inside);
}

// Column j: the gradients times input j.
fn outer(e: vec4f, x: vec4f) -> mat4x4f {
    return mat4x4f(e * x.x, e * x.y, e * x.z, e * x.w);
}

// Four rows of eight columns, or four where there are no more.
fn store(place: u32, two: bool, left: mat4x4f, right: mat4x4f) {
    let next = OUT_C / 4u;
    partial[place] = left[0];
    partial[place + next] = left[1];
    partial[place + 2u * next] = left[2];
    partial[place + 3u * next] = left[3];
    if !two { return; }
    partial[place + 1u] = right[0];
    partial[place + next + 1u] = right[1];
    partial[place + 2u * next + 1u] = right[2];
    partial[place + 3u * next + 1u] = right[3];
}
