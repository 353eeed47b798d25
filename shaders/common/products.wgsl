// sum + m * v as a chain of multiply-adds: `sum += m * v` is a product of its own and then an addition, five operations for four.
fn chain(sum: vec4f, m: mat4x4f, v: vec4f) -> vec4f {
    return fma(m[3], vec4f(v.w), fma(m[2], vec4f(v.z), fma(m[1], vec4f(v.y), fma(m[0], vec4f(v.x), sum))));
}

// The same for the columns of a product of matrices.
fn chains(sum: mat4x4f, m: mat4x4f, n: mat4x4f) -> mat4x4f {
    return mat4x4f(chain(sum[0], m, n[0]), chain(sum[1], m, n[1]), chain(sum[2], m, n[2]), chain(sum[3], m, n[3]));
}

// sum + column * row, an outer product.
fn add_outer(sum: mat4x4f, column: vec4f, row: vec4f) -> mat4x4f {
    return mat4x4f(fma(column, vec4f(row.x), sum[0]), fma(column, vec4f(row.y), sum[1]), fma(column, vec4f(row.z), sum[2]), fma(column, vec4f(row.w), sum[3]));
}
