// augment.draw, portable: one random affine map per image, from output to input positions, pixel centres at integers.
//   position = Flip(Rotate(Zoom(Translate(x, y)))) about the image's centre; row i: [a0 a1 a2 b0 b1 b2],
//   input x = a0*x + a1*y + a2,  input y = b0*x + b1*y + b2
// Sine and cosine are polynomials, the same on every adapter: WGSL's own may be off by 2^-11, and SwiftShader's are.
// One thread per image; eight random words from the counters (first + i, step, seed, stream).
// use index, rng, step

const STREAM = 0x41554700u; // twin: STREAM in src/kernels/augment.rs

// Sine and cosine of an angle from -1/2 to 1/2 turns: of what is left beyond the nearest quarter, at most an eighth, by Taylor's
// series (error below 3e-8), then turned by the quarters.
fn sin_cos(turns: f32) -> vec2f {
    let quarters = round(4.0 * turns);
    let x = (turns - 0.25 * quarters) * 6.2831853;
    let xx = x * x;
    let sine = x * (1.0 + xx * (-1.0 / 6.0 + xx * (1.0 / 120.0 + xx * (-1.0 / 5040.0 + xx / 362880.0))));
    let cosine = 1.0 + xx * (-0.5 + xx * (1.0 / 24.0 + xx * (-1.0 / 720.0 + xx / 40320.0)));
    switch i32(quarters) & 3 {
        case 1: { return vec2f(cosine, -sine); }
        case 2: { return vec2f(-sine, -cosine); }
        case 3: { return vec2f(-cosine, sine); }
        default: { return vec2f(sine, cosine); }
    }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    if id >= BATCH { return; }
    let one = pcg4d(vec4u(params.first + id, params.step, params.seed, STREAM));
    let two = pcg4d(vec4u(params.first + id, params.step, params.seed, STREAM + 1u));
    let mirror_x = select(1.0, -1.0, FLIP && unit(one.x) < 0.5);
    let mirror_y = select(1.0, -1.0, FLIP && unit(one.y) < 0.5);
    let turned = sin_cos((2.0 * unit(one.z) - 1.0) * ROTATION);
    let zoom = 1.0 + ZOOM_LOW + unit(one.w) * (ZOOM_HIGH - ZOOM_LOW);
    let shift_y = (2.0 * unit(two.x) - 1.0) * SHIFT * f32(HEIGHT);
    let shift_x = (2.0 * unit(two.y) - 1.0) * SHIFT * f32(WIDTH);

    let centre_x = 0.5 * f32(WIDTH - 1u);
    let centre_y = 0.5 * f32(HEIGHT - 1u);
    let a = mirror_x * zoom * vec2f(turned.y, -turned.x);
    let b = mirror_y * zoom * turned;
    let anchor = vec2f(centre_x + shift_x, centre_y + shift_y); // the output position that shows the centre
    let at = id * 6u;
    transforms[at] = a.x;
    transforms[at + 1u] = a.y;
    transforms[at + 2u] = centre_x - a.x * anchor.x - a.y * anchor.y;
    transforms[at + 3u] = b.x;
    transforms[at + 4u] = b.y;
    transforms[at + 5u] = centre_y - b.x * anchor.x - b.y * anchor.y;
}
