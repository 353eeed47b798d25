// A lane's sums of 32 images x 4 columns in four lots of eight images, one image to a lane of the subgroup.
// use products

// Eight images; a column each: four columns of the output.
struct Sums { low: mat4x4f, high: mat4x4f }

// Four terms of the eight lanes' images; column c of `w`: term c, four columns.
fn add(sums: Sums, w: mat4x4f, x: vec4f) -> Sums {
    return Sums(
        mat4x4f(image(sums.low[0], w, x, 0u), image(sums.low[1], w, x, 1u), image(sums.low[2], w, x, 2u), image(sums.low[3], w, x, 3u)),
        mat4x4f(image(sums.high[0], w, x, 4u), image(sums.high[1], w, x, 5u), image(sums.high[2], w, x, 6u), image(sums.high[3], w, x, 7u)));
}

fn image(sum: vec4f, w: mat4x4f, terms: vec4f, lane: u32) -> vec4f {
    return chain(sum, w, subgroupShuffle(terms, lane));
}
