// relu.forward, portable: output[i] = max(0, input[i]); NaN stays NaN, so that a diverged run is seen.
// One thread per element; 8 bytes each.
override ELEMENTS: u32;

@group(0) @binding(1) var<storage, read> input: array<Elem>;
@group(0) @binding(2) var<storage, read_write> output: array<Elem>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    if id >= ELEMENTS { return; }
    let x = f32(input[id]);
    output[id] = Elem(select(x, 0.0, x < 0.0));
}
