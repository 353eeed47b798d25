// dense.forward, first of two dispatches (formula: forward_direct.wgsl): products summed over a run of inputs.
// The inputs are cut into SPLITS equal runs of SPLIT_INS, a number fixed by the shapes, so that a small batch still fills
// an adapter. One thread computes one run x 8 images x 8 outputs: 64 sums in registers. Per four inputs it loads a vec4
// of each image and 8 vec4 of weights: 256 multiply-adds for 16 loads. Neighbouring threads share the images.
// forward_split_sum.wgsl adds the runs in order. Scratch: SPLITS x BATCH x OUT. Needs IN and OUT divisible by 4.
// use dense_rows, four_weights, index, sums8
// vec4 input, partial

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    let columns = OUT / 4u;
    let tiles = (columns + 1u) / 2u;
    let stacks = (BATCH + 7u) / 8u;
    if id >= SPLITS * stacks * tiles { return; }
    let column = id % tiles * 2u;
    let first = id / tiles % stacks * 8u;
    let split = id / (tiles * stacks);
    let rows0 = rows_from(first, IN / 4u);
    let rows1 = rows_from(first + 4u, IN / 4u);
    let right = min(column + 1u, columns - 1u); // past the last outputs the last repeat: computed and not stored

    var sums = Sums();
    let last = min((split + 1u) * SPLIT_INS, IN) / 4u;
    for (var i = split * SPLIT_INS / 4u; i < last; i++) {
        let x0 = mat4x4f(vec4f(input[rows0.x + i]), vec4f(input[rows0.y + i]), vec4f(input[rows0.z + i]), vec4f(input[rows0.w + i]));
        let x1 = mat4x4f(vec4f(input[rows1.x + i]), vec4f(input[rows1.y + i]), vec4f(input[rows1.z + i]), vec4f(input[rows1.w + i]));
        sums = add_terms(sums, four_weights(i * OUT + column, columns), four_weights(i * OUT + right, columns), x0, x1);
    }
    store_sums(first, split * BATCH * columns + column, column + 1u < columns, sums);
}

// Eight outputs of an image, or four where there are no more.
fn store(n: u32, at: u32, two: bool, left: vec4f, right: vec4f) {
    if n >= BATCH { return; }
    let place = at + n * (OUT / 4u);
    partial[place] = left;
    if two { partial[place + 1u] = right; }
}
