//! Positions on the sky and which of them lie close together.
//!
//! Points become unit vectors in a grid of cubes, so that neither the seam at 0 = 360 degrees nor the poles are
//! special. This file knows nothing of images.

use std::collections::{BTreeMap, HashMap};

/// One arcsecond in radians.
const ARCSECOND: f64 = std::f64::consts::PI / 180.0 / 3600.0;

/// Most pairs of positions that are looked at one by one.
pub const MOST_PAIRS: usize = 10_000_000;

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
/// degree. Ends after [`MOST_PAIRS`], as crowds of positions make more pairs than can be counted, and says whether these
/// were all.
pub fn for_each_pair(sky: &[Sky], radius: f64, mut found: impl FnMut(usize, usize, f64)) -> bool {
    let mut left = MOST_PAIRS;
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
                    if left == 0 {
                        return false;
                    }
                    left -= 1;
                    found(a, b, separation);
                }
            }
        }
        cubes.entry(home).or_default().push(b);
    }
    true
}

/// Gives each position the number of its patch: positions at most `radius` arcseconds apart share one, and so do those
/// joined by a chain of such steps. A patch is numbered by its first position. The positions of a cube are joined at once,
/// and two cubes are searched for one pair only, so that crowds of positions take no longer than others.
pub fn patches(sky: &[Sky], radius: f64) -> Vec<usize> {
    let vectors: Vec<[f64; 3]> = sky.iter().map(|position| position.vector()).collect();
    let reach = 2.0 * (radius * ARCSECOND / 2.0).sin();
    // The diagonal of a cube is a little shorter than the reach.
    let side = reach / 3f64.sqrt() * 0.999_999;
    let mut parent: Vec<usize> = (0..sky.len()).collect();
    let mut cubes: BTreeMap<[i64; 3], Vec<usize>> = BTreeMap::new();
    for index in (0..sky.len()).filter(|&index| sky[index].is_known()) {
        let members = cubes.entry(vectors[index].map(|value| (value / side).floor() as i64)).or_default();
        members.push(index);
        join(&mut parent, members[0], index);
    }
    for (home, members) in &cubes {
        // The half of the neighbours that comes later.
        for offset in 63..125 {
            let cube = [home[0] + offset / 25 - 2, home[1] + offset / 5 % 5 - 2, home[2] + offset % 5 - 2];
            let Some(others) = cubes.get(&cube) else { continue };
            if root(&mut parent, members[0]) != root(&mut parent, others[0])
                && are_near(&vectors, &mut members.clone(), &mut others.clone(), radius)
            {
                join(&mut parent, members[0], others[0]);
            }
        }
    }
    roots(&mut parent)
}

/// Whether a point of `one` and a point of `other` are at most `radius` arcseconds apart: halves the larger list until
/// the boxes around both are too far apart, or few points are left.
fn are_near(vectors: &[[f64; 3]], one: &mut [usize], other: &mut [usize], radius: f64) -> bool {
    let (one, other) = if one.len() < other.len() { (other, one) } else { (one, other) };
    let (low, high) = bounds(vectors, one);
    let (other_low, other_high) = bounds(vectors, other);
    let gap = |axis: usize| (low[axis] - other_high[axis]).max(other_low[axis] - high[axis]).max(0.0);
    // Judged by the chord, with room for rounding.
    if angle(chord([gap(0), gap(1), gap(2)], [0.0; 3])) > radius * 1.000_001 {
        return false;
    }
    let is_near = |a: usize, b: usize| angle(chord(vectors[a], vectors[b])) <= radius;
    if one.len() <= 8 || is_near(one[0], other[0]) {
        return one.iter().any(|&a| other.iter().any(|&b| is_near(a, b)));
    }
    let (first, second) = halves(vectors, one);
    are_near(vectors, first, other, radius) || are_near(vectors, second, other, radius)
}

/// The corners of the box around some points.
fn bounds(vectors: &[[f64; 3]], points: &[usize]) -> ([f64; 3], [f64; 3]) {
    points.iter().fold(([f64::MAX; 3], [f64::MIN; 3]), |(low, high), &point| {
        let at = vectors[point];
        (std::array::from_fn(|axis| low[axis].min(at[axis])), std::array::from_fn(|axis| high[axis].max(at[axis])))
    })
}

