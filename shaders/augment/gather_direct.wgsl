// augment.gather, portable: images[i] = pixels of image order[first + i] / 255, where this shard holds it.
//   shard: the first image this shard holds and their number; another shard's dispatch writes the others.
//   Rows past the last image: zero.
// One thread per pixel (3 channels), along the rows. Reads one or two words, writes 12 bytes.
// use index, pixels, step

@group(0) @binding(2) var<storage, read> shard: vec2u;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    let area = HEIGHT * WIDTH;
    if id >= BATCH * area { return; }
    let i = id / area;
    if !step_has(i, BATCH, ROWS) {
        store(id, vec3f());
        return;
    }
    let image = order[params.first + i] - shard.x; // before the shard wraps to a large number
    if image >= shard.y { return; }
    store(id, load(image * area + id % area) / 255.0);
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
