// A block of 2 x 2 pixels x 16 channels in registers, summed up tap by tap.
// Column g of a matrix holds channels 4g..4g+3 of a pixel.
struct Block { q0: mat4x4f, q1: mat4x4f, q2: mat4x4f, q3: mat4x4f }

// One tap: the weights of 16 channels, and what the tap sees from each of the four pixels.
fn block_add(sums: ptr<function, Block>, w: mat4x4f, x: vec4f) {
    (*sums).q0 += w * x.x;
    (*sums).q1 += w * x.y;
    (*sums).q2 += w * x.z;
    (*sums).q3 += w * x.w;
}