/// Cuts some points into halves, across the longest side of the box around them.
fn halves<'a>(vectors: &[[f64; 3]], points: &'a mut [usize]) -> (&'a mut [usize], &'a mut [usize]) {
    let (low, high) = bounds(vectors, points);
    let longest = (0..3).max_by(|&a, &b| (high[a] - low[a]).total_cmp(&(high[b] - low[b]))).unwrap_or(0);
    points.sort_unstable_by(|&a, &b| vectors[a][longest].total_cmp(&vectors[b][longest]).then(a.cmp(&b)));
    points.split_at_mut(points.len() / 2)
}

/// Cuts a patch of sky into pieces of at most `most` images: halves of it, by number, across its longer side, and halves of
/// these.
pub fn cut(sky: &[Sky], patch: &[usize], most: usize) -> Vec<Vec<usize>> {
    let vectors: Vec<[f64; 3]> = patch.iter().map(|&index| sky[index].vector()).collect();
    let mut places: Vec<usize> = (0..patch.len()).collect();
    let mut pieces = Vec::new();
    let mut rest = vec![&mut places[..]];
    while let Some(piece) = rest.pop() {
        if piece.len() <= most.max(1) {
            pieces.push(piece.iter().map(|&place| patch[place]).collect());
        } else {
            let (first, second) = halves(&vectors, piece);
            rest.extend([second, first]);
        }
    }
    pieces
}

/// Makes one patch of those of `a` and `b`.
pub(super) fn join(parent: &mut [usize], a: usize, b: usize) {
    let (a, b) = (root(parent, a), root(parent, b));
    parent[a.max(b)] = a.min(b);
}

/// The number of each one's patch.
pub(super) fn roots(parent: &mut [usize]) -> Vec<usize> {
    (0..parent.len()).map(|index| root(parent, index)).collect()
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
        for radius in [20.0, 100.0, 150.0] {
            let mut parent: Vec<usize> = (0..sky.len()).collect();
            for_each_pair(&sky, radius, |a, b, _| join(&mut parent, a, b));
            assert_eq!(patches(&sky, radius), roots(&mut parent), "{radius}");
        }
    }

    #[test]
    fn crowds_are_one_patch_or_two() {
        // A pair search would compare some ten thousand million pairs here, and never end.
        let at = |arcsec: f64| Sky { ra: 50.0, dec: arcsec / 3600.0 };
        let crowd = |distance: f64| -> Vec<Sky> {
            (0..100_000).map(|i| at(f64::from(i % 2) * distance + f64::from(i) * 1e-6)).collect()
        };
        assert!(patches(&vec![at(0.0); 200_000], 20.0).iter().all(|&patch| patch == 0));
        assert!(patches(&crowd(20.0), 20.0).iter().all(|&patch| patch == 0));
        assert!(patches(&crowd(20.2), 20.0).iter().enumerate().all(|(index, &patch)| patch == index % 2));
    }

    #[test]
    fn a_patch_is_cut_into_pieces_of_neighbours() {
        let sky: Vec<Sky> = (0..10).map(|i| Sky { ra: 50.0, dec: f64::from(i * 7 % 10) * 1e-3 }).collect();
        let mut pieces = cut(&sky, &(0..10).collect::<Vec<_>>(), 3);
        assert!(pieces.iter().all(|piece| piece.len() <= 3));
        let rows = |piece: &Vec<usize>| piece.iter().map(|i| i * 7 % 10).collect::<Vec<_>>();
        assert!(pieces.iter().map(rows).all(|rows| rows.windows(2).all(|pair| pair[1] == pair[0] + 1)), "{pieces:?}");
        pieces.iter_mut().for_each(|piece| piece.sort_unstable());
        assert_eq!(pieces.concat().len(), 10);
    }

    #[test]
    fn a_chain_is_one_patch() {
        let at = |arcsec: f64| Sky { ra: 50.0, dec: arcsec / 3600.0 };
        assert_eq!(patches(&[at(0.0), at(500.0), at(30.0), at(15.0), at(900.0)], 20.0), [0, 1, 0, 0, 4]);
    }
}
