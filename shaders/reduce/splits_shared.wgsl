// Second dispatch of split weights' gradients (formula: splits_direct.wgsl), for many runs: one thread to an element would wait for
// hundreds of loads in turn. A workgroup adds the runs of 32 elements; thread (element, lane) every eighth run from its
// lane on, in order, with four running sums; then the eight lanes are added in order.
// use index

const LANES = 8u;
var<workgroup> sums: array<f32, 32u * LANES>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let element = flat_group(group, groups) * 32u + local % 32u;
    let row = WEIGHTS + BIASES;
    if element < row {
        var four = vec4f();
        var s = local / 32u;
        for (; s + 3u * LANES < SPLITS; s += 4u * LANES) {
            let at = s * row + element;
            four += vec4f(partial[at], partial[at + LANES * row], partial[at + 2u * LANES * row], partial[at + 3u * LANES * row]);
        }
        for (; s < SPLITS; s += LANES) { four.x += partial[s * row + element]; }
        sums[local] = (four.x + four.y) + (four.z + four.w);
    }
    workgroupBarrier();
    if local >= 32u || element >= row { return; }
    var sum = 0.0;
    for (var lane = 0u; lane < LANES; lane++) { sum += sums[lane * 32u + local]; }
    if element < WEIGHTS { weights_gradient[element] = sum; } else { bias_gradient[element - WEIGHTS] = sum; }
}
