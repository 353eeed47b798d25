// augment.warp, portable: gather (see gather_direct.wgsl) through the affine map of each image, sampled bilinearly.
//   sx = fill(a0*x + a1*y + a2, WIDTH),  sy = fill(b0*x + b1*y + b2, HEIGHT): map, clamp, then interpolate, as Keras does
//   images[i,y,x] = bilinear(pixels of image order[first + i], sx, sy) / 255
// FILL_MODE: 0 reflect, 1 wrap, 2 nearest, 3 constant (each tap outside the image is FILL_VALUE).
// One thread per output pixel (3 channels). Reads four pixels, writes 12 bytes.
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

    let x = f32(id % WIDTH);
    let y = f32(id % area / WIDTH);
    let t = i * 6u;
    let sx = fill(transforms[t] * x + transforms[t + 1u] * y + transforms[t + 2u], f32(WIDTH));
    let sy = fill(transforms[t + 3u] * x + transforms[t + 4u] * y + transforms[t + 5u], f32(HEIGHT));
    let x0 = floor(sx);
    let y0 = floor(sy);
    let fx = sx - x0;
    let fy = sy - y0;
    let first = image * area;
    let top = (1.0 - fx) * tap(first, x0, y0) + fx * tap(first, x0 + 1.0, y0);
    let bottom = (1.0 - fx) * tap(first, x0, y0 + 1.0) + fx * tap(first, x0 + 1.0, y0 + 1.0);
    store(id, ((1.0 - fy) * top + fy * bottom) / 255.0);
}

// Where a position on an axis of n pixels is read, in Keras's words; trunc is its int().
fn fill(position: f32, n: f32) -> f32 {
    var c = position;
    if FILL_MODE == 3u { return c; }
    if FILL_MODE < 2u && n <= 1.0 { return 0.0; }
    if FILL_MODE == 0u {
        let period = 2.0 * n;
        if c < 0.0 {
            c = period * trunc(-c / period) + c;
            c = select(-c - 1.0, c + period, c < -n);
        } else if c > n - 1.0 {
            c = c - period * trunc(c / period);
            if c >= n { c = period - c - 1.0; }
        }
    } else if FILL_MODE == 1u {
        // the number of periods is counted with n - 1, but a period is n long: Keras's own rule
        if c < 0.0 {
            c = c + n * (trunc(-c / (n - 1.0)) + 1.0);
        } else if c > n - 1.0 {
            c = c - n * trunc(c / (n - 1.0));
        }
    }
    return clamp(c, 0.0, n - 1.0);
}

// A pixel's channels. A neighbour past the border is FILL_VALUE; in modes other than constant its weight is zero.
fn tap(first: u32, x: f32, y: f32) -> vec3f {
    if !(x >= 0.0 && y >= 0.0 && x < f32(WIDTH) && y < f32(HEIGHT)) { return vec3f(FILL_VALUE); }
    return load(first + u32(y) * WIDTH + u32(x));
}
