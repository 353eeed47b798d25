// reduce.loss, portable: sums of the batch's losses and hits, and how many images they are of, into a slot of the ring.
//   metrics[4*slot + 0] = sum of stats[i, 0],  [1] = sum of stats[i, 1],  [2] = images;   i below the number of images
//   A micro-batch that is not the first of its step (before > 0) adds to what those before it left there.
// One workgroup of 256 threads: each sums every 256th row, then a fixed tree. 8 bytes per row.
// use reduce, step

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) local: u32) {
    let images = step_images(BATCH);
    var loss = 0.0;
    var hits = 0.0;
    for (var i = local; i < images; i += REDUCE_THREADS) {
        loss += stats[i * 2u];
        hits += stats[i * 2u + 1u];
    }
    let all_loss = reduce_sum(loss, local);
    let all_hits = reduce_sum(hits, local);
    if local == 0u {
        let at = params.slot % SLOTS * 4u;
        var sums = vec3f(all_loss, all_hits, f32(images));
        if params.before > 0u { sums += vec3f(metrics[at], metrics[at + 1u], metrics[at + 2u]); }
        metrics[at] = sums.x;
        metrics[at + 1u] = sums.y;
        metrics[at + 2u] = sums.z;
        metrics[at + 3u] = 0.0;
    }
}
