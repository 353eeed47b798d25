// The argmax codes of four channels from their word: which pixel of its window has the maximum, or 4 where relu closed the window.
fn codes(word: u32) -> vec4u {
    return (vec4u(word) >> vec4u(0u, 8u, 16u, 24u)) & vec4u(255u);
}
