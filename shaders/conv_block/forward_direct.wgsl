// conv_block.forward, portable: 3x3 same convolution, bias, relu and 2x2 max-pool; the convolution's output is never stored.
//   y(q)   = bias[oc] + sum over ky,kx,ic of input[n, qy+ky-1, qx+kx-1, ic] * weights[ky,kx,ic,oc]
//   pooled = max(0, max over the four q of the window), argmax = the first q that reaches it, or 4 where relu closed it
// A convolution that is not a number counts as not positive: the window closes.
// One thread per pooled pixel and word of argmax codes (four channels): four pixels x four channels in one pass over the taps.
// use index, pool

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    if id >= BATCH * POOL_H * POOL_W * WORDS { return; }
    let word = id % WORDS;
    let px = id / WORDS % POOL_W;
    let py = id / (WORDS * POOL_W) % POOL_H;
    let n = id / (WORDS * POOL_W * POOL_H);

    // channels past the last repeat the last: they are computed and not stored
    let oc = min(word * 4u + vec4u(0u, 1u, 2u, 3u), vec4u(OUT_C - 1u));
    let start = vec4f(bias[oc.x], bias[oc.y], bias[oc.z], bias[oc.w]);
    var y0 = start;
    var y1 = start;
    var y2 = start;
    var y3 = start;
    for (var tap = 0u; tap < 9u; tap++) {
        let y = py * 2u + tap / 3u - 1u; // above the image wraps to a large number
        let x = px * 2u + tap % 3u - 1u;
        for (var ic = 0u; ic < IN_C; ic++) {
            let at = (tap * IN_C + ic) * OUT_C + oc;
            let w = vec4f(f32(weights[at.x]), f32(weights[at.y]), f32(weights[at.z]), f32(weights[at.w]));
            y0 = fma(vec4f(load(n, y, x, ic)), w, y0);
            y1 = fma(vec4f(load(n, y, x + 1u, ic)), w, y1);
            y2 = fma(vec4f(load(n, y + 1u, x, ic)), w, y2);
            y3 = fma(vec4f(load(n, y + 1u, x + 1u, ic)), w, y3);
        }
    }

    let window = pool_window(y0, y1, y2, y3);
    var codes = 0u;
    for (var byte = 0u; byte < 4u; byte++) {
        let stored = word * 4u + byte < OUT_C;
        if stored { pooled[(id / WORDS) * OUT_C + word * 4u + byte] = Elem(window.value[byte]); }
        codes |= select(4u << (byte * 8u), window.argmax & (255u << (byte * 8u)), stored);
    }
    argmax[id] = codes;
}

// An input, zero outside the image.
fn load(n: u32, y: u32, x: u32, ic: u32) -> f32 {
    if y >= IN_H || x >= IN_W { return 0.0; }
    return f32(input[((n * IN_H + y) * IN_W + x) * IN_C + ic]);
}
