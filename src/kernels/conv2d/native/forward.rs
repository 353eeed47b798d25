//! Forward: bands of rows of windows, each with the pixels that it sees in the L2 cache and with zeros around them, so that no window
//! is special. Sixteen output channels at a time go over all tiles of a band.

use super::shape::Shape;
use crate::kernels::tile::{pack, tile};
use crate::simd::{InstructionSet, Kernel, LANES, Simd};
use rayon::prelude::*;

/// Floats of a band's pixels, about: a quarter of the L2 cache.
const BAND: usize = 1 << 16;
/// Bands for each thread, at least, where there are as many pairs of rows.
const BANDS_PER_THREAD: usize = 4;

/// What sums start at, and whether relu follows.
#[derive(Clone, Copy)]
pub struct Ends<'a> {
    pub bias: Option<&'a [f32]>,
    pub relu: bool,
}

/// The convolution, forward.
pub fn forward(c: Shape, input: &[f32], weights: &[f32], ends: Ends, output: &mut [f32], set: InstructionSet) {
    sweep(c, input, &pack(weights, c.out_c), ends, output, set);
}

/// The same with packed weights, on all threads. A window's sum does not depend on the band that it is in.
pub fn sweep(c: Shape, input: &[f32], packed: &[f32], ends: Ends, output: &mut [f32], set: InstructionSet) {
    let row = c.windows[1] * c.out_c;
    let cached = BAND / (c.stride * c.row());
    let shared = (output.len() / row).div_ceil(BANDS_PER_THREAD * rayon::current_num_threads());
    let rows = cached.min(shared).max(1).next_multiple_of(2);
    output.par_chunks_mut(rows * row).enumerate().for_each_init(Vec::new, |padded, (i, output)| {
        let place = Place { first: 0, row, pixel: c.out_c };
        let count = output.len() / row;
        sweep_rows(c, [i * rows, count], input, padded, packed, ends, (output, place), set);
    });
}

/// Where the sums of a band go: floats to its first window, and from one row and window to the next.
#[derive(Clone, Copy)]
pub struct Place {
    pub first: usize,
    pub row: usize,
    pub pixel: usize,
}

/// The sums of `count` rows from the `first` on.
#[allow(clippy::too_many_arguments)]
pub fn sweep_rows(
    c: Shape,
    [first, count]: [usize; 2],
    input: &[f32],
    padded: &mut Vec<f32>,
    packed: &[f32],
    ends: Ends,
    (output, place): (&mut [f32], Place),
    set: InstructionSet,
) {
    c.pad(first..first + count, input, padded);
    let bias = ends.bias.map_or_else(|| vec![0.0; c.out_c.next_multiple_of(LANES)], |bias| pack(bias, c.out_c));
    set.run(Band { c, first, count, padded, packed, bias: &bias, relu: ends.relu, output, place });
}

struct Band<'a> {
    c: Shape,
    first: usize,
    count: usize,
    padded: &'a [f32],
    packed: &'a [f32],
    bias: &'a [f32],
    relu: bool,
    output: &'a mut [f32],
    place: Place,
}

impl Kernel for Band<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { c, first, count, padded, packed, bias, relu, output, place } = self;
        let [step, run] = c.step_and_run();
        let blocks = packed.chunks(c.taps[0] * run * LANES).zip(bias.chunks(LANES));
        for (block, (weights, bias)) in blocks.enumerate() {
            let bias = s.load(bias.first_chunk().unwrap_or(&[0.0; LANES]));
            let channels = LANES.min(c.out_c - block * LANES);
            for y in (0..count).step_by(2) {
                // a row without a lower one is summed twice
                let pair = [y, (y + 1).min(count - 1)];
                let at = pair.map(|y| (c.first_tap(first + y) - c.first_tap(first)) * c.row());
                for x in (0..c.windows[1]).step_by(S::PIXELS) {
                    let taps = (0..c.taps[0]).map(|ky| at.map(|at| &padded[at + ky * c.row() + x * step..]));
                    let sums = tile(s, taps, [step, run], weights, bias);
                    for (y, sums) in pair.into_iter().zip(&sums) {
                        let to = place.first + y * place.row + x * place.pixel + block * LANES;
                        let pixels = S::PIXELS.min(c.windows[1] - x);
                        write(s, &sums[..pixels], relu, channels, &mut output[to..], place.pixel);
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
