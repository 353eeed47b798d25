// dense.backward_input in registers (formula: backward_input_direct.wgsl).
// One thread computes 8 images x 8 inputs: 64 sums. Per four outputs it loads a vec4 of each image's gradient and of each
// input's weights: 256 multiply-adds for 16 loads. Neighbouring threads share the gradients. Needs IN and OUT divisible by 4.
// use index, products
// vec4 output_gradient, weights, input_gradient

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    let columns = IN / 4u;
    let tiles = (columns + 1u) / 2u;
    if id >= (BATCH + 7u) / 8u * tiles { return; }
    let column = id % tiles * 2u;
    let first = id / tiles * 8u;
    // images past the last, and inputs past the last, repeat the last: they are computed and not stored
    let rows0 = min(first + vec4u(0u, 1u, 2u, 3u), vec4u(BATCH - 1u)) * (OUT / 4u);
    let rows1 = min(first + vec4u(4u, 5u, 6u, 7u), vec4u(BATCH - 1u)) * (OUT / 4u);
    let right = min(column + 1u, columns - 1u);

    // column r of a matrix: image r, four inputs
    var left0 = mat4x4f();
    var left1 = mat4x4f();
    var right0 = mat4x4f();
    var right1 = mat4x4f();
    for (var o = 0u; o < OUT / 4u; o++) {
        let w_left = transpose(load(column * OUT + o));
        let w_right = transpose(load(right * OUT + o));
        let e0 = mat4x4f(vec4f(output_gradient[rows0.x + o]), vec4f(output_gradient[rows0.y + o]), vec4f(output_gradient[rows0.z + o]), vec4f(output_gradient[rows0.w + o]));
        let e1 = mat4x4f(vec4f(output_gradient[rows1.x + o]), vec4f(output_gradient[rows1.y + o]), vec4f(output_gradient[rows1.z + o]), vec4f(output_gradient[rows1.w + o]));
        left0 = chains(left0, w_left, e0);
        left1 = chains(left1, w_left, e1);
        right0 = chains(right0, w_right, e0);
        right1 = chains(right1, w_right, e1);
    }
    let two = column + 1u < columns;
    store(first, column, two, left0[0], right0[0]);
    store(first + 1u, column, two, left0[1], right0[1]);
    store(first + 2u, column, two, left0[2], right0[2]);
    store(first + 3u, column, two, left0[3], right0[3]);
    store(first + 4u, column, two, left1[0], right1[0]);
    store(first + 5u, column, two, left1[1], right1[1]);
    store(first + 6u, column, two, left1[2], right1[2]);
    store(first + 7u, column, two, left1[3], right1[3]);
}

// Four outputs of four inputs (columns).
fn load(at: u32) -> mat4x4f {
    let next = OUT / 4u;
    return mat4x4f(vec4f(weights[at]), vec4f(weights[at + next]), vec4f(weights[at + 2u * next]), vec4f(weights[at + 3u * next]));
}

// Eight inputs of an image, or four where there are no more.
fn store(n: u32, column: u32, two: bool, left: vec4f, right: vec4f) {
    if n >= BATCH { return; }
    let place = n * (IN / 4u) + column;
    input_gradient[place] = vec4<Elem>(left);
    if two { input_gradient[place + 1u] = vec4<Elem>(right); }
}
