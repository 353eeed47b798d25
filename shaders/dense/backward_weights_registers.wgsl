// dense.backward_weights in registers (formula: backward_weights_direct.wgsl).
// One thread computes 8 inputs x 8 outputs over the whole batch: 64 sums. Per image it loads two vec4 of inputs and two
// of gradients: 64 multiply-adds for 4 loads. Neighbouring threads share the inputs. The threads of the first inputs also
// sum the bias. Needs IN and OUT divisible by 4.
// use index, outer
// vec4 input, output_gradient, weights_gradient, bias_gradient

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    let columns = OUT / 4u;
    let rows = IN / 4u;
    let tiles = (columns + 1u) / 2u;
    if id >= (rows + 1u) / 2u * tiles { return; }
    let column = id % tiles * 2u;
    let row = id / tiles * 2u;
    // outputs and inputs past the last repeat the last: they are computed and not stored
    let right = min(column + 1u, columns - 1u);
    let lower = min(row + 1u, rows - 1u);

    // column j of a matrix: input j, four outputs
    var upper_left = mat4x4f();
    var upper_right = mat4x4f();
    var lower_left = mat4x4f();
    var lower_right = mat4x4f();
    var bias_left = vec4f();
    var bias_right = vec4f();
    for (var n = 0u; n < BATCH; n++) {
        let x0 = vec4f(input[n * rows + row]);
        let x1 = vec4f(input[n * rows + lower]);
        let e0 = vec4f(output_gradient[n * columns + column]);
        let e1 = vec4f(output_gradient[n * columns + right]);
        upper_left += outer(e0, x0);
        upper_right += outer(e1, x0);
        lower_left += outer(e0, x1);
        lower_right += outer(e1, x1);
        bias_left += e0;
        bias_right += e1;
    }
    let two = column + 1u < columns;
    store(row, column, upper_left);
    if two { store(row, column + 1u, upper_right); }
    if row + 1u < rows {
        store(row + 1u, column, lower_left);
        if two { store(row + 1u, column + 1u, lower_right); }
    }
    if row == 0u {
        bias_gradient[column] = select(vec4f(), bias_left, BIAS);
        if two { bias_gradient[column + 1u] = select(vec4f(), bias_right, BIAS); }
    }
}

// Four inputs x four outputs.
fn store(row: u32, column: u32, sums: mat4x4f) {
    let next = OUT / 4u;
    let place = row * OUT + column;
    weights_gradient[place] = sums[0];
    weights_gradient[place + next] = sums[1];
    weights_gradient[place + 2u * next] = sums[2];
    weights_gradient[place + 3u * next] = sums[3];
}
