// concatenate.forward: output[r,c] = left[r,c] where c < LEFT, else right[r, c - LEFT].
// One thread per item of the output; 8 bytes an element.
// use index
// item left, right, output

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    let split = LEFT / LANES;
    let width = split + RIGHT / LANES;
    if id >= ROWS * width { return; }
    let row = id / width;
    let c = id % width;
    if c < split {
        output[id] = left[row * split + c];
    } else {
        output[id] = right[row * (width - split) + c - split];
    }
}
