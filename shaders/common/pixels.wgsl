// Images as u8: four bytes to a word, lowest first, HEIGHT x WIDTH x 3 one after the other, not aligned to words.
// The three channels of the pixel whose first byte is `byte`; `high` is the word after `low`, looked at where it is needed.
fn pixel_channels(low: u32, high: u32, byte: u32) -> vec3f {
    let shift = byte % 4u * 8u;
    let bytes = (low >> shift) | select(0u, high << ((32u - shift) % 32u), shift > 8u);
    return vec3f((vec3u(bytes) >> vec3u(0u, 8u, 16u)) & vec3u(255u));
}
