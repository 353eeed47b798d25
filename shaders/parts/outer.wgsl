// Column j: `column` times number j of `row`.
fn outer(column: vec4f, row: vec4f) -> mat4x4f {
    return mat4x4f(column * row.x, column * row.y, column * row.z, column * row.w);
}
