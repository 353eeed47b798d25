// Images of a batch in a matrix of `words` vec4 to a row, four at a time.

// Where four images from `first` on start; images past the last repeat the last: they are computed and not stored.
fn rows_from(first: u32, words: u32) -> vec4u {
    return min(first + vec4u(0u, 1u, 2u, 3u), vec4u(BATCH - 1u)) * words;
}
