// peak.fma, portable: what an adapter's f32 arithmetic can do when nothing else is asked of it.
//   x = x * a + b, 16 ROUNDS times, for 12 numbers x of a thread; output = the sum of its three vectors.
// One thread per THREADS with three independent chains of four components: twelve results are in flight in fourteen
// registers, nearly all that a CPU's vector unit has; a GPU hides the rest of the latency behind its other threads. The 16
// rows are written out, as a loop's counting would take their place. 64 bytes a thread are read and written, beside
// 384 ROUNDS operations.
// use index
// vec4 start, output

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    if id >= THREADS { return; }
    let a = vec4f(coefficients[0]);
    let b = vec4f(coefficients[1]);
    var x = start[3u * id];
    var y = start[3u * id + 1u];
    var z = start[3u * id + 2u];
    for (var round = 0u; round < ROUNDS; round++) {
        x = fma(x, a, b); y = fma(y, a, b); z = fma(z, a, b);
        x = fma(x, a, b); y = fma(y, a, b); z = fma(z, a, b);
        x = fma(x, a, b); y = fma(y, a, b); z = fma(z, a, b);
        x = fma(x, a, b); y = fma(y, a, b); z = fma(z, a, b);
        x = fma(x, a, b); y = fma(y, a, b); z = fma(z, a, b);
        x = fma(x, a, b); y = fma(y, a, b); z = fma(z, a, b);
        x = fma(x, a, b); y = fma(y, a, b); z = fma(z, a, b);
        x = fma(x, a, b); y = fma(y, a, b); z = fma(z, a, b);
        x = fma(x, a, b); y = fma(y, a, b); z = fma(z, a, b);
        x = fma(x, a, b); y = fma(y, a, b); z = fma(z, a, b);
        x = fma(x, a, b); y = fma(y, a, b); z = fma(z, a, b);
        x = fma(x, a, b); y = fma(y, a, b); z = fma(z, a, b);
        x = fma(x, a, b); y = fma(y, a, b); z = fma(z, a, b);
        x = fma(x, a, b); y = fma(y, a, b); z = fma(z, a, b);
        x = fma(x, a, b); y = fma(y, a, b); z = fma(z, a, b);
        x = fma(x, a, b); y = fma(y, a, b); z = fma(z, a, b);
    }
    output[id] = x + y + z;
}
