// dense.backward_input in registers (formula: backward_input_direct.wgsl).
// One thread computes 8 images x 8 inputs: 64 sums. Per four outputs it loads a vec4 of each image's gradient and of each
// input's weights: 256 multiply-adds for 16 loads. Neighbouring threads share the gradients. Needs IN and OUT divisible by 4.
// use dense_rows, four_weights, index, sums8
// vec4 output_gradient, input_gradient

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    let columns = IN / 4u;
    let tiles = (columns + 1u) / 2u;
    if id >= (BATCH + 7u) / 8u * tiles { return; }
    let column = id % tiles * 2u;
    let first = id / tiles * 8u;
    let rows0 = rows_from(first, OUT / 4u);
    let rows1 = rows_from(first + 4u, OUT / 4u);
    let right = min(column + 1u, columns - 1u); // past the last inputs the last repeat: computed and not stored

    var sums = Sums();
    for (var o = 0u; o < OUT / 4u; o++) {
        let w_left = transpose(four_weights(column * OUT + o, OUT / 4u));
        let w_right = transpose(four_weights(right * OUT + o, OUT / 4u));
        let e0 = mat4x4f(vec4f(output_gradient[rows0.x + o]), vec4f(output_gradient[rows0.y + o]), vec4f(output_gradient[rows0.z + o]), vec4f(output_gradient[rows0.w + o]));
        let e1 = mat4x4f(vec4f(output_gradient[rows1.x + o]), vec4f(output_gradient[rows1.y + o]), vec4f(output_gradient[rows1.z + o]), vec4f(output_gradient[rows1.w + o]));
        sums = add_terms(sums, w_left, w_right, e0, e1);
    }
    store_sums(first, column, column + 1u < columns, sums);
}

// Eight inputs of an image, or four where there are no more.
fn store(n: u32, column: u32, two: bool, left: vec4f, right: vec4f) {
    if n >= BATCH { return; }
    let place = n * (IN / 4u) + column;
    input_gradient[place] = vec4<Elem>(left);
    if two { input_gradient[place + 1u] = vec4<Elem>(right); }
}
