// adam.average_mixed, four elements at a time: the running average of the parameters over the steps.
//   average = average + share * (p - average)
// Nothing changes where status[0] is 0: the step's loss or gradient was not finite.
// One thread per four elements; ELEMENTS is a multiple of four; 14 bytes per element: the copy in f16 is what inference multiplies with.
override ELEMENTS: u32;

@group(0) @binding(1) var<storage, read> parameters: array<vec4f>;
@group(0) @binding(2) var<storage, read> status: array<u32>;
@group(0) @binding(3) var<storage, read_write> average: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> half_average: array<vec4<Elem>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    if id >= ELEMENTS / 4u || status[0] == 0u { return; }
    let renewed = average[id] + params.average * (parameters[id] - average[id]);
    average[id] = renewed;
    half_average[id] = vec4<Elem>(renewed);
}
