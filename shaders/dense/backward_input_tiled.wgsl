// dense.backward_input on tiles in workgroup memory, for hardware (formula: backward_input_direct.wgsl).
// As forward_tiled.wgsl with inputs and outputs exchanged, and whole sums: a workgroup computes 64 images x 64 inputs. Per 16 outputs it stages
// both factors by columns; a thread sums 4 images x 8 inputs. Needs IN divisible by 64 and OUT by 16.
// use index, products
// vec4 output_gradient, weights, input_gradient

var<workgroup> images: array<vec4f, 16u * 16u>; // output, four images
var<workgroup> columns: array<vec4f, 16u * 16u>; // output, four inputs

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups);
    let stripes = IN / 64u;
    if id >= (BATCH + 63u) / 64u * stripes { return; }
    let first = id / stripes * 64u; // image
    let first_in = id % stripes * 64u;
    let four = local / 8u; // images
    let own = local % 8u; // this word of inputs and the eighth after it

    // column r of a matrix: image r, four inputs
    var left = mat4x4f();
    var right = mat4x4f();
    for (var start = 0u; start < OUT; start += 16u) {
        workgroupBarrier();
        if local < 64u { stage_images(first, start, local); } else { stage_weights(first_in, start, local - 64u); }
        workgroupBarrier();
        for (var k = 0u; k < 16u; k++) {
            let e = images[k * 16u + four];
            left = add_outer(left, columns[k * 16u + own], e);
            right = add_outer(right, columns[k * 16u + own + 8u], e);
        }
    }
    let place = first_in / 4u + own;
    store(first + four * 4u, place, left[0], right[0]);
    store(first + four * 4u + 1u, place, left[1], right[1]);
    store(first + four * 4u + 2u, place, left[2], right[2]);
    store(first + four * 4u + 3u, place, left[3], right[3]);
}

// Four outputs of four images, which go to four rows: a whole vector from one thread, since to store a part of one may be to store
// all of it. Zero past the last image.
fn stage_images(first: u32, start: u32, i: u32) {
    let n = first + i / 4u * 4u;
    let at = start / 4u + i % 4u;
    let x = transpose(mat4x4f(load(n, at), load(n + 1u, at), load(n + 2u, at), load(n + 3u, at)));
    let place = i % 4u * 64u + i / 4u;
    images[place] = x[0];
    images[place + 16u] = x[1];
    images[place + 32u] = x[2];
    images[place + 48u] = x[3];
}

fn load(n: u32, at: u32) -> vec4f {
    if n >= BATCH { return vec4f(); }
    return vec4f(output_gradient[n * (OUT / 4u) + at]);
}

// Four outputs of four inputs, which go to four rows.
fn stage_weights(first_in: u32, start: u32, i: u32) {
    let next = OUT / 4u;
    let at = (first_in + i / 4u * 4u) * next + start / 4u + i % 4u;
    let w = transpose(mat4x4f(vec4f(weights[at]), vec4f(weights[at + next]), vec4f(weights[at + 2u * next]), vec4f(weights[at + 3u * next])));
    let place = i % 4u * 64u + i / 4u;
    columns[place] = w[0];
    columns[place + 16u] = w[1];
    columns[place + 32u] = w[2];
    columns[place + 48u] = w[3];
}

fn store(n: u32, place: u32, left: vec4f, right: vec4f) {
    if n >= BATCH { return; }
    input_gradient[place + n * (IN / 4u)] = vec4<Elem>(left);
    input_gradient[place + n * (IN / 4u) + 8u] = vec4<Elem>(right);
}
