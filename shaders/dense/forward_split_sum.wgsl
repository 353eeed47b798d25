// dense.forward, second of two dispatches: output[n,o] = act(bias[o] + sum over s of partial[s,n,o]).
// One thread per four outputs; the runs are added in order. Bytes: 4 * (SPLITS + 1) per output.
// use finish, index
// vec4 output, partial

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    let row = BATCH * OUT / 4u;
    if id >= row { return; }
    var even = vec4f();
    var odd = vec4f();
    var s = 0u;
    for (; s + 2u <= SPLITS; s += 2u) {
        even += partial[s * row + id];
        odd += partial[(s + 1u) * row + id];
    }
    if s < SPLITS { even += partial[s * row + id]; }
    output[id] = vec4<Elem>(finish(even + odd, id % (OUT / 4u)));
}
