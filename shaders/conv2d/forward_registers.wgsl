// conv2d.forward in registers (formula: forward_direct.wgsl).
// One thread computes 8 output pixels x 8 output channels: 64 sums. Per tap and four input channels it loads a vec4 of each
// pixel and 8 vec4 of weights: 256 multiply-adds for 16 loads, whatever the kernel and stride; a 1x1 convolution is the matrix
// product of dense.forward. Pixels are counted through the whole batch, so small images fill the threads too.
// Neighbouring threads share the pixels and read neighbouring weights. Needs IN_C and OUT_C divisible by 4.
// use index, products
// vec4 input, weights, bias, output

// Where the windows of four pixels start: row and column (above and left of the image they wrap to large numbers), and the
// first row of their images.
struct Windows { y: vec4u, x: vec4u, image: vec4u }

// What a tap sees of four pixels: where their channels start, and whether that is inside the image.
struct Seen { at: vec4u, inside: vec4<bool> }

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    let pixels = BATCH * OUT_H * OUT_W;
    let columns = OUT_C / 4u;
    let tiles = (columns + 1u) / 2u;
    if id >= (pixels + 7u) / 8u * tiles { return; }
    let column = id % tiles * 2u;
    let first = id / tiles * 8u;
    // pixels past the last, and channels past the last, repeat the last: they are computed and not stored
    let windows0 = windows(min(first + vec4u(0u, 1u, 2u, 3u), vec4u(pixels - 1u)));
    let windows1 = windows(min(first + vec4u(4u, 5u, 6u, 7u), vec4u(pixels - 1u)));
    let right = min(column + 1u, columns - 1u);

    // column p of a matrix: pixel p, four channels
    var left0 = mat4x4f();
    var left1 = mat4x4f();
    var right0 = mat4x4f();
    var right1 = mat4x4f();
    for (var ky = 0u; ky < KERNEL; ky++) {
        for (var kx = 0u; kx < KERNEL; kx++) {
            let seen0 = seen(windows0, ky, kx);
            let seen1 = seen(windows1, ky, kx);
            let tap = (ky * KERNEL + kx) * IN_C * columns;
            for (var ic = 0u; ic < IN_C / 4u; ic++) {
                let x0 = load(seen0, ic);
                let x1 = load(seen1, ic);
                let w_left = load_weights(tap + ic * OUT_C + column);
                let w_right = load_weights(tap + ic * OUT_C + right);
                left0 = chains(left0, w_left, x0);
                left1 = chains(left1, w_left, x1);
                right0 = chains(right0, w_right, x0);
                right1 = chains(right1, w_right, x1);
            }
        }
    }
    let two = column + 1u < columns;
    store(first, column, two, left0[0], right0[0]);
    store(first + 1u, column, two, left0[1], right0[1]);
    store(first + 2u, column, two, left0[2], right0[2]);
    store(first + 3u, column, two, left0[3], right0[3]);
    store(first + 4u, column, two, left1[0], right1[0]);
    store(first + 5u, column, two, left1[1], right1[1]);
    store(first + 6u, column, two, left1[2], right1[2]);
    store(first + 7u, column, two, left1[3], right1[3]);
}

fn windows(pixel: vec4u) -> Windows {
    let row = pixel / OUT_W;
    return Windows(row % OUT_H * STRIDE - PAD_TOP, pixel % OUT_W * STRIDE - PAD_LEFT, row / OUT_H * IN_H);
}

fn seen(from_windows: Windows, ky: u32, kx: u32) -> Seen {
    let y = from_windows.y + ky;
    let x = from_windows.x + kx;
    let inside = vec4<bool>(never_outside()) | ((y < vec4u(IN_H)) & (x < vec4u(IN_W)));
    return Seen(select(vec4u(), ((from_windows.image + y) * IN_W + x) * (IN_C / 4u), inside), inside);
}

// Known when the pipeline is made: loads that cannot miss the image are not checked.
fn never_outside() -> bool {
    let ends = vec2u(OUT_H - 1u, OUT_W - 1u) * STRIDE + KERNEL;
    return PAD_TOP + PAD_LEFT == 0u && ends.x <= IN_H && ends.y <= IN_W;
}

// Four input channels of four pixels (columns), zero outside the image.
fn load(from_seen: Seen, ic: u32) -> mat4x4f {
    return mat4x4f(
        select(vec4f(), vec4f(input[from_seen.at.x + ic]), from_seen.inside.x),
        select(vec4f(), vec4f(input[from_seen.at.y + ic]), from_seen.inside.y),
        select(vec4f(), vec4f(input[from_seen.at.z + ic]), from_seen.inside.z),
        select(vec4f(), vec4f(input[from_seen.at.w + ic]), from_seen.inside.w),
    );
}

// Four input channels (columns) x four output channels.
fn load_weights(at: u32) -> mat4x4f {
    let next = OUT_C / 4u;
    return mat4x4f(vec4f(weights[at]), vec4f(weights[at + next]), vec4f(weights[at + 2u * next]), vec4f(weights[at + 3u * next]));
}

// Eight channels of a pixel, or four where there are no more.
fn store(pixel: u32, column: u32, two: bool, left: vec4f, right: vec4f) {
    if pixel >= BATCH * OUT_H * OUT_W { return; }
    output[pixel * (OUT_C / 4u) + column] = vec4<Elem>(finish(left, column));
    if two { output[pixel * (OUT_C / 4u) + column + 1u] = vec4<Elem>(finish(right, column + 1u)); }
}

fn finish(sums: vec4f, column: u32) -> vec4f {
    var sum = sums;
    if BIAS { sum += bias[column]; }
    if RELU { sum = select(sum, vec4f(), sum < vec4f()); }
    return sum;
}
