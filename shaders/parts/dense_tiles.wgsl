// Tiles in workgroup memory for 64 images x 64 columns, 16 terms of the sum at a time; a thread sums 4 images x 8 columns.
// use products

var<workgroup> images: array<vec4f, 16u * 16u>; // term, four images
var<workgroup> columns: array<vec4f, 16u * 16u>; // term, four columns

// Column r of a matrix: image r, four columns of the output.
struct Sums { left: mat4x4f, right: mat4x4f }

// Adds 16 terms to four images and to two words of columns, `own` and the eighth after it.
fn add_terms(before: Sums, four: u32, own: u32) -> Sums {
    var sums = before;
    for (var k = 0u; k < 16u; k++) {
        let x = images[k * 16u + four];
        sums.left = add_outer(sums.left, columns[k * 16u + own], x);
        sums.right = add_outer(sums.right, columns[k * 16u + own + 8u], x);
    }
    return sums;
}

// Four terms of four images, which go to four rows: a whole vector from one thread, since to store a part of one may be to store all of
// it. Zero past the last image. The kernel's `load` gives four terms of an image.
fn stage_images(first: u32, start: u32, i: u32) {
    let n = first + i / 4u * 4u;
    let at = start / 4u + i % 4u;
    let x = transpose(mat4x4f(image_terms(n, at), image_terms(n + 1u, at), image_terms(n + 2u, at), image_terms(n + 3u, at)));
    let place = i % 4u * 64u + i / 4u;
    images[place] = x[0];
    images[place + 16u] = x[1];
    images[place + 32u] = x[2];
    images[place + 48u] = x[3];
}

fn image_terms(n: u32, at: u32) -> vec4f {
    if n >= BATCH { return vec4f(); }
    return load(n, at);
}

fn store_sums(n: u32, place: u32, sums: Sums) {
    store(n, place, sums.left[0], sums.right[0]);
    store(n + 1u, place, sums.left[1], sums.right[1]);
    store(n + 2u, place, sums.left[2], sums.right[2]);
    store(n + 3u, place, sums.left[3], sums.right[3]);
}
