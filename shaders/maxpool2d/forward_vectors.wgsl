// maxpool2d.forward, four channels a thread: output[n,oy,ox,c] = max over ky,kx of input[n, oy*STRIDE+ky, ox*STRIDE+kx, c].
// Channels fastest. Needs CHANNELS divisible by 4. No padding: every window lies inside.
override BATCH: u32;
override IN_H: u32;
override IN_W: u32;
override CHANNELS: u32;
override OUT_H: u32;
override OUT_W: u32;
override KERNEL: u32;
override STRIDE: u32;

@group(0) @binding(1) var<storage, read> input: array<vec4<Elem>>;
@group(0) @binding(2) var<storage, read_write> output: array<vec4<Elem>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    let words = CHANNELS / 4u;
    if id >= BATCH * OUT_H * OUT_W * words { return; }
    let c = id % words;
    let ox = id / words % OUT_W;
    let oy = id / (words * OUT_W) % OUT_H;
    let n = id / (words * OUT_W * OUT_H);

    let corner = ((n * IN_H + oy * STRIDE) * IN_W + ox * STRIDE) * words + c;
    var best = vec4f(input[corner]);
    for (var tap = 1u; tap < KERNEL * KERNEL; tap++) {
        best = max(best, vec4f(input[corner + (tap / KERNEL * IN_W + tap % KERNEL) * words]));
    }
    output[id] = vec4<Elem>(best);
}
