//! The random numbers of one image: a generator that depends on the seed and the image's index and on nothing else.
//!
//! It knows no galaxies. Because an image owns its generator, images may be drawn in any order, by any number of threads.

use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;

/// A seeded generator with the few draws that recipes need.
pub(super) struct Draw(Pcg64);

impl Draw {
    /// The generator of stream `stream`. The state is scrambled by [`splitmix`] as well, because neighbouring streams
    /// of one linear congruential state are correlated.
    pub fn new(seed: u64, stream: u64) -> Self {
        let high = splitmix(seed ^ splitmix(stream));
        let low = splitmix(high ^ stream);
        Self(Pcg64::new((u128::from(high) << 64) | u128::from(low), u128::from(stream)))
    }

    /// Uniform between `low` and `high`.
    pub fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.0.random::<f32>()
    }

    /// Uniform whole number, both ends included.
    pub fn whole(&mut self, low: usize, high: usize) -> usize {
        self.0.random_range(low..=high)
    }

    /// Normal deviate.
    pub fn normal(&mut self, mean: f32, deviation: f32) -> f32 {
        let standard: f32 = StandardNormal.sample(&mut self.0);
        mean + deviation * standard
    }

    /// Uniform angle, radians.
    pub fn angle(&mut self) -> f32 {
        self.range(0.0, std::f32::consts::TAU)
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.0.random_bool(probability)
    }

    /// Plus or minus one.
    pub fn sign(&mut self) -> f32 {
        if self.chance(0.5) { 1.0 } else { -1.0 }
    }

    /// The generator itself, for the library's own algorithms.
    pub fn generator(&mut self) -> &mut Pcg64 {
        &mut self.0
    }
}

/// One step of SplitMix64 (Steele, Lea & Flood 2014, OOPSLA): a bijection of 64 bits in which every bit matters.
fn splitmix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_and_repeat() {
        let first = |seed, stream| Draw::new(seed, stream).range(0.0, 1.0);
        assert_eq!(first(1, 2), first(1, 2));
        assert_ne!(first(1, 2), first(1, 3));
        assert_ne!(first(1, 2), first(2, 2));
    }

    #[test]
    fn neighbouring_streams_are_uncorrelated() {
        let values: Vec<f64> = (0..4000).map(|stream| f64::from(Draw::new(7, stream).range(-1.0, 1.0))).collect();
        let product: f64 = values.windows(2).map(|pair| pair[0] * pair[1]).sum::<f64>() / 4000.0;
        // The mean of 4000 products of independent uniforms has a deviation of (1/3) / sqrt(4000) = 0.0053.
        assert!(product.abs() < 0.025, "mean product of neighbours {product}");
    }
}
