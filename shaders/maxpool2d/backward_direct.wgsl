// maxpool2d.backward, portable: a window hands its gradient to its first maximum (row by row); windows that share one add up.
// One thread per input element: it looks at each window that holds it, in order, and at that window's inputs for the first
// maximum. A gather, so overlapping windows (3x3, stride 2) need no atomics. At most ceil(KERNEL/STRIDE)^2 windows.
override BATCH: u32;
override IN_H: u32;
override IN_W: u32;
override CHANNELS: u32;
override OUT_H: u32;
override OUT_W: u32;
override KERNEL: u32;
override STRIDE: u32;

@group(0) @binding(1) var<storage, read> input: array<Elem>;
@group(0) @binding(2) var<storage, read> output_gradient: array<Elem>;
@group(0) @binding(3) var<storage, read_write> input_gradient: array<Elem>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    if id >= BATCH * IN_H * IN_W * CHANNELS { return; }
    let c = id % CHANNELS;
    let ix = id / CHANNELS % IN_W;
    let iy = id / (CHANNELS * IN_W) % IN_H;
    let n = id / (CHANNELS * IN_W * IN_H);

    var sum = 0.0;
    for (var oy = first_window(iy); oy <= iy / STRIDE && oy < OUT_H; oy++) {
        for (var ox = first_window(ix); ox <= ix / STRIDE && ox < OUT_W; ox++) {
            let corner = ((n * IN_H + oy * STRIDE) * IN_W + ox * STRIDE) * CHANNELS + c;
            let own = (iy - oy * STRIDE) * KERNEL + ix - ox * STRIDE;
            if first_maximum(corner) == own {
                sum += f32(output_gradient[((n * OUT_H + oy) * OUT_W + ox) * CHANNELS + c]);
            }
        }
    }
    input_gradient[id] = Elem(sum);
}

// The first window that reaches this place.
fn first_window(place: u32) -> u32 {
    return select(0u, (place - KERNEL) / STRIDE + 1u, place >= KERNEL);
}

// Tap of the window's first maximum.
fn first_maximum(corner: u32) -> u32 {
    var best = f32(input[corner]);
    var winner = 0u;
    for (var tap = 1u; tap < KERNEL * KERNEL; tap++) {
        let value = f32(input[corner + (tap / KERNEL * IN_W + tap % KERNEL) * CHANNELS]);
        if value > best { best = value; winner = tap; }
    }
    return winner;
}
