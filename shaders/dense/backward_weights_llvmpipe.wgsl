// dense.backward_weights for software adapters (formula: backward_weights_direct.wgsl) with subgroups of 8, where a load is a
// loop over the lanes and a shuffle costs next to nothing (shaders/conv_block/NOTES.md).
// A subgroup computes 32 inputs x 32 outputs over the whole batch; each lane four of the outputs, 128 sums. Per image a lane
// loads four inputs and four gradients (two vec4), and the lanes hand the inputs around: 128 multiply-adds for two loads. Two
// images pass together. The subgroups of the first inputs also sum the bias. Needs IN and OUT divisible by 4.
// use index
// vec4 input, output_gradient, weights_gradient, bias_gradient

// Two images: the lane's inputs and gradients.
struct Images { x0: vec4f, x1: vec4f, e0: vec4f, e1: vec4f }

@compute @workgroup_size(32)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = (flat_group(group, groups) * 32u + local) / 8u;
    let lane = local % 8u;
    let columns = OUT / 4u;
    let rows = IN / 4u;
    let tiles = (columns + 7u) / 8u;
    let first = id / tiles * 8u; // of the subgroup's eight quartets of inputs
    let column = id % tiles * 8u + lane;
    // quartets past the last repeat the last: they are computed and not stored
    let x_at = min(first + lane, rows - 1u);
    let e_at = min(column, columns - 1u);

    // matrix k, column j: input j of lane k, four outputs
    var m0 = mat4x4f();
    var m1 = mat4x4f();
    var m2 = mat4x4f();
    var m3 = mat4x4f();
    var m4 = mat4x4f();
    var m5 = mat4x4f();
    var m6 = mat4x4f();
    var m7 = mat4x4f();
    var bias = vec4f();
    for (var n = 0u; n < BATCH; n += 2u) {
        let second = min(n + 1u, BATCH - 1u);
        let e1 = select(vec4f(), output_gradient[second * columns + e_at], n + 1u < BATCH);
        let i = Images(input[n * rows + x_at], input[second * rows + x_at], output_gradient[n * columns + e_at], e1);
        m0 = add(m0, i, 0u);
        m1 = add(m1, i, 1u);
        m2 = add(m2, i, 2u);
        m3 = add(m3, i, 3u);
        m4 = add(m4, i, 4u);
        m5 = add(m5, i, 5u);
        m6 = add(m6, i, 6u);
        m7 = add(m7, i, 7u);
        bias += i.e0 + i.e1;
    }
    if column >= columns { return; }
    store(first, column, m0);
    store(first + 1u, column, m1);
    store(first + 2u, column, m2);
    store(first + 3u, column, m3);
    store(first + 4u, column, m4);
    store(first + 5u, column, m5);
    store(first + 6u, column, m6);
    store(first + 7u, column, m7);
    if first == 0u { bias_gradient[column] = select(vec4f(), bias, BIAS); }
}

// Adds two images to the sums of lane k's inputs.
fn add(sums: mat4x4f, i: Images, k: u32) -> mat4x4f {
    let x0 = subgroupShuffle(i.x0, k);
    let x1 = subgroupShuffle(i.x1, k);
    return mat4x4f(
        fma(i.e1, vec4f(x1.x), fma(i.e0, vec4f(x0.x), sums[0])), fma(i.e1, vec4f(x1.y), fma(i.e0, vec4f(x0.y), sums[1])),
        fma(i.e1, vec4f(x1.z), fma(i.e0, vec4f(x0.z), sums[2])), fma(i.e1, vec4f(x1.w), fma(i.e0, vec4f(x0.w), sums[3])));
}

// Four inputs x four outputs.
fn store(row: u32, column: u32, sums: mat4x4f) {
    if row >= IN / 4u { return; }
    let next = OUT / 4u;
    let place = row * OUT + column;
    weights_gradient[place] = sums[0];
    weights_gradient[place + next] = sums[1];
    weights_gradient[place + 2u * next] = sums[2];
    weights_gradient[place + 3u * next] = sums[3];
}
