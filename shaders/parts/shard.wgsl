// The pixels of a shard, and the images of a batch that another dispatch may write: `shard` holds the first image that this shard has, and
// their number.
// use pixels, step

@group(0) @binding(2) var<storage, read> shard: vec2u;

// The image of row i of the batch, counted from the shard's first; at least `shard.y` where another shard has it.
fn image_of(i: u32) -> u32 {
    return order[params.first + i] - shard.x; // before the shard wraps to a large number
}

fn load(pixel: u32) -> vec3f {
    let byte = pixel * 3u;
    let word = byte / 4u;
    return pixel_channels(pixels[word], pixels[min(word + 1u, arrayLength(&pixels) - 1u)], byte);
}

fn store(pixel: u32, value: vec3f) {
    images[pixel * 3u] = Elem(value.x);
    images[pixel * 3u + 1u] = Elem(value.y);
    images[pixel * 3u + 2u] = Elem(value.z);
}
