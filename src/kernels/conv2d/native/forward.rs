//! Forward: bands of rows of windows, each with the pixels that it sees in the L2 cache and with zeros around them, so that no window
//! is special. Sixteen output channels at a time go over all tiles of a band.

use super::shape::Shape;
use crate::kernels::tile::tile;
use crate::simd::{InstructionSet, Kernel, LANES, Simd};
use rayon::prelude::*;
use std::ops::Range;

/// Floats of a band's pixels, about: a quarter of the L2 cache.
const BAND: usize = 1 << 16;
/// Bands for each thread, at least, where there are as many pairs of rows.
const BANDS_PER_THREAD: usize = 4;

/// A convolution with its weights and bias by blocks of 16 output channels.
pub struct Sweep<'a> {
    pub c: Shape,
    pub input: &'a [f32],
    pub weights: Vec<f32>,
    pub bias: Vec<f32>,
    pub relu: bool,
    pub set: InstructionSet,
}

/// Where the sums of rows of windows go: floats to the first window, and from one row and window to the next.
#[derive(Clone, Copy)]
pub struct Place {
    pub first: usize,
    pub row: usize,
    pub pixel: usize,
}

impl Sweep<'_> {
    /// A bias of zeros.
    pub fn no_bias(c: Shape) -> Vec<f32> {
        vec![0.0; c.out_c.next_multiple_of(LANES)]
    }

    /// All images, on all threads. A window's sum does not depend on the band that it is in.
    pub fn all(&self, output: &mut [f32]) {
        let c = self.c;
        let row = c.windows[1] * c.out_c;
        let cached = BAND / (c.stride * c.row());
        let shared = (output.len() / row).div_ceil(BANDS_PER_THREAD * rayon::current_num_threads());
        let rows = cached.min(shared).max(1).next_multiple_of(2);
        let place = Place { first: 0, row, pixel: c.out_c };
        output.par_chunks_mut(rows * row).enumerate().for_each_init(Vec::new, |padded, (i, output)| {
            self.rows(i * rows..i * rows + output.len() / row, padded, output, place);
        });
    }

    /// Rows of windows; `padded` is room for what they see.
    pub fn rows(&self, rows: Range<usize>, padded: &mut Vec<f32>, output: &mut [f32], place: Place) {
        let Self { c, input, weights, bias, relu, set } = self;
        let pixels = if c.is_flat() {
            &input[rows.start * c.row()..rows.end * c.row()]
        } else {
            c.pad(rows.clone(), input, padded);
            padded
        };
        set.run(Band { c: *c, rows, pixels, weights, bias, relu: *relu, output, place });
    }
}

struct Band<'a> {
    c: Shape,
    rows: Range<usize>,
    pixels: &'a [f32],
    weights: &'a [f32],
    bias: &'a [f32],
    relu: bool,
    output: &'a mut [f32],
    place: Place,
}

impl Kernel for Band<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { c, rows, pixels, weights, bias, relu, output, place } = self;
        let [step, run] = c.step_and_run();
        let blocks = weights.chunks(c.taps[0] * run * LANES).zip(bias.chunks(LANES));
        for (block, (weights, bias)) in blocks.enumerate() {
            let bias = s.load(bias.first_chunk().unwrap_or(&[0.0; LANES]));
            let channels = LANES.min(c.out_c - block * LANES);
            for y in (0..rows.len()).step_by(2) {
                // a row without a lower one is summed twice
                let pair = [y, (y + 1).min(rows.len() - 1)];
                let at = pair.map(|y| (c.first_tap(rows.start + y) - c.first_tap(rows.start)) * c.row());
                for x in (0..c.windows[1]).step_by(S::PIXELS) {
                    let taps = (0..c.taps[0]).map(|ky| at.map(|at| &pixels[at + ky * c.row() + x * step..]));
                    let sums = tile(s, taps, [step, run], weights, bias);
                    for (y, sums) in pair.into_iter().zip(&sums) {
                        let to = place.first + y * place.row + x * place.pixel + block * LANES;
                        let count = S::PIXELS.min(c.windows[1] - x);
                        write(s, &sums[..count], relu, channels, &mut output[to..], place.pixel);
                    }
                }
            }
        }
    }
}

/// Writes the sums of pixels that lie `step` floats apart.
#[inline(always)]
fn write<S: Simd>(s: S, sums: &[S::V], relu: bool, channels: usize, output: &mut [f32], step: usize) {
    let zero = s.splat(0.0);
    for (p, &sum) in sums.iter().enumerate() {
        // a sum that is not a number stays so
        let sum = if relu { s.where_greater(zero, sum, zero, sum) } else { sum };
        let output = &mut output[p * step..][..channels];
        match output.first_chunk_mut() {
            Some(output) => s.store(sum, output),
            None => {
                let mut values = [0.0; LANES];
                s.store(sum, &mut values);
                output.copy_from_slice(&values[..channels]);
            }
        }
    }
}
