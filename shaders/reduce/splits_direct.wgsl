// Second dispatch of split weights' gradients: adds the partial sums of all splits in order.
//   weights_gradient[i] = sum over s of partial[s, i],   bias_gradient[j] = sum over s of partial[s, WEIGHTS + j]
// One thread per element; eight running sums hide the latency of the loads, and are added in a fixed order.
// use index

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    let row = WEIGHTS + BIASES;
    if id >= row { return; }
    var low = vec4f();
    var high = vec4f();
    var s = 0u;
    for (; s + 8u <= SPLITS; s += 8u) {
        let at = s * row + id;
        low += vec4f(partial[at], partial[at + row], partial[at + 2u * row], partial[at + 3u * row]);
        high += vec4f(partial[at + 4u * row], partial[at + 5u * row], partial[at + 6u * row], partial[at + 7u * row]);
    }
    for (; s < SPLITS; s++) { low.x += partial[s * row + id]; }
    let both = low + high;
    let sum = (both.x + both.y) + (both.z + both.w);
    if id < WEIGHTS { weights_gradient[id] = sum; } else { bias_gradient[id - WEIGHTS] = sum; }
}
