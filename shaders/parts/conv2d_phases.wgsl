// Where pixels of one phase of the stride look: with a stride only every STRIDE-th tap reaches a pixel, and which ones depends on the
// pixel's place modulo STRIDE, its phase. Pixels of one phase are STRIDE apart.
// vec4 output_gradient

var<private> phase: vec2u; // of this thread's pixels

// Four pixels of a phase: n * OUT_H, and the output pixel that sees them with the phase's first tap.
struct Pixels { image: vec4u, y: vec4u, x: vec4u }

// The output pixels that reach four pixels by a tap: where their channels start, and whether they exist.
struct Seen { at: vec4u, inside: vec4<bool> }

// Rows and columns of the largest phase.
fn phase_size() -> vec2u {
    return (vec2u(IN_H, IN_W) + STRIDE - 1u) / STRIDE;
}

fn pixels_of(index: vec4u, begin: vec2u) -> Pixels {
    let row = index / phase_size().y;
    return Pixels(row / phase_size().x * OUT_H, row % phase_size().x + begin.x, index % phase_size().y + begin.y);
}

// `ky`, `kx`: which of the phase's taps. Pixels past the last are of images past the last.
fn seen(from_pixels: Pixels, ky: u32, kx: u32) -> Seen {
    let y = from_pixels.y - ky; // below zero wraps to a large number
    let x = from_pixels.x - kx;
    let inside = (y < vec4u(OUT_H)) & (x < vec4u(OUT_W)) & (from_pixels.image < vec4u(BATCH * OUT_H));
    return Seen(select(vec4u(), ((from_pixels.image + y) * OUT_W + x) * (OUT_C / 4u), inside), inside);
}

// Four output channels of four pixels (columns), zero where there is no output pixel.
fn load(from_seen: Seen, oc: u32) -> mat4x4f {
    return mat4x4f(
        select(vec4f(), vec4f(output_gradient[from_seen.at.x + oc]), from_seen.inside.x),
        select(vec4f(), vec4f(output_gradient[from_seen.at.y + oc]), from_seen.inside.y),
        select(vec4f(), vec4f(output_gradient[from_seen.at.z + oc]), from_seen.inside.z),
        select(vec4f(), vec4f(output_gradient[from_seen.at.w + oc]), from_seen.inside.w),
    );
}

// Where a pixel's channels start in the input, in fours; past the end where it is not there: smaller phases lack the last row or column of
// the largest.
fn place_of(index: u32) -> u32 {
    let row = index / phase_size().y;
    let y = row % phase_size().x * STRIDE + phase.x;
    let x = index % phase_size().y * STRIDE + phase.y;
    let n = row / phase_size().x;
    if n >= BATCH || y >= IN_H || x >= IN_W { return 0xffffffffu; }
    return ((n * IN_H + y) * IN_W + x) * (IN_C / 4u);
}
