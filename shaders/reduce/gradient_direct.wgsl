// reduce.gradient, portable: the squared norm of the gradient, and whether the step may be taken.
//   metrics[4*slot + 3] = sum over g of partial[g] / scale^2,   scale = loss_scale[0],   loss_scale[1] = 1 / scale
//   Where clip > 0 and the norm (the root of metrics[4*slot + 3]) is larger: loss_scale[1] = 1 / scale * (clip / norm)
//   status[0] = 1 where that and the slot's loss (metrics[4*slot]) are finite, else 0;   status[1] counts the steps refused
//   Where DYNAMIC: a refused step halves loss_scale[0], 1000 steps in a row (loss_scale[2]) double it, between 1 and 2^24.
// One workgroup of 256 threads, then a fixed tree. Finiteness is read off the exponent's bits: WGSL lets a driver assume
// that no float is infinite or NaN, and so drop a comparison.
// use reduce, step

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) local: u32) {
    var sum = 0.0;
    for (var g = local; g < GROUPS; g += REDUCE_THREADS) { sum += partial[g]; }
    let total = reduce_sum(sum, local);
    if local == 0u {
        let scale = loss_scale[0];
        let all = total / scale / scale;
        let at = params.slot % SLOTS * 4u;
        metrics[at + 3u] = all;
        let good = finite(all) && finite(metrics[at]);
        status[0] = select(0u, 1u, good);
        status[1] += select(1u, 0u, good);
        let norm = sqrt(all);
        var factor = 1.0;
        if good && params.clip > 0.0 && norm > params.clip { factor = params.clip / norm; }
        loss_scale[1] = factor / scale;
        if DYNAMIC { adapt(scale, good); }
    }
}

fn adapt(scale: f32, good: bool) {
    let steps = loss_scale[2] + 1.0;
    let grows = good && steps >= 1000.0;
    loss_scale[2] = select(steps, 0.0, grows || !good);
    if grows { loss_scale[0] = min(scale * 2.0, 16777216.0); }
    if !good { loss_scale[0] = max(scale / 2.0, 1.0); }
}

fn finite(value: f32) -> bool {
    return (bitcast<u32>(value) & 0x7f800000u) != 0x7f800000u;
}
