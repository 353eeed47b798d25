// conv2d.backward_input for software adapters (formula: backward_input_direct.wgsl; why: forward_llvmpipe.wgsl).
// One thread computes 16 input pixels of one phase (backward_input_registers.wgsl says what that is) x 16 input channels: 256
// sums. Per tap and four output channels it loads a vec4 of each pixel's gradient and 16 vec4 of weights: 1024 multiply-adds for
// 32 loads. Needs IN_C divisible by 16 and OUT_C by 4.
// use index
// vec4 output_gradient, weights, input_gradient

// Four pixels of a phase: n * OUT_H, and the output pixel that sees them with the phase's first tap.
struct Pixels { image: vec4u, y: vec4u, x: vec4u }

// The output pixels that reach four pixels by a tap: where their channels start, and whether they exist.
struct Seen { at: vec4u, inside: vec4<bool> }

// Four input channels of 16 pixels; column p of matrix q: pixel 4q + p.
struct Sums { p0: mat4x4f, p1: mat4x4f, p2: mat4x4f, p3: mat4x4f }

@compute @workgroup_size(32)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 32u + local;
    let pixels = BATCH * phase_size().x * phase_size().y;
    let columns = IN_C / 4u;
    let tiles = IN_C / 16u;
    let stacks = (pixels + 15u) / 16u;
    if id >= STRIDE * STRIDE * stacks * tiles { return; }
    let column = id % tiles * 4u;
    let first = id / tiles % stacks * 16u;
    let phase = vec2u(id / (tiles * stacks) / STRIDE, id / (tiles * stacks) % STRIDE);
    let begin = phase + vec2u(PAD_TOP, PAD_LEFT); // the phase's first taps, and whole strides from its pixels to the output's
    let index = first + vec4u(0u, 1u, 2u, 3u);
    let pixels0 = pixels_of(index, begin / STRIDE);
    let pixels1 = pixels_of(index + 4u, begin / STRIDE);
    let pixels2 = pixels_of(index + 8u, begin / STRIDE);
    let pixels3 = pixels_of(index + 12u, begin / STRIDE);

    var c0 = Sums();
    var c1 = Sums();
    var c2 = Sums();
    var c3 = Sums();
    for (var ky = begin.x % STRIDE; ky < KERNEL; ky += STRIDE) {
        for (var kx = begin.y % STRIDE; kx < KERNEL; kx += STRIDE) {
            let seen0 = seen(pixels0, ky / STRIDE, kx / STRIDE);
            let seen1 = seen(pixels1, ky / STRIDE, kx / STRIDE);
            let seen2 = seen(pixels2, ky / STRIDE, kx / STRIDE);
            let seen3 = seen(pixels3, ky / STRIDE, kx / STRIDE);
            let tap = ((ky * KERNEL + kx) * columns + column) * OUT_C;
            for (var oc = 0u; oc < OUT_C / 4u; oc++) {
                let e = Sums(load(seen0, oc), load(seen1, oc), load(seen2, oc), load(seen3, oc));
                accumulate(&c0, load_weights(tap + oc), e);
                accumulate(&c1, load_weights(tap + OUT_C + oc), e);
                accumulate(&c2, load_weights(tap + 2u * OUT_C + oc), e);
                accumulate(&c3, load_weights(tap + 3u * OUT_C + oc), e);
            }
        }
    }
    store(first, phase, column, c0);
    store(first, phase, column + 1u, c1);
    store(first, phase, column + 2u, c2);
    store(first, phase, column + 3u, c3);
}

fn accumulate(sums: ptr<function, Sums>, w: mat4x4f, e: Sums) {
    (*sums).p0 += w * e.p0;
    (*sums).p1 += w * e.p1;
    (*sums).p2 += w * e.p2;
    (*sums).p3 += w * e.p3;
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
        select(vec4f(), output_gradient[from_seen.at.x + oc], from_seen.inside.x),
        select(vec4f(), output_gradient[from_seen.at.y + oc], from_seen.inside.y),
        select(vec4f(), output_gradient[from_seen.at.z + oc], from_seen.inside.z),
        select(vec4f(), output_gradient[from_seen.at.w + oc], from_seen.inside.w),
    );
}

// Four output channels (columns) x four input channels.
fn load_weights(at: u32) -> mat4x4f {
    let next = OUT_C / 4u;
    return transpose(mat4x4f(weights[at], weights[at + next], weights[at + 2u * next], weights[at + 3u * next]));
}

// Four channels of 16 pixels.
fn store(first: u32, phase: vec2u, column: u32, sums: Sums) {
    store_four(first, phase, column, sums.p0);
    store_four(first + 4u, phase, column, sums.p1);
    store_four(first + 8u, phase, column, sums.p2);
    store_four(first + 12u, phase, column, sums.p3);
}

fn store_four(first: u32, phase: vec2u, column: u32, sums: mat4x4f) {
    store_pixel(first, phase, column, sums[0]);
    store_pixel(first + 1u, phase, column, sums[1]);
    store_pixel(first + 2u, phase, column, sums[2]);
    store_pixel(first + 3u, phase, column, sums[3]);
}

// Smaller phases lack the last row or column of the largest.
fn store_pixel(index: u32, phase: vec2u, column: u32, sums: vec4f) {
    let row = index / phase_size().y;
    let y = row % phase_size().x * STRIDE + phase.x;
    let x = index % phase_size().y * STRIDE + phase.y;
    let n = row / phase_size().x;
    if n >= BATCH || y >= IN_H || x >= IN_W { return; }
    input_gradient[((n * IN_H + y) * IN_W + x) * (IN_C / 4u) + column] = sums;
}
