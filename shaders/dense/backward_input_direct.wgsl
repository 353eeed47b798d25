// dense.backward_input, portable: input_gradient[n,i] = sum over o of output_gradient[n,o] * weights[i,o].
// One thread per input element, inputs fastest. Traffic without caches: 2 * OUT loads per element.
// use index

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    if id >= BATCH * IN { return; }
    let row = id / IN * OUT;
    let column = id % IN * OUT;

    var sum = 0.0;
    for (var o = 0u; o < OUT; o++) {
        sum = fma(f32(output_gradient[row + o]), f32(weights[column + o]), sum);
    }
    input_gradient[id] = Elem(sum);
}
