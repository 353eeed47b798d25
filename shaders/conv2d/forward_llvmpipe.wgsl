// conv2d.forward for software adapters (formula: forward_direct.wgsl), where a load is made lane by lane and sums that do not fit
// the registers are soon back from the cache, so that arithmetic per load is what counts.
// One thread computes 16 output pixels x 16 output channels: 256 sums. Per tap and four input channels it loads a vec4 of each
// pixel and 16 vec4 of weights: 1024 multiply-adds for 32 loads, twice as many a load as forward_registers.wgsl.
// Needs IN_C divisible by 4 and OUT_C by 16.
// use index
// vec4 input, weights, bias, output

// Where the windows of four pixels start: row and column (above and left of the image they wrap to large numbers), and the
// first row of their images.
struct Windows { y: vec4u, x: vec4u, image: vec4u }

// What a tap sees of four pixels: where their channels start, and whether that is inside the image.
struct Seen { at: vec4u, inside: vec4<bool> }

// Four output channels of 16 pixels; column p of matrix q: pixel 4q + p.
struct Sums { p0: mat4x4f, p1: mat4x4f, p2: mat4x4f, p3: mat4x4f }

@compute @workgroup_size(32)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 32u + local;
    let pixels = BATCH * OUT_H * OUT_W;
    let tiles = OUT_C / 16u;
    if id >= (pixels + 15u) / 16u * tiles { return; }
    let column = id % tiles * 4u;
    let first = id / tiles * 16u;
    // pixels past the last repeat the last: they are computed and not stored
    let pixel = first + vec4u(0u, 1u, 2u, 3u);
    let windows0 = windows(min(pixel, vec4u(pixels - 1u)));
    let windows1 = windows(min(pixel + 4u, vec4u(pixels - 1u)));
    let windows2 = windows(min(pixel + 8u, vec4u(pixels - 1u)));
    let windows3 = windows(min(pixel + 12u, vec4u(pixels - 1u)));

    var c0 = Sums();
    var c1 = Sums();
    var c2 = Sums();
    var c3 = Sums();
    for (var ky = 0u; ky < KERNEL; ky++) {
        for (var kx = 0u; kx < KERNEL; kx++) {
            let seen0 = seen(windows0, ky, kx);
            let seen1 = seen(windows1, ky, kx);
            let seen2 = seen(windows2, ky, kx);
            let seen3 = seen(windows3, ky, kx);
            let tap = (ky * KERNEL + kx) * IN_C * (OUT_C / 4u) + column;
            for (var ic = 0u; ic < IN_C / 4u; ic++) {
                let x = Sums(load(seen0, ic), load(seen1, ic), load(seen2, ic), load(seen3, ic));
                accumulate(&c0, load_weights(tap + ic * OUT_C), x);
                accumulate(&c1, load_weights(tap + ic * OUT_C + 1u), x);
                accumulate(&c2, load_weights(tap + ic * OUT_C + 2u), x);
                accumulate(&c3, load_weights(tap + ic * OUT_C + 3u), x);
            }
        }
    }
    store(first, column, c0);
    store(first, column + 1u, c1);
    store(first, column + 2u, c2);
    store(first, column + 3u, c3);
}

fn accumulate(sums: ptr<function, Sums>, w: mat4x4f, x: Sums) {
    (*sums).p0 += w * x.p0;
    (*sums).p1 += w * x.p1;
    (*sums).p2 += w * x.p2;
    (*sums).p3 += w * x.p3;
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
        select(vec4f(), input[from_seen.at.x + ic], from_seen.inside.x),
        select(vec4f(), input[from_seen.at.y + ic], from_seen.inside.y),
        select(vec4f(), input[from_seen.at.z + ic], from_seen.inside.z),
        select(vec4f(), input[from_seen.at.w + ic], from_seen.inside.w),
    );
}

// Four input channels (columns) x four output channels.
fn load_weights(at: u32) -> mat4x4f {
    let next = OUT_C / 4u;
    return mat4x4f(weights[at], weights[at + next], weights[at + 2u * next], weights[at + 3u * next]);
}

// Four channels of 16 pixels.
fn store(first: u32, column: u32, sums: Sums) {
    store_four(first, column, sums.p0);
    store_four(first + 4u, column, sums.p1);
    store_four(first + 8u, column, sums.p2);
    store_four(first + 12u, column, sums.p3);
}

fn store_four(first: u32, column: u32, sums: mat4x4f) {
    store_pixel(first, column, sums[0]);
    store_pixel(first + 1u, column, sums[1]);
    store_pixel(first + 2u, column, sums[2]);
    store_pixel(first + 3u, column, sums[3]);
}

fn store_pixel(pixel: u32, column: u32, sums: vec4f) {
    if pixel >= BATCH * OUT_H * OUT_W { return; }
    output[pixel * (OUT_C / 4u) + column] = finish(sums, column);
}

fn finish(sums: vec4f, column: u32) -> vec4f {
    var sum = sums;
    if BIAS { sum += bias[column]; }
    if RELU { sum = select(sum, vec4f(), sum < vec4f()); }
    return sum;
}
