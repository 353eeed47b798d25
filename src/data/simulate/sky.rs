//! Positions on the sky for simulated galaxies: random, but never close to each other.

use super::draw::Draw;
use crate::data::Sky;

/// Side of a cell of the sky, degrees. At most one galaxy lies in a cell.
const CELL: f64 = 0.1;
/// First declination and number of rows of cells: the part of the Legacy Survey between -18 and 34 degrees.
const ROWS: (f64, usize) = (-18.0, 520);
/// The stream of the generator of positions; images use the streams from zero up.
const STREAM: u64 = u64::MAX;

/// `count` positions (at most about 1.7 million), all more than 20 arcseconds apart.
///
/// Each lies in the middle half of its own cell, so two are at least half a cell (180 arcseconds) apart.
pub(super) fn positions(count: usize, seed: u64) -> Vec<Sky> {
    let draw = &mut Draw::new(seed, STREAM);
    // Cells of row r are ends[r - 1]..ends[r]; rows have fewer cells away from the equator.
    let mut ends = Vec::with_capacity(ROWS.1);
    let mut total = 0;
    for row in 0..ROWS.1 {
        total += cells(row);
        ends.push(total);
    }
    let chosen = rand::seq::index::sample(draw.generator(), total, count.min(total));
    let place = |cell: usize| {
        let row = ends.partition_point(|end| *end <= cell);
        let column = cell - (ends[row] - cells(row));
        let mut inside = || f64::from(draw.range(0.25, 0.75));
        let dec = ROWS.0 + (row as f64 + inside()) * CELL;
        Sky { ra: (column as f64 + inside()) * 360.0 / cells(row) as f64, dec }
    };
    chosen.into_iter().map(place).collect()
}

/// Number of cells in a row: at least [`CELL`] wide on the sky at the row's edge nearest to a pole.
fn cells(row: usize) -> usize {
    let edge = |row: usize| (ROWS.0 + row as f64 * CELL).abs();
    (360.0 / CELL * edge(row).max(edge(row + 1)).to_radians().cos()) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_apart_and_repeat() {
        let sky = positions(3000, 9);
        assert_eq!(sky.len(), 3000);
        assert_eq!(sky, positions(3000, 9));
        assert_ne!(sky, positions(3000, 10));
        for (index, one) in sky.iter().enumerate() {
            assert!((0.0..360.0).contains(&one.ra) && (-18.0..34.0).contains(&one.dec));
            for other in &sky[..index] {
                let turn = ((one.ra - other.ra).abs() + 180.0).rem_euclid(360.0) - 180.0;
                let across = turn * one.dec.to_radians().cos();
                assert!(across.hypot(one.dec - other.dec) * 3600.0 > 20.0, "{one:?} and {other:?}");
            }
        }
    }

    #[test]
    fn a_crowded_sky_still_has_room() {
        let sky = positions(super::super::MOST_IMAGES, 1);
        assert_eq!(sky.len(), super::super::MOST_IMAGES);
    }
}
