// The counter generator, twin of src/rng.rs bit for bit. PCG4D: Jarzynski and Olano, JCGT 9(3), 2020.
fn pcg4d_mix(value: vec4u) -> vec4u {
    var v = value;
    v.x += v.y * v.w;
    v.y += v.z * v.x;
    v.z += v.x * v.y;
    v.w += v.y * v.z;
    return v;
}

fn pcg4d(counters: vec4u) -> vec4u {
    let v = pcg4d_mix(counters * 1664525u + 1013904223u);
    return pcg4d_mix(v ^ (v >> vec4u(16u)));
}

// 24 bits in [0, 1), exact in f32.
fn unit(word: u32) -> f32 {
    return f32(word >> 8u) / 16777216.0;
}
