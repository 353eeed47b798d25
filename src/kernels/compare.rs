//! How far an implementation may be from its twin, and the measurement of how far it is.

use super::UNIT_ROUNDOFF;

/// Bounds on the error of an output against the twin's. Integers are always exact.
///
/// The error of an element is `|a - b| / (|b| + rms(b))`: relative for large elements, relative to the tensor's typical
/// size for small ones, which are what is left after cancellation. The second gate is the normalised mean square error
/// `sum (a - b)^2 / sum b^2 <= relative^2`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// Bound on the error of any element.
    pub relative: f64,
}

impl Tolerance {
    /// Bit-exact.
    pub const EXACT: Self = Self { relative: 0.0 };

    /// For a sum of `terms` products rounded at every addition: `8 * u * sqrt(terms)`, the usual growth of independent
    /// roundings, with room for both sides' own.
    pub fn sum(terms: usize) -> Self {
        Self { relative: 8.0 * UNIT_ROUNDOFF * (terms.max(1) as f64).sqrt() }
    }

    /// For rounding errors that are so many times larger.
    pub fn times(self, factor: f64) -> Self {
        Self { relative: self.relative * factor }
    }

    /// For the same result stored in f16 on both sides: a unit in the last place more, where the two round apart. What
    /// must agree to the bit still must, as equal numbers round equally.
    pub fn stored_in_half(self) -> Self {
        if self == Self::EXACT { self } else { Self { relative: self.relative + 2f64.powi(-10) } }
    }

    /// Measures `got` against `want`; a NaN in either is an infinite error.
    pub fn measure(self, got: &[f32], want: &[f32]) -> Deviation {
        let squares: f64 = want.iter().map(|&b| f64::from(b).powi(2)).sum();
        let rms = (squares / want.len().max(1) as f64).sqrt();
        let mut worst = Deviation { index: 0, got: f64::NAN, want: f64::NAN, error: 0.0, nmse: 0.0, passed: true };
        let mut difference = 0.0;
        for (index, (&a, &b)) in got.iter().zip(want).enumerate() {
            let (a, b) = (f64::from(a), f64::from(b));
            let error = element_error(a, b, rms);
            difference += if a == b { 0.0 } else { (a - b).powi(2) };
            if error > worst.error || worst.got.is_nan() {
                worst = Deviation { index, got: a, want: b, error, ..worst };
            }
        }
        worst.nmse = if difference == 0.0 { 0.0 } else { difference / squares };
        worst.passed = worst.error <= self.relative && worst.nmse <= self.relative.powi(2) && got.len() == want.len();
        worst
    }
}

fn element_error(a: f64, b: f64, rms: f64) -> f64 {
    if a == b {
        return 0.0;
    }
    let error = (a - b).abs() / (b.abs() + rms);
    if error.is_nan() { f64::INFINITY } else { error }
}

/// The worst element of an output.
#[derive(Clone, Copy, Debug)]
pub struct Deviation {
    /// Its place.
    pub index: usize,
    /// What the implementation gave.
    pub got: f64,
    /// What the twin gave.
    pub want: f64,
    /// Its error.
    pub error: f64,
    /// Normalised mean square error of the whole output.
    pub nmse: f64,
    /// Whether both are within the tolerance.
    pub passed: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_element_is_found() {
        let deviation = Tolerance::sum(4).measure(&[1.0, 2.5, 3.0], &[1.0, 2.0, 3.0]);
        assert_eq!((deviation.index, deviation.passed), (1, false));
    }

    #[test]
    fn an_unwritten_nan_never_passes() {
        assert!(!Tolerance { relative: 1e9 }.measure(&[f32::NAN], &[1.0]).passed);
        assert!(!Tolerance::EXACT.measure(&[1.0, 2.0], &[1.0]).passed);
    }

    #[test]
    fn equal_is_exact() {
        assert!(Tolerance::EXACT.measure(&[0.0, 1.5], &[0.0, 1.5]).passed);
    }
}
