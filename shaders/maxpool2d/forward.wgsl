// maxpool2d.forward: output[n,oy,ox,c] = max over ky,kx of input[n, oy*STRIDE+ky, ox*STRIDE+kx, c].
// One thread per item of the output, channels fastest. No padding: every window lies inside.
// use index
// item input, output

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    let words = CHANNELS / LANES;
    if id >= BATCH * OUT_H * OUT_W * words { return; }
    let c = id % words;
    let ox = id / words % OUT_W;
    let oy = id / (words * OUT_W) % OUT_H;
    let n = id / (words * OUT_W * OUT_H);

    let corner = ((n * IN_H + oy * STRIDE) * IN_W + ox * STRIDE) * words + c;
    var best = Value(input[corner]);
    for (var tap = 1u; tap < KERNEL * KERNEL; tap++) {
        best = max(best, Value(input[corner + (tap / KERNEL * IN_W + tap % KERNEL) * words]));
    }
    output[id] = Item(best);
}
