// dense.backward_input on tiles in workgroup memory, for hardware (formula: backward_input_direct.wgsl).
// As forward_tiled.wgsl with inputs and outputs exchanged, and whole sums: a workgroup computes 64 images x 64 inputs. Per 16 outputs it stages
// both factors by columns; a thread sums 4 images x 8 inputs. Needs IN divisible by 64 and OUT by 16.
override BATCH: u32;
override IN: u32;
override OUT: u32;

@group(0) @binding(1) var<storage, read> output_gradient: array<vec4<Elem>>;
@group(0) @binding(2) var<storage, read> weights: array<vec4<Elem>>;
@group(0) @binding(3) var<storage, read_write> input_gradient: array<vec4<Elem>>;

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
        for (var i = local; i < 256u; i += 128u) {
            stage_image(first, start, i);
            stage_weights(first_in, start, i);
        }
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

// Four outputs of image i % 64, which go to four rows; zero past the last image.
fn stage_image(first: u32, start: u32, i: u32) {
    let image = i % 64u;
    let word = i / 64u;
    var value = vec4f();
    if first + image < BATCH { value = vec4f(output_gradient[((first + image) * OUT + start) / 4u + word]); }
    for (var k = 0u; k < 4u; k++) { images[(word * 4u + k) * 16u + image / 4u][image % 4u] = value[k]; }
}

// Four outputs of input i / 4, which go to four rows.
fn stage_weights(first_in: u32, start: u32, i: u32) {
    let row = i / 4u;
    let word = i % 4u;
    let value = vec4f(weights[((first_in + row) * OUT + start) / 4u + word]);
    for (var k = 0u; k < 4u; k++) { columns[(word * 4u + k) * 16u + row / 4u][row % 4u] = value[k]; }
}

fn store(n: u32, place: u32, left: vec4f, right: vec4f) {
    if n >= BATCH { return; }
    input_gradient[place + n * (IN / 4u)] = vec4<Elem>(left);
    input_gradient[place + n * (IN / 4u) + 8u] = vec4<Elem>(right);
}
