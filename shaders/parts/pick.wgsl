// The value that each of four channels wants, from the lane of the subgroup that has it.
fn pick(value: f32, source: vec4u) -> vec4f {
    return vec4f(subgroupShuffle(value, source.x), subgroupShuffle(value, source.y), subgroupShuffle(value, source.z), subgroupShuffle(value, source.w));
}
