// conv2d.backward_weights for any number of input channels, such as the three of a picture; first of two dispatches, as
// backward_weights_split.wgsl, whose inputs are whole vec4s.
// One thread computes one run of output rows x 8 rows of weights (each its own tap and input channel) x 8 columns: 64 sums in
// registers. Per output pixel it loads two vec4 of gradients and eight inputs: 64 multiply-adds for 10 loads.
// Needs OUT_C divisible by 4.
// use index
// vec4 output_gradient, partial

// The taps of four rows, less the padding (above and left they wrap to large numbers), and their input channels.
struct Taps { y: vec4u, x: vec4u, channel: vec4u }

// What they see from a row of output pixels: where the image's rows start, whether those are there, and the columns seen from
// the first pixel.
struct Seen { at: vec4u, inside: vec4<bool>, x: vec4u }

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    let rows = KERNEL * KERNEL * IN_C;
    let columns = OUT_C / 4u;
    let row_tiles = (rows + 7u) / 8u;
    let tiles = (columns + 1u) / 2u;
    if id >= SPLITS * row_tiles * tiles { return; }
    let column = id % tiles * 2u;
    let row = id / tiles % row_tiles * 8u;
    let split = id / (tiles * row_tiles);
    // rows and columns past the last repeat the last: they are computed and not stored
    let right = min(column + 1u, columns - 1u);
    let upper = taps(min(row + vec4u(0u, 1u, 2u, 3u), vec4u(rows - 1u)));
    let lower = taps(min(row + vec4u(4u, 5u, 6u, 7u), vec4u(rows - 1u)));

    // column j of a matrix: row j, four output channels
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
    let base = split * (rows + 1u) * columns + column;
    let two = column + 1u < columns;
    store(base, row, two, upper_left[0], upper_right[0]);
    store(base, row + 1u, two, upper_left[1], upper_right[1]);
    store(base, row + 2u, two, upper_left[2], upper_right[2]);
    store(base, row + 3u, two, upper_left[3], upper_right[3]);
    store(base, row + 4u, two, lower_left[0], lower_right[0]);
    store(base, row + 5u, two, lower_left[1], lower_right[1]);
    store(base, row + 6u, two, lower_left[2], lower_right[2]);
    store(base, row + 7u, two, lower_left[3], lower_right[3]);
    if row == 0u {
        partial[base + rows * columns] = select(vec4f(), bias_left, BIAS);
        if two { partial[base + rows * columns + 1u] = select(vec4f(), bias_right, BIAS); }
    }
}

fn taps(row: vec4u) -> Taps {
    let place = row / IN_C;
    return Taps(place / KERNEL - PAD_TOP, place % KERNEL - PAD_LEFT, row % IN_C);
}

fn seen(by: Taps, out_row: u32) -> Seen {
    let y = out_row % OUT_H * STRIDE + by.y;
    return Seen((out_row / OUT_H * IN_H + y) * IN_W * IN_C + by.channel, y < vec4u(IN_H), by.x);
}

// What four rows' taps see from output pixel ox, zero outside the image.
fn load(from_seen: Seen, ox: u32) -> vec4f {
    let x = ox * STRIDE + from_seen.x;
    let inside = from_seen.inside & (x < vec4u(IN_W));
    let at = select(vec4u(), from_seen.at + x * IN_C, inside);
    return select(vec4f(), vec4f(f32(input[at.x]), f32(input[at.y]), f32(input[at.z]), f32(input[at.w])), inside);
}

// Column j: the gradients times input j.
fn outer(e: vec4f, x: vec4f) -> mat4x4f {
    return mat4x4f(e * x.x, e * x.y, e * x.z, e * x.w);
}

// Eight columns of a row, or four where there are no more.
fn store(base: u32, row: u32, two: bool, left: vec4f, right: vec4f) {
    if row >= KERNEL * KERNEL * IN_C { return; }
    partial[base + row * (OUT_C / 4u)] = left;
    if two { partial[base + row * (OUT_C / 4u) + 1u] = right; }
}
