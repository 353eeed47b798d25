// maxpool2d.backward, a thread for each window and four channels: it looks for the window's first maximum (row by row) once, and
// writes the gradient there and zeros at the window's other places. Needs CHANNELS divisible by 4 and windows that neither overlap
// nor leave gaps (STRIDE = KERNEL); places past the last whole window get zeros from the windows that would begin there.
override BATCH: u32;
override IN_H: u32;
override IN_W: u32;
override CHANNELS: u32;
override OUT_H: u32;
override OUT_W: u32;
override KERNEL: u32;

@group(0) @binding(1) var<storage, read> input: array<vec4<Elem>>;
@group(0) @binding(2) var<storage, read> output_gradient: array<vec4<Elem>>;
@group(0) @binding(3) var<storage, read_write> input_gradient: array<vec4<Elem>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    let words = CHANNELS / 4u;
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
                input_gradient[corner + (y * IN_W + x) * words] = vec4<Elem>();
            }
        }
        return;
    }
    var best = vec4f(input[corner]);
    var winner = vec4u();
    for (var tap = 1u; tap < KERNEL * KERNEL; tap++) {
        let value = vec4f(input[corner + (tap / KERNEL * IN_W + tap % KERNEL) * words]);
        let larger = value > best;
        best = select(best, value, larger);
        winner = select(winner, vec4u(tap), larger);
    }
    let gradient = vec4f(output_gradient[((n * OUT_H + oy) * OUT_W + ox) * words + c]);
    for (var tap = 0u; tap < KERNEL * KERNEL; tap++) {
        let place = corner + (tap / KERNEL * IN_W + tap % KERNEL) * words;
        input_gradient[place] = vec4<Elem>(select(vec4f(), gradient, winner == vec4u(tap)));
    }
}
