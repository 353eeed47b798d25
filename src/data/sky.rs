//! Positions on the sky and which of them lie close together.
//!
//! Points become unit vectors in a grid of cubes, so that neither the seam at 0 = 360 degrees nor the poles are
//! special. This file knows nothing of images.

use std::collections::HashMap;

/// One arcsecond in radians.
const ARCSECOND: f64 = std::f64::consts::PI / 180.0 / 3600.0;

/// Position of an image on the sky, in degrees (J2000); NaN in both where it is unknown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sky {
    /// Right ascension, degrees.
    pub ra: f64,
    /// Declination, degrees.
    pub dec: f64,
}

impl Sky {
    /// Whether the position is known.
    pub fn is_known(self) -> bool {
        self.ra.is_finite() && self.dec.is_finite()
    }

    /// The unit vector that points there.
    fn vector(self) -> [f64; 3] {
        let (sin_ra, cos_ra) = self.ra.to_radians().sin_cos();
        let (sin_dec, cos_dec) = self.dec.to_radians().sin_cos();
        [cos_dec * cos_ra, cos_dec * sin_ra, sin_dec]
    }

    /// Angle to `other` on the great circle, in arcseconds. Taken from the chord, which keeps its digits at small
    /// angles where the cosine loses them.
    pub fn separation_arcsec(self, other: Self) -> f64 {
        angle(chord(self.vector(), other.vector()))
    }
}

/// Distance of two points of the unit sphere.
fn chord(a: [f64; 3], b: [f64; 3]) -> f64 {
    ((a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2) + (a[2] - b[2]).powi(2)).sqrt()
}

/// Arcseconds on the great circle under a chord of the unit sphere.
fn angle(chord: f64) -> f64 {
    2.0 * (chord / 2.0).min(1.0).asin() / ARCSECOND
}

/// Calls `found(a, b, separation)` with `a < b` for each pair of positions at most `radius` arcseconds apart, in an
/// order that depends on nothing but the positions. Unknown positions are near to none. `radius` is positive and below a
/// degree.
pub fn for_each_pair(sky: &[Sky], radius: f64, mut found: impl FnMut(usize, usize, f64)) {
    let reach = 2.0 * (radius * ARCSECOND / 2.0).sin();
    // Cubes a little larger than the reach: rounding may not push a neighbour two cubes away.
    let side = reach * 1.000_001;
    let mut cubes: HashMap<[i64; 3], Vec<usize>> = HashMap::new();
    let vectors: Vec<[f64; 3]> = sky.iter().map(|position| position.vector()).collect();
    for (b, &vector) in vectors.iter().enumerate().filter(|&(b, _)| sky[b].is_known()) {
        let home = vector.map(|coordinate| (coordinate / side).floor() as i64);
        for offset in 0..27 {
            let cube = [home[0] + offset / 9 - 1, home[1] + offset / 3 % 3 - 1, home[2] + offset % 3 - 1];
            for &a in cubes.get(&cube).into_iter().flatten() {
                // Judged as an angle, so that a pair "within 20" is one whose printed separation is at most 20.
                let separation = angle(chord(vectors[a], vector));
                if separation <= radius {
                    found(a, b, separation);
                }
            }
        }
        cubes.entry(home).or_default().push(b);
    }
}

/// Gives each position the number of its patch: positions at most `radius` arcseconds apart share one, and so do those
/// joined by a chain of such steps. A patch is numbered by its first position.
pub fn patches(sky: &[Sky], radius: f64) -> Vec<usize> {
    let mut parent: Vec<usize> = (0..sky.len()).collect();
    for_each_pair(sky, radius, |a, b, _| join(&mut parent, a, b));
    (0..sky.len()).map(|index| root(&mut parent, index)).collect()
}

/// Makes one patch of those of `a` and `b`.
pub(super) fn join(parent: &mut [usize], a: usize, b: usize) {
    let (a, b) = (root(parent, a), root(parent, b));
    parent[a.max(b)] = a.min(b);
}

/// The smallest member of `index`'s patch; halves the path on its way.
pub(super) fn root(parent: &mut [usize], mut index: usize) -> usize {
    while parent[index] != index {
        parent[index] = parent[parent[index]];
        index = parent[index];
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(sky: &[Sky], radius: f64) -> Vec<(usize, usize)> {
        let mut pairs = Vec::new();
        for_each_pair(sky, radius, |a, b, _| pairs.push((a, b)));
        pairs.sort_unstable();
        pairs
    }

    #[test]
    fn a_pair_across_the_seam_of_right_ascension_is_found() {
        let sky = [Sky { ra: 359.999, dec: 0.0 }, Sky { ra: 0.001, dec: 0.0 }, Sky { ra: 0.02, dec: 0.0 }];
        assert_eq!(pairs(&sky, 20.0), [(0, 1)]);
        assert!((sky[0].separation_arcsec(sky[1]) - 7.2).abs() < 1e-6);
    }

    #[test]
    fn right_ascension_shrinks_towards_the_pole() {
        // One degree of right ascension at 89.99 degrees is about 0.6 arcseconds; opposite sides of the pole are 72.
        let sky = [Sky { ra: 10.0, dec: 89.99 }, Sky { ra: 11.0, dec: 89.99 }, Sky { ra: 190.0, dec: 89.99 }];
        assert_eq!(pairs(&sky, 1.0), [(0, 1)]);
        assert_eq!(pairs(&sky, 72.01), [(0, 1), (0, 2), (1, 2)]);
    }

    #[test]
    fn unknown_positions_are_near_to_none() {
        let unknown = Sky { ra: f64::NAN, dec: f64::NAN };
        let known = Sky { ra: 0.0, dec: 0.0 };
        assert_eq!(pairs(&[unknown, known, unknown, known], 20.0), [(1, 3)]);
    }

    #[test]
    fn every_pair_that_a_double_loop_finds_is_found() {
        // 600 positions, scattered without a pattern over a square of about one degree around 0, 0.
        let scatter = |i: u32, factor: u32| f64::from(i.wrapping_mul(factor) >> 8) / f64::from(1 << 24) - 0.5;
        let at = |i| Sky { ra: scatter(i, 2_654_435_761).rem_euclid(360.0), dec: scatter(i * i, 2_246_822_519) };
        let sky: Vec<Sky> = (1..=600).map(at).collect();
        let mut expected = Vec::new();
        for a in 0..sky.len() {
            for b in a + 1..sky.len() {
                if sky[a].separation_arcsec(sky[b]) <= 100.0 {
                    expected.push((a, b));
                }
            }
        }
        assert!(expected.len() > 100);
        assert_eq!(pairs(&sky, 100.0), expected);
    }

    #[test]
    fn a_chain_is_one_patch() {
        let at = |arcsec: f64| Sky { ra: 50.0, dec: arcsec / 3600.0 };
        assert_eq!(patches(&[at(0.0), at(500.0), at(30.0), at(15.0), at(900.0)], 20.0), [0, 1, 0, 0, 4]);
    }
}
