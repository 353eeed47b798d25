// Sums of 16 pixels x 4 channels for software adapters; column p of matrix q: pixel 4q + p. The kernel's `store_pixel` takes four channels
// of a pixel.
struct Sums { p0: mat4x4f, p1: mat4x4f, p2: mat4x4f, p3: mat4x4f }

// Adds four terms: weights, and what the pixels have.
fn accumulate(sums: ptr<function, Sums>, w: mat4x4f, x: Sums) {
    (*sums).p0 += w * x.p0;
    (*sums).p1 += w * x.p1;
    (*sums).p2 += w * x.p2;
    (*sums).p3 += w * x.p3;
}

fn store(first: u32, column: u32, sums: Sums) {
    store_four(first, column, sums.p0);
    store_four(first + 4u, column, sums.p1);
    store_four(first + 8u, column, sums.p2);
    store_four(first + 12u, column, sums.p3);
}

fn store_four(first: u32, column: u32, sums: mat4x4f) {
    store_pixel(first, column, sums[0]);
    store_pixel(first + 1u, column, sums[1]);
    store_pixel(first + 2u, column, sums[2]);
    store_pixel(first + 3u, column, sums[3]);
}
