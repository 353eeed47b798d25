// maxpool2d.backward, four channels a thread: a window hands its gradient to its first maximum (row by row); windows that share one
// add up. A thread looks at each window that holds its input pixel, in order, and at that window's inputs for the first maximum. A
// gather, so overlapping windows (3x3, stride 2) need no atomics. At most ceil(KERNEL/STRIDE)^2 windows. Needs CHANNELS
// divisible by 4.
override BATCH: u32;
override IN_H: u32;
override IN_W: u32;
override CHANNELS: u32;
override OUT_H: u32;
override OUT_W: u32;
override KERNEL: u32;
override STRIDE: u32;

@group(0) @binding(1) var<storage, read> input: array<vec4<Elem>>;
@group(0) @binding(2) var<storage, read> output_gradient: array<vec4<Elem>>;
@group(0) @binding(3) var<storage, read_write> input_gradient: array<vec4<Elem>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    let words = CHANNELS / 4u;
    if id >= BATCH * IN_H * IN_W * words { return; }
    let c = id % words;
    let ix = id / words % IN_W;
    let iy = id / (words * IN_W) % IN_H;
    let n = id / (words * IN_W * IN_H);

    var sum = vec4f();
    for (var oy = first_window(iy); oy <= iy / STRIDE && oy < OUT_H; oy++) {
        for (var ox = first_window(ix); ox <= ix / STRIDE && ox < OUT_W; ox++) {
            let corner = ((n * IN_H + oy * STRIDE) * IN_W + ox * STRIDE) * words + c;
            let own = (iy - oy * STRIDE) * KERNEL + ix - ox * STRIDE;
            let gradient = vec4f(output_gradient[((n * OUT_H + oy) * OUT_W + ox) * words + c]);
            sum += select(vec4f(), gradient, first_maximum(corner) == vec4u(own));
        }
    }
    input_gradient[id] = vec4<Elem>(sum);
}

// The first window that reaches this place.
fn first_window(place: u32) -> u32 {
    return select(0u, (place - KERNEL) / STRIDE + 1u, place >= KERNEL);
}

// Tap of the window's first maximum, for each channel.
fn first_maximum(corner: u32) -> vec4u {
    var best = vec4f(input[corner]);
    var winner = vec4u();
    for (var tap = 1u; tap < KERNEL * KERNEL; tap++) {
        let value = vec4f(input[corner + (tap / KERNEL * IN_W + tap % KERNEL) * (CHANNELS / 4u)]);
        let larger = value > best;
        best = select(best, value, larger);
        winner = select(winner, vec4u(tap), larger);
    }
    return winner;
}
