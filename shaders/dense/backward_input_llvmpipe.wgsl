// dense.backward_input for software adapters (formula: backward_input_direct.wgsl) with subgroups of 8, where a load is a
// loop over the lanes and a shuffle costs next to nothing (shaders/conv_block/NOTES.md).
// A subgroup computes 32 images x 32 inputs; each lane four of the inputs, 128 sums. Per four outputs a lane loads four
// rows of weights and the gradients of four images (eight vec4), and the lanes hand the gradients around: 512 multiply-adds
// for eight loads. Needs IN and OUT divisible by 4.
// use four_weights, index, llvmpipe_images
// vec4 output_gradient, input_gradient

@compute @workgroup_size(32)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = (flat_group(group, groups) * 32u + local) / 8u;
    let lane = local % 8u;
    let columns = IN / 4u;
    let tiles = (columns + 7u) / 8u;
    let first = id / tiles * 32u;
    let column = id % tiles * 8u + lane;
    // images and inputs past the last repeat the last: they are computed and not stored
    let rows = min(first + lane + vec4u(0u, 8u, 16u, 24u), vec4u(BATCH - 1u)) * (OUT / 4u);
    let start = min(column, columns - 1u) * OUT;
    let next = OUT / 4u;

    var s0 = Sums();
    var s1 = Sums();
    var s2 = Sums();
    var s3 = Sums();
    for (var o = 0u; o < next; o++) {
        let at = start + o;
        let w = transpose(four_weights(at, next));
        s0 = add(s0, w, output_gradient[rows.x + o]);
        s1 = add(s1, w, output_gradient[rows.y + o]);
        s2 = add(s2, w, output_gradient[rows.z + o]);
        s3 = add(s3, w, output_gradient[rows.w + o]);
    }
    if column >= columns { return; }
    store(first, column, s0);
    store(first + 8u, column, s1);
    store(first + 16u, column, s2);
    store(first + 24u, column, s3);
}

fn store(first: u32, column: u32, sums: Sums) {
    for (var k = 0u; k < 4u; k++) {
        if first + k < BATCH { input_gradient[(first + k) * (IN / 4u) + column] = sums.low[k]; }
        if first + 4u + k < BATCH { input_gradient[(first + 4u + k) * (IN / 4u) + column] = sums.high[k]; }
    }
}
