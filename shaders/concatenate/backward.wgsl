// concatenate.backward: left_gradient[r,c] = output_gradient[r,c], right_gradient[r,c] = output_gradient[r, LEFT + c].
// One thread per item of the output's gradient; 8 bytes an element.
// use index
// item output_gradient, left_gradient, right_gradient

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    let split = LEFT / LANES;
    let width = split + RIGHT / LANES;
    if id >= ROWS * width { return; }
    let row = id / width;
    let c = id % width;
    if c < split {
        left_gradient[row * split + c] = output_gradient[id];
    } else {
        right_gradient[row * (width - split) + c - split] = output_gradient[id];
    }
}
