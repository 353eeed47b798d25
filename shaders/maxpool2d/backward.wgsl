// maxpool2d.backward: a window hands its gradient to its first maximum (row by row); windows that share one add up.
// One thread per item of the input: it looks at each window that holds it, in order, and at that window's inputs for the first
// maximum. A gather, so overlapping windows (3x3, stride 2) need no atomics. At most ceil(KERNEL/STRIDE)^2 windows.
// use first_maximum, index
// item input, output_gradient, input_gradient

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    let words = CHANNELS / LANES;
    if id >= BATCH * IN_H * IN_W * words { return; }
    let c = id % words;
    let ix = id / words % IN_W;
    let iy = id / (words * IN_W) % IN_H;
    let n = id / (words * IN_W * IN_H);

    var sum = Value();
    for (var oy = first_window(iy); oy <= iy / STRIDE && oy < OUT_H; oy++) {
        for (var ox = first_window(ix); ox <= ix / STRIDE && ox < OUT_W; ox++) {
            let corner = ((n * IN_H + oy * STRIDE) * IN_W + ox * STRIDE) * words + c;
            let own = (iy - oy * STRIDE) * KERNEL + ix - ox * STRIDE;
            let gradient = Value(output_gradient[((n * OUT_H + oy) * OUT_W + ox) * words + c]);
            sum += select(Value(), gradient, first_maximum(corner, words) == Index(own));
        }
    }
    input_gradient[id] = Item(sum);
}

// The first window that reaches this place.
fn first_window(place: u32) -> u32 {
    return select(0u, (place - KERNEL) / STRIDE + 1u, place >= KERNEL);
}
