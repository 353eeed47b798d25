//! Random numbers as a pure function of (seed, step, stream, index).
//!
//! `shaders/common/rng.wgsl` computes the same bits. A kernel asks for a random number by its position, so nothing is stored,
//! and forward and backward see the same mask. The hash is PCG4D: Jarzynski and Olano, "Hash Functions for GPU Rendering",
//! JCGT 9(3), 2020.

/// PCG4D: hashes four counters to four well-mixed words.
pub fn pcg4d(mut v: [u32; 4]) -> [u32; 4] {
    for word in &mut v {
        *word = word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    }
    mix(&mut v);
    for word in &mut v {
        *word ^= *word >> 16;
    }
    mix(&mut v);
    v
}

fn mix(v: &mut [u32; 4]) {
    v[0] = v[0].wrapping_add(v[1].wrapping_mul(v[3]));
    v[1] = v[1].wrapping_add(v[2].wrapping_mul(v[0]));
    v[2] = v[2].wrapping_add(v[0].wrapping_mul(v[1]));
    v[3] = v[3].wrapping_add(v[1].wrapping_mul(v[2]));
}

/// A number in `[0, 1)` with 24 bits, exact in f32.
pub fn unit(word: u32) -> f32 {
    (word >> 8) as f32 / 16_777_216.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_and_the_mean_is_a_half() {
        let draws: Vec<f32> = (0..40_000).map(|i| unit(pcg4d([i, 3, 1, 7])[0])).collect();
        let mean = draws.iter().sum::<f32>() / draws.len() as f32;
        assert!((mean - 0.5).abs() < 0.01, "mean {mean}");
        assert!(draws.iter().all(|&u| (0.0..1.0).contains(&u)));
        assert_ne!(pcg4d([0, 0, 0, 0]), pcg4d([0, 1, 0, 0]));
    }
}
