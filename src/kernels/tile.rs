//! Direct sums of convolutions on the CPU: a tile is two rows of pixels x 16 output channels, whose sums stay in registers.

#![allow(unsafe_code)]
// loops over registers have fixed ranges, and the index says which register
#![allow(clippy::needless_range_loop)]

use crate::simd::{LANES, MOST_PIXELS, Simd, lanes, value};
use rayon::prelude::*;

/// Weights by blocks of 16 output channels: `[out_c / 16][rows][16]`, zeros past the last channel. A bias is one row.
pub(super) fn pack(weights: &[f32], out_c: usize) -> Vec<f32> {
    let rows = weights.len() / out_c;
    let mut packed = vec![0.0; rows * out_c.next_multiple_of(LANES)];
    packed.par_chunks_mut(rows * LANES).enumerate().for_each(|(block, packed)| {
        let channels = block * LANES..out_c.min((block + 1) * LANES);
        for (to, from) in packed.chunks_mut(LANES).zip(weights.chunks(out_c)) {
            to[..channels.len()].copy_from_slice(&from[channels.clone()]);
        }
    });
    packed
}

/// Sums of two rows of pixels for a block of 16 output channels, which start at `bias`.
///
/// `taps` are the rows of taps, each from the first tap of the upper and of the lower row's first pixel on. The first taps of pixels
/// beside each other lie `step` floats apart, and those of one row of taps are `run` floats without a gap.
#[inline(always)]
pub(super) fn tile<'a, S: Simd>(
    s: S,
    taps: impl Iterator<Item = [&'a [f32]; 2]>,
    [step, run]: [usize; 2],
    weights: &[f32],
    bias: S::V,
) -> [[S::V; MOST_PIXELS]; 2] {
    let mut sums = [[bias; MOST_PIXELS]; 2];
    for ([upper, lower], weights) in taps.zip(weights.chunks_exact(run * LANES)) {
        assert!(upper.len().min(lower.len()) >= (S::PIXELS - 1) * step + run);
        for k in 0..run {
            // SAFETY: the assertion covers the last tap of the last pixel, and the chunk has sixteen weights for each tap.
            unsafe {
                let weight = s.load(lanes(weights, k * LANES));
                for p in 0..S::PIXELS {
                    sums[0][p] = s.fma(s.splat(value(upper, p * step + k)), weight, sums[0][p]);
                }
                for p in 0..S::PIXELS {
                    sums[1][p] = s.fma(s.splat(value(lower, p * step + k)), weight, sums[1][p]);
                }
            }
        }
    }
    sums
}
