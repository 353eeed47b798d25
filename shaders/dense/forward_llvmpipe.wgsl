// dense.forward for software adapters, first of two dispatches (formula: forward_direct.wgsl): products summed over a run of
// inputs, with subgroups of 8, where a load is a loop over the lanes and a shuffle costs next to nothing
// (shaders/conv_block/NOTES.md).
// A subgroup computes one run of SPLIT_INS inputs x 32 images x 32 outputs; each lane four of the outputs, 128 sums. Per four
// inputs a lane loads four rows of weights and the inputs of four images (eight vec4), and the lanes hand the inputs
// around: 512 multiply-adds for eight loads. forward_split_sum.wgsl adds the runs in order. Scratch: SPLITS x BATCH x OUT.
// Needs IN and OUT divisible by 4.
// use four_weights, index, llvmpipe_images
// vec4 input, partial

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = (flat_group(group, groups) * 64u + local) / 8u;
    let lane = local % 8u;
    let columns = OUT / 4u;
    let tiles = (columns + 7u) / 8u;
    let stacks = (BATCH + 31u) / 32u;
    let column = id % tiles * 8u + lane;
    let first = id / tiles % stacks * 32u;
    let split = id / (tiles * stacks); // past the last an empty run
    // images and outputs past the last repeat the last: they are computed and not stored
    let rows = min(first + lane + vec4u(0u, 8u, 16u, 24u), vec4u(BATCH - 1u)) * (IN / 4u);
    let start = min(column, columns - 1u);

    var s0 = Sums();
    var s1 = Sums();
    var s2 = Sums();
    var s3 = Sums();
    let last = min((split + 1u) * SPLIT_INS, IN) / 4u;
    for (var i = split * SPLIT_INS / 4u; i < last; i++) {
        let at = i * OUT + start;
        let w = four_weights(at, columns);
        s0 = add(s0, w, input[rows.x + i]);
        s1 = add(s1, w, input[rows.y + i]);
        s2 = add(s2, w, input[rows.z + i]);
        s3 = add(s3, w, input[rows.w + i]);
    }
    if split >= SPLITS || column >= columns { return; }
    let place = split * BATCH * columns + column;
    store(first, place, s0);
    store(first + 8u, place, s1);
    store(first + 16u, place, s2);
    store(first + 24u, place, s3);
}

fn store(first: u32, place: u32, sums: Sums) {
    for (var k = 0u; k < 4u; k++) {
        if first + k < BATCH { partial[place + (first + k) * (OUT / 4u)] = sums.low[k]; }
        if first + 4u + k < BATCH { partial[place + (first + 4u + k) * (OUT / 4u)] = sums.high[k]; }
    }
}
