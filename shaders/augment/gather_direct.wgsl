// augment.gather, portable: images[i] = pixels of image order[first + i] / 255, where this shard holds it.
//   shard: the first image this shard holds and their number; another shard's dispatch writes the others.
//   Rows past the last image: zero.
// One thread per pixel (3 channels), along the rows. Reads one or two words, writes 12 bytes.
// use index, shard, step

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
    let image = image_of(i);
    if image >= shard.y { return; }
    store(id, load(image * area + id % area) / 255.0);
}
