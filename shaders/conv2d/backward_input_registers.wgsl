// conv2d.backward_input in registers (formula: backward_input_direct.wgsl).
// One thread computes 8 input pixels x 8 input channels: 64 sums. Per tap and four output channels it loads a vec4 of each
// pixel's gradient and 8 vec4 of weights: 256 multiply-adds for 16 loads. A thread's pixels are of one phase of the
// stride (parts/conv2d_phases.wgsl), so that each of its taps reaches all of them. Needs IN_C and OUT_C divisible by 4.
// use conv2d_phases, four_weights, index, sums8
// vec4 input_gradient

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
    phase = vec2u(id / (tiles * stacks) / STRIDE, id / (tiles * stacks) % STRIDE);
    let begin = phase + vec2u(PAD_TOP, PAD_LEFT); // the phase's first taps, and whole strides from its pixels to the output's
    let pixels0 = pixels_of(first + vec4u(0u, 1u, 2u, 3u), begin / STRIDE);
    let pixels1 = pixels_of(first + vec4u(4u, 5u, 6u, 7u), begin / STRIDE);

    var sums = Sums();
    for (var ky = begin.x % STRIDE; ky < KERNEL; ky += STRIDE) {
        for (var kx = begin.y % STRIDE; kx < KERNEL; kx += STRIDE) {
            let seen0 = seen(pixels0, ky / STRIDE, kx / STRIDE);
            let seen1 = seen(pixels1, ky / STRIDE, kx / STRIDE);
            let tap = (ky * KERNEL + kx) * columns;
            for (var oc = 0u; oc < OUT_C / 4u; oc++) {
                let w_left = transpose(four_weights((tap + column) * OUT_C + oc, OUT_C / 4u));
                let w_right = transpose(four_weights((tap + right) * OUT_C + oc, OUT_C / 4u));
                sums = add_terms(sums, w_left, w_right, load(seen0, oc), load(seen1, oc));
            }
        }
    }
    store_sums(first, column, column + 1u < columns, sums);
}

// Eight channels of a pixel, or four where there are no more.
fn store(index: u32, column: u32, two: bool, left: vec4f, right: vec4f) {
    let place = place_of(index);
    if place == 0xffffffffu { return; }
    input_gradient[place + column] = vec4<Elem>(left);
    if two { input_gradient[place + column + 1u] = vec4<Elem>(right); }
}
