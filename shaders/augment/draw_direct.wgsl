// augment.draw, portable: one random affine map per image, from output to input positions, pixel centres at integers.
//   position = Flip(Rotate(Zoom(Translate(x, y)))) about the image's centre; row i: [a0 a1 a2 b0 b1 b2],
//   input x = a0*x + a1*y + a2,  input y = b0*x + b1*y + b2
// One thread per image; eight random words from the counters (first + i, step, seed, stream).
override BATCH: u32;
override HEIGHT: u32;
override WIDTH: u32;
override FLIP: bool;
override ROTATION: f32;
override ZOOM_LOW: f32;
override ZOOM_HIGH: f32;
override SHIFT: f32;

@group(0) @binding(1) var<storage, read_write> transforms: array<f32>;

const STREAM = 0x41554700u; // twin: STREAM in src/kernels/augment.rs
const FULL_TURN = 6.2831853;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    if id >= BATCH { return; }
    let one = pcg4d(vec4u(params.first + id, params.step, params.seed, STREAM));
    let two = pcg4d(vec4u(params.first + id, params.step, params.seed, STREAM + 1u));
    let mirror_x = select(1.0, -1.0, FLIP && unit(one.x) < 0.5);
    let mirror_y = select(1.0, -1.0, FLIP && unit(one.y) < 0.5);
    let angle = (2.0 * unit(one.z) - 1.0) * ROTATION * FULL_TURN;
    let zoom = 1.0 + ZOOM_LOW + unit(one.w) * (ZOOM_HIGH - ZOOM_LOW);
    let shift_y = (2.0 * unit(two.x) - 1.0) * SHIFT * f32(HEIGHT);
    let shift_x = (2.0 * unit(two.y) - 1.0) * SHIFT * f32(WIDTH);

    let centre_x = 0.5 * f32(WIDTH - 1u);
    let centre_y = 0.5 * f32(HEIGHT - 1u);
    let a = mirror_x * zoom * vec2f(cos(angle), -sin(angle));
    let b = mirror_y * zoom * vec2f(sin(angle), cos(angle));
    let anchor = vec2f(centre_x + shift_x, centre_y + shift_y); // the output position that shows the centre
    let at = id * 6u;
    transforms[at] = a.x;
    transforms[at + 1u] = a.y;
    transforms[at + 2u] = centre_x - a.x * anchor.x - a.y * anchor.y;
    transforms[at + 3u] = b.x;
    transforms[at + 4u] = b.y;
    transforms[at + 5u] = centre_y - b.x * anchor.x - b.y * anchor.y;
}
