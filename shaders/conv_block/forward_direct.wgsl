// conv_block.forward, portable: 3x3 same convolution, bias, relu and 2x2 max-pool; the convolution's output is never stored.
//   y(q)   = bias[oc] + sum over ky,kx,ic of input[n, qy+ky-1, qx+kx-1, ic] * weights[ky,kx,ic,oc]
//   pooled = max(0, max over the four q of the window), winner = the first q that reaches it, or 4 where relu closed it
// One thread per pooled pixel and word of winners (four channels): sixteen sums in registers.
override BATCH: u32;
override IN_H: u32;
override IN_W: u32;
override IN_C: u32;
override POOL_H: u32;
override POOL_W: u32;
override OUT_C: u32;
override WORDS: u32;

@group(0) @binding(1) var<storage, read> input: array<f32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> pooled: array<f32>;
@group(0) @binding(5) var<storage, read_write> winner: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    if id >= BATCH * POOL_H * POOL_W * WORDS { return; }
    let word = id % WORDS;
    let px = id / WORDS % POOL_W;
    let py = id / (WORDS * POOL_W) % POOL_H;
    let n = id / (WORDS * POOL_W * POOL_H);

    var codes = 0u;
    for (var byte = 0u; byte < 4u; byte++) {
        let oc = word * 4u + byte;
        var best = 0.0;
        var code = 4u;
        if oc < OUT_C {
            for (var q = 0u; q < 4u; q++) {
                let y = bias[oc] + convolve(n, py * 2u + q / 2u, px * 2u + q % 2u, oc);
                if y > best { best = y; code = q; }
            }
            pooled[((n * POOL_H + py) * POOL_W + px) * OUT_C + oc] = best;
        }
        codes |= code << (byte * 8u);
    }
    winner[id] = codes;
}

fn convolve(n: u32, y: u32, x: u32, oc: u32) -> f32 {
    var sum = 0.0;
    for (var ky = 0u; ky < 3u; ky++) {
        let iy = y + ky - 1u; // above the image wraps to a large number
        if iy >= IN_H { continue; }
        for (var kx = 0u; kx < 3u; kx++) {
            let ix = x + kx - 1u;
            if ix >= IN_W { continue; }
            let pixel = ((n * IN_H + iy) * IN_W + ix) * IN_C;
            let tap = (ky * 3u + kx) * IN_C * OUT_C + oc;
            for (var ic = 0u; ic < IN_C; ic++) {
                sum = fma(input[pixel + ic], weights[tap + ic * OUT_C], sum);
            }
        }
    }
    return sum;
}
