// Flat ids over a grid folded into y, since no axis takes more than 65535 workgroups.
fn flat_group(group: vec3u, groups: vec3u) -> u32 {
    return group.y * groups.x + group.x;
}
