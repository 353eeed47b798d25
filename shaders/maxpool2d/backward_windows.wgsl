// maxpool2d.backward, a thread for each window and four channels: it looks for the window's first maximum (row by row) once, and
// writes the gradient there and zeros at the window's other places. Needs CHANNELS divisible by 4 and windows that neither overlap
// nor leave gaps (STRIDE = KERNEL); places past the last whole window get zeros from the windows that would begin there.
// use first_maximum, index
// item output_gradient, input_gradient

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    let words = CHANNELS / LANES;
    let columns = (IN_W + KERNEL - 1u) / KERNEL;
    let rows = (IN_H + KERNEL - 1u) / KERNEL;
    if id >= BATCH * rows * columns * words { return; }
    let c = id % words;
    let ox = id / words % columns;
    let oy = id / (words * columns) % rows;
    let n = id / (words * columns * rows);

    let corner = ((n * IN_H + oy * KERNEL) * IN_W + ox * KERNEL) * words + c;
    if oy >= OUT_H || ox >= OUT_W {
        for (var y = 0u; y < min(KERNEL, IN_H - oy * KERNEL); y++) {
            for (var x = 0u; x < min(KERNEL, IN_W - ox * KERNEL); x++) {
                input_gradient[corner + (y * IN_W + x) * words] = Item();
            }
        }
        return;
    }
    let argmax = first_maximum(corner, words);
    let gradient = Value(output_gradient[((n * OUT_H + oy) * OUT_W + ox) * words + c]);
    for (var tap = 0u; tap < KERNEL * KERNEL; tap++) {
        let place = corner + (tap / KERNEL * IN_W + tap % KERNEL) * words;
        input_gradient[place] = Item(select(Value(), gradient, argmax == Index(tap)));
    }
}
