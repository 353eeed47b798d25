// dense.forward, first of two dispatches (formula: forward_direct.wgsl): products summed over a run of inputs.
// The inputs are cut into SPLITS equal runs of SPLIT_INS, a number fixed by the shapes, so that a small batch still fills
// an adapter. One thread computes one run x 8 images x 8 outputs: 64 sums in registers. Per four inputs it loads a vec4
// of each image and 8 vec4 of weights: 256 multiply-adds for 16 loads. Neighbouring threads share the images.
// forward_split_sum.wgsl adds the runs in order. Scratch: SPLITS x BATCH x OUT. Needs IN and OUT divisible by 4.
// use index, products
// vec4 input, weights, partial

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
    // images past the last, and outputs past the last, repeat the last: they are computed and not stored
    let rows0 = min(first + vec4u(0u, 1u, 2u, 3u), vec4u(BATCH - 1u)) * (IN / 4u);
    let rows1 = min(first + vec4u(4u, 5u, 6u, 7u), vec4u(BATCH - 1u)) * (IN / 4u);
    let right = min(column + 1u, columns - 1u);

    // column r of a matrix: image r, four outputs
    var left0 = mat4x4f();
    var left1 = mat4x4f();
    var right0 = mat4x4f();
    var right1 = mat4x4f();
    let last = min((split + 1u) * SPLIT_INS, IN) / 4u;
    for (var i = split * SPLIT_INS / 4u; i < last; i++) {
        let x0 = mat4x4f(vec4f(input[rows0.x + i]), vec4f(input[rows0.y + i]), vec4f(input[rows0.z + i]), vec4f(input[rows0.w + i]));
        let x1 = mat4x4f(vec4f(input[rows1.x + i]), vec4f(input[rows1.y + i]), vec4f(input[rows1.z + i]), vec4f(input[rows1.w + i]));
        let w_left = load(i * OUT + column);
        let w_right = load(i * OUT + right);
        left0 = chains(left0, w_left, x0);
        left1 = chains(left1, w_left, x1);
        right0 = chains(right0, w_right, x0);
        right1 = chains(right1, w_right, x1);
    }
    let at = split * BATCH * columns + column;
    let two = column + 1u < columns;
    store(first, at, two, left0[0], right0[0]);
    store(first + 1u, at, two, left0[1], right0[1]);
    store(first + 2u, at, two, left0[2], right0[2]);
    store(first + 3u, at, two, left0[3], right0[3]);
    store(first + 4u, at, two, left1[0], right1[0]);
    store(first + 5u, at, two, left1[1], right1[1]);
    store(first + 6u, at, two, left1[2], right1[2]);
    store(first + 7u, at, two, left1[3], right1[3]);
}

// Four inputs (columns) x four outputs.
fn load(at: u32) -> mat4x4f {
    let next = OUT / 4u;
    return mat4x4f(vec4f(weights[at]), vec4f(weights[at + next]), vec4f(weights[at + 2u * next]), vec4f(weights[at + 3u * next]));
}

// Eight outputs of an image, or four where there are no more.
fn store(n: u32, at: u32, two: bool, left: vec4f, right: vec4f) {
    if n >= BATCH { return; }
    let place = at + n * (OUT / 4u);
    partial[place] = left;
    if two { partial[place + 1u] = right; }
}
