// Four input channels of four pixels (columns), zero outside the image.
// use conv2d_windows
// vec4 input

fn load(from_seen: Seen, ic: u32) -> mat4x4f {
    return mat4x4f(
        select(vec4f(), vec4f(input[from_seen.at.x + ic]), from_seen.inside.x),
        select(vec4f(), vec4f(input[from_seen.at.y + ic]), from_seen.inside.y),
        select(vec4f(), vec4f(input[from_seen.at.z + ic]), from_seen.inside.z),
        select(vec4f(), vec4f(input[from_seen.at.w + ic]), from_seen.inside.w),
    );
}
