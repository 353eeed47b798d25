// sum + m * v as a chain of multiply-adds: `sum += m * v` is a product of its own and then an addition, five operations for four.
fn chain(sum: vec4f, m: mat4x4f, v: vec4f) -> vec4f {
    return fma(m[3], vec4f(v.w), fma(m[2], vec4f(v.z), fma(m[1], vec4f(v.y), fma(m[0], vec4f(v.x), sum))));
}
