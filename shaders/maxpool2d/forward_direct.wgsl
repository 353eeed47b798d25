// maxpool2d.forward, portable: output[n,oy,ox,c] = max over ky,kx of input[n, oy*STRIDE+ky, ox*STRIDE+kx, c].
// One thread per output element, channels fastest. No padding: every window lies inside.
override BATCH: u32;
override IN_H: u32;
override IN_W: u32;
override CHANNELS: u32;
override OUT_H: u32;
override OUT_W: u32;
override KERNEL: u32;
override STRIDE: u32;

@group(0) @binding(1) var<storage, read> input: array<Elem>;
@group(0) @binding(2) var<storage, read_write> output: array<Elem>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    if id >= BATCH * OUT_H * OUT_W * CHANNELS { return; }
    let c = id % CHANNELS;
    let ox = id / CHANNELS % OUT_W;
    let oy = id / (CHANNELS * OUT_W) % OUT_H;
    let n = id / (CHANNELS * OUT_W * OUT_H);

    let corner = ((n * IN_H + oy * STRIDE) * IN_W + ox * STRIDE) * CHANNELS + c;
    var best = f32(input[corner]);
    for (var tap = 1u; tap < KERNEL * KERNEL; tap++) {
        best = max(best, f32(input[corner + (tap / KERNEL * IN_W + tap % KERNEL) * CHANNELS]));
    }
    output[id] = Elem(best);
}
