//! Starlight in three bands: surface brightness and the colours of stellar populations.
//!
//! Brightness is in nanomaggies (AB magnitude 22.5 is one) per square of 0.262 arcseconds, the pixel of the Legacy
//! Survey's pictures, because its colour mapping is defined in that unit. It knows no shapes and no images.

use std::ops::{Add, Mul};

/// Area of the reference pixel, square arcseconds.
const PIXEL_AREA: f32 = 0.262 * 0.262;

/// One value for each of the bands g, r and z.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Bands(pub [f32; 3]);

impl Bands {
    /// The largest of the three.
    pub fn brightest(self) -> f32 {
        self.0[0].max(self.0[1]).max(self.0[2])
    }
}

impl Add for Bands {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self([self.0[0] + other.0[0], self.0[1] + other.0[1], self.0[2] + other.0[2]])
    }
}

impl Mul<f32> for Bands {
    type Output = Self;

    fn mul(self, factor: f32) -> Self {
        Self(self.0.map(|value| value * factor))
    }
}

/// Nanomaggies of an AB magnitude: `10^(0.4 (22.5 - magnitude))`.
pub(super) fn nanomaggies(magnitude: f32) -> f32 {
    10f32.powf(0.4 * (22.5 - magnitude))
}

/// The bands of a source with r magnitude `magnitude` and these colours in magnitudes.
pub(super) fn source(magnitude: f32, g_minus_r: f32, r_minus_z: f32) -> Bands {
    Bands([nanomaggies(magnitude + g_minus_r), nanomaggies(magnitude), nanomaggies(magnitude - r_minus_z)])
}

/// Surface brightness of a stellar population of `brightness` r magnitudes per square arcsecond.
///
/// `age` runs along the galaxies' colour sequence (Strateva et al. 2001): 0 is a star-forming disc of the blue cloud,
/// 1 an old population of the red sequence; values slightly below 0 are starbursts, above 1 dusty or redshifted ones.
pub(super) fn population(brightness: f32, age: f32) -> Bands {
    source(brightness, 0.30 + 0.50 * age, 0.22 + 0.37 * age) * PIXEL_AREA
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;

    #[test]
    fn zero_point_is_one_nanomaggie() {
        assert_relative_eq!(nanomaggies(22.5), 1.0);
        assert_relative_eq!(nanomaggies(20.0), 10.0, max_relative = 1e-5);
    }

    #[test]
    fn old_populations_are_redder_at_the_same_r() {
        let (young, old) = (population(21.0, 0.0), population(21.0, 1.0));
        assert_relative_eq!(young.0[1], old.0[1]);
        assert!(young.0[0] > old.0[0] && young.0[2] < old.0[2]);
    }
}
