// A tile of 4 x 4 pixels from the 6 x 6 patch around it, four channels of the patch at a time.
// use products

// Six pixels of a row as the three runs of four that the taps see; column i of a run: channel i, row c: pixel c.
struct Row { left: mat4x4f, middle: mat4x4f, right: mat4x4f }

struct Patch { r0: Row, r1: Row, r2: Row, r3: Row, r4: Row, r5: Row }

// What a lane holds of nine taps' weights.
struct Taps { t0: mat2x4f, t1: mat2x4f, t2: mat2x4f, t3: mat2x4f, t4: mat2x4f, t5: mat2x4f, t6: mat2x4f, t7: mat2x4f, t8: mat2x4f }

fn row_of(a: vec4f, b: vec4f, c: vec4f, d: vec4f, e: vec4f, f: vec4f) -> Row {
    return Row(transpose(mat4x4f(a, b, c, d)), transpose(mat4x4f(b, c, d, e)), transpose(mat4x4f(c, d, e, f)));
}

// Three rows of three taps, added to the tile's rows (columns of `sums`), of one channel.
fn add_taps(sums: mat4x4f, x: Patch, upper: mat3x4f, middle: mat3x4f, lower: mat3x4f) -> mat4x4f {
    let a = mat4x4f(taps(sums[0], x.r0, upper), taps(sums[1], x.r1, upper), taps(sums[2], x.r2, upper), taps(sums[3], x.r3, upper));
    let b = mat4x4f(taps(a[0], x.r1, middle), taps(a[1], x.r2, middle), taps(a[2], x.r3, middle), taps(a[3], x.r4, middle));
    return mat4x4f(taps(b[0], x.r2, lower), taps(b[1], x.r3, lower), taps(b[2], x.r4, lower), taps(b[3], x.r5, lower));
}

// Four pixels of a row: three taps of four channels.
fn taps(before: vec4f, x: Row, w: mat3x4f) -> vec4f {
    return chain(chain(chain(before, x.left, w[0]), x.middle, w[1]), x.right, w[2]);
}
