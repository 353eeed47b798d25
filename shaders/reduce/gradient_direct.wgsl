// reduce.gradient, portable: the squared norm of the gradient, and whether the step may be taken.
//   metrics[4*slot + 3] = sum over g of partial[g] / loss_scale^2
//   status[0] = 1 where that and the slot's loss (metrics[4*slot]) are finite, else 0;   status[1] counts the steps refused
// One workgroup of 256 threads, then a fixed tree. Finiteness is read off the exponent's bits: WGSL lets a driver assume
// that no float is infinite or NaN, and so drop a comparison.
override GROUPS: u32;
override SLOTS: u32;

@group(0) @binding(1) var<storage, read> partial: array<f32>;
@group(0) @binding(2) var<storage, read_write> metrics: array<f32>;
@group(0) @binding(3) var<storage, read_write> status: array<u32>;

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) local: u32) {
    var sum = 0.0;
    for (var g = local; g < GROUPS; g += REDUCE_THREADS) { sum += partial[g]; }
    let all = reduce_sum(sum, local) / params.loss_scale / params.loss_scale;
    if local == 0u {
        let at = params.slot % SLOTS * 4u;
        metrics[at + 3u] = all;
        let good = finite(all) && finite(metrics[at]);
        status[0] = select(0u, 1u, good);
        status[1] += select(1u, 0u, good);
    }
}

fn finite(value: f32) -> bool {
    return (bitcast<u32>(value) & 0x7f800000u) != 0x7f800000u;
}
