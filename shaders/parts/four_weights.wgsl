// Four vec4 of weights, `next` apart.
// vec4 weights

fn four_weights(at: u32, next: u32) -> mat4x4f {
    return mat4x4f(vec4f(weights[at]), vec4f(weights[at + next]), vec4f(weights[at + 2u * next]), vec4f(weights[at + 3u * next]));
}
