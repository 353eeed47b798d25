// dense.backward_input on tiles in workgroup memory, for hardware (formula: backward_input_direct.wgsl).
// As forward_tiled.wgsl with inputs and outputs exchanged, and whole sums: a workgroup computes 64 images x 64 inputs. Per 16 outputs it stages
// both factors by columns; a thread sums 4 images x 8 inputs. Needs IN divisible by 64 and OUT by 16.
// use dense_tiles, four_weights, index
// vec4 output_gradient, input_gradient

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups);
    let stripes = IN / 64u;
    if id >= (BATCH + 63u) / 64u * stripes { return; }
    let first = id / stripes * 64u; // image
    let first_in = id % stripes * 64u;
    let four = local / 8u; // images
    let own = local % 8u; // this word of inputs and the eighth after it

    var sums = Sums();
    for (var start = 0u; start < OUT; start += 16u) {
        workgroupBarrier();
        if local < 64u { stage_images(first, start, local); } else { stage_weights(first_in, start, local - 64u); }
        workgroupBarrier();
        sums = add_terms(sums, four, own);
    }
    let place = first_in / 4u + own;
    store_sums(first + four * 4u, place, sums);
}

// Four outputs of four inputs, which go to four rows.
fn stage_weights(first_in: u32, start: u32, i: u32) {
    let at = (first_in + i / 4u * 4u) * (OUT / 4u) + start / 4u + i % 4u;
    let w = transpose(four_weights(at, OUT / 4u));
    let place = i % 4u * 64u + i / 4u;
    columns[place] = w[0];
    columns[place + 16u] = w[1];
    columns[place + 32u] = w[2];
    columns[place + 48u] = w[3];
}

fn load(n: u32, at: u32) -> vec4f {
    return vec4f(output_gradient[n * (OUT / 4u) + at]);
}

fn store(n: u32, place: u32, left: vec4f, right: vec4f) {
    if n >= BATCH { return; }
    input_gradient[place + n * (IN / 4u)] = vec4<Elem>(left);
    input_gradient[place + n * (IN / 4u) + 8u] = vec4<Elem>(right);
}
