// conv2d.backward_input in registers (formula: backward_input_direct.wgsl).
// One thread computes 8 input pixels x 8 input channels: 64 sums. Per tap and four output channels it loads a vec4 of each
// pixel's gradient and 8 vec4 of weights: 256 multiply-adds for 16 loads. With a stride only every STRIDE-th tap reaches a
// pixel, and which ones depends on the pixel's place modulo STRIDE: its phase. A thread's pixels are of one phase, STRIDE
// apart, so that each of its taps reaches all of them. Needs IN_C and OUT_C divisible by 4.
// use index, products
// vec4 output_gradient, weights, input_gradient

// Four pixels of a phase: n * OUT_H, and the output pixel that sees them with the phase's first tap.
struct Pixels { image: vec4u, y: vec4u, x: vec4u }

// The output pixels that reach four pixels by a tap: where their channels start, and whether they exist.
struct Seen { at: vec4u, inside: vec4<bool> }

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    let pixels = BATCH * phase_size().x * phase_size().y;
    let columns = IN_C / 4u;
    let tiles = (columns + 1u) / 2u;
    let stacks = (pixels + 7u) / 8u;
    if id >= STRIDE * STRIDE * stacks * tiles { return; }
    let column = id % tiles * 2u;
    let right = min(column + 1u, columns - 1u); // past the last channels the last repeat: computed and not stored
    let first = id / tiles % stacks * 8u;
    let phase = vec2u(id / (tiles * stacks) / STRIDE, id / (tiles * stacks) % STRIDE);
    let begin = phase + vec2u(PAD_TOP, PAD_LEFT); // the phase's first taps, and whole strides from its pixels to the output's
    let pixels0 = pixels_of(first + vec4u(0u, 1u, 2u, 3u), begin / STRIDE);
    let pixels1 = pixels_of(first + vec4u(4u, 5u, 6u, 7u), begin / STRIDE);

    // column p of a matrix: pixel p, four channels
    var left0 = mat4x4f();
    var left1 = mat4x4f();
    var right0 = mat4x4f();
    var right1 = mat4x4f();
    for (var ky = begin.x % STRIDE; ky < KERNEL; ky += STRIDE) {
        for (var kx = begin.y % STRIDE; kx < KERNEL; kx += STRIDE) {
            let seen0 = seen(pixels0, ky / STRIDE, kx / STRIDE);
            let seen1 = seen(pixels1, ky / STRIDE, kx / STRIDE);
            let tap = (ky * KERNEL + kx) * columns;
            for (var oc = 0u; oc < OUT_C / 4u; oc++) {
                let e0 = load(seen0, oc);
                let e1 = load(seen1, oc);
                let w_left = load_weights((tap + column) * OUT_C + oc);
                let w_right = load_weights((tap + right) * OUT_C + oc);
                left0 = chains(left0, w_left, e0);
                left1 = chains(left1, w_left, e1);
                right0 = chains(right0, w_right, e0);
                right1 = chains(right1, w_right, e1);
            }
        }
    }
    let two = column + 1u < columns;
    store(first, phase, column, two, left0[0], right0[0]);
    store(first + 1u, phase, column, two, left0[1], right0[1]);
    store(first + 2u, phase, column, two, left0[2], right0[2]);
    store(first + 3u, phase, column, two, left0[3], right0[3]);
    store(first + 4u, phase, column, two, left1[0], right1[0]);
    store(first + 5u, phase, column, two, left1[1], right1[1]);
    store(first + 6u, phase, column, two, left1[2], right1[2]);
    store(first + 7u, phase, column, two, left1[3], right1[3]);
}

// Rows and columns of the largest phase.
fn phase_size() -> vec2u {
    return (vec2u(IN_H, IN_W) + STRIDE - 1u) / STRIDE;
}

fn pixels_of(index: vec4u, begin: vec2u) -> Pixels {
    let row = index / phase_size().y;
    return Pixels(row / phase_size().x * OUT_H, row % phase_size().x + begin.x, index % phase_size().y + begin.y);
}

// `ky`, `kx`: which of the phase's taps. Pixels past the last are of images past the last.
fn seen(from_pixels: Pixels, ky: u32, kx: u32) -> Seen {
    let y = from_pixels.y - ky; // below zero wraps to a large number
    let x = from_pixels.x - kx;
    let inside = (y < vec4u(OUT_H)) & (x < vec4u(OUT_W)) & (from_pixels.image < vec4u(BATCH * OUT_H));
    return Seen(select(vec4u(), ((from_pixels.image + y) * OUT_W + x) * (OUT_C / 4u), inside), inside);
}

// Four output channels of four pixels (columns), zero where there is no output pixel.
fn load(from_seen: Seen, oc: u32) -> mat4x4f {
    return mat4x4f(
        select(vec4f(), vec4f(output_gradient[from_seen.at.x + oc]), from_seen.inside.x),
        select(vec4f(), vec4f(output_gradient[from_seen.at.y + oc]), from_seen.inside.y),
        select(vec4f(), vec4f(output_gradient[from_seen.at.z + oc]), from_seen.inside.z),
        select(vec4f(), vec4f(output_gradient[from_seen.at.w + oc]), from_seen.inside.w),
    );
}

// Four output channels (columns) x four input channels.
fn load_weights(at: u32) -> mat4x4f {
    let next = OUT_C / 4u;
    return transpose(mat4x4f(vec4f(weights[at]), vec4f(weights[at + next]), vec4f(weights[at + 2u * next]), vec4f(weights[at + 3u * next])));
}

// Eight channels of a pixel, or four where there are no more; smaller phases lack the last row or column of the largest.
fn store(index: u32, phase: vec2u, column: u32, two: bool, left: vec4f, right: vec4f) {
    let row = index / phase_size().y;
    let y = row % phase_size().x * STRIDE + phase.x;
    let x = index % phase_size().y * STRIDE + phase.y;
    let n = row / phase_size().x;
    if n >= BATCH || y >= IN_H || x >= IN_W { return; }
    let place = ((n * IN_H + y) * IN_W + x) * (IN_C / 4u) + column;
    input_gradient[place] = vec4<Elem>(left);
    if two { input_gradient[place + 1u] = vec4<Elem>(right); }
}
