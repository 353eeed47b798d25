//! Dense layers on the CPU. All three directions are one loop: a tile of rows x 16 columns, to which each step adds a column of factors
//! times a row of sixteen.

#![allow(unsafe_code)]
// loops over registers have fixed ranges, and the index says which register
#![allow(clippy::needless_range_loop)]

use super::Sizes;
use crate::kernels::Args;
use crate::simd::{InstructionSet, Kernel, LANES, MOST_PIXELS, Simd, lanes, value};
use rayon::prelude::*;
use std::borrow::Cow;

/// Inputs that forward sums at a time: their weights and images stay in the L2 cache.
const DEPTH: usize = 256;
/// Runs of inputs that forward sums apart and adds in order: fixed, so that the bits do not depend on threads.
const RUNS: usize = 16;
/// The most rows of a tile.
const MOST_ROWS: usize = 2 * MOST_PIXELS;

/// Products of two matrices, added to sums: `sums[r][c] += sum over k of factors[r * row + k * step] * columns[k * width + c]`.
struct Product<'a> {
    factors: &'a [f32],
    /// From a row of factors to the next, and from one step to the next.
    strides: (usize, usize),
    columns: &'a [f32],
    width: usize,
    steps: usize,
    rows: usize,
    /// `rows x width`, of which the columns are whole vectors.
    sums: &'a mut [f32],
}

impl Kernel for Product<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { factors, strides: (row, step), columns, width, steps, rows, sums } = self;
        assert!(rows > 0 && steps > 0 && (rows - 1) * row + (steps - 1) * step < factors.len());
        assert!(width.is_multiple_of(LANES) && columns.len() >= steps * width);
        for first in (0..rows).step_by(2 * S::PIXELS) {
            let count = (rows - first).min(2 * S::PIXELS);
            if count == 1 {
                add_row(s, [&factors[first * row..], columns], step, steps, &mut sums[first * width..][..width]);
                continue;
            }
            for column in (0..width).step_by(LANES) {
                let mut acc = [s.splat(0.0); MOST_ROWS];
                for k in 0..steps {
                    // SAFETY: the assertions above cover the last factor of the last row, and the last column.
                    unsafe {
                        let vector = s.load(lanes(columns, k * width + column));
                        for r in 0..2 * S::PIXELS {
                            // rows past the last repeat it
                            let at = first + r.min(count - 1);
                            acc[r] = s.fma(s.splat(value(factors, at * row + k * step)), vector, acc[r]);
                        }
                    }
                }
                for (r, sum) in acc[..count].iter().enumerate() {
                    if let Some(to) = sums[(first + r) * width + column..].first_chunk_mut() {
                        s.store(s.add(*sum, s.load(to)), to);
                    }
                }
            }
        }
    }
}

/// Vectors of a single row that are summed together.
const VECTORS: usize = 4;

/// A row alone, as of inference on one image: at memory's speed, where a tile would compute rows that are not there. Each sum adds in the
/// tile's order, so the bits are the same.
#[inline(always)]
fn add_row<S: Simd>(s: S, [factors, columns]: [&[f32]; 2], step: usize, steps: usize, sums: &mut [f32]) {
    let width = sums.len();
    for (i, sums) in sums.chunks_mut(VECTORS * LANES).enumerate() {
        let first = i * VECTORS * LANES;
        if sums.len() == VECTORS * LANES {
            add_vectors::<S, VECTORS>(s, [factors, &columns[first..]], step, [steps, width], sums);
        } else {
            for (v, sums) in sums.chunks_mut(LANES).enumerate() {
                add_vectors::<S, 1>(s, [factors, &columns[first + v * LANES..]], step, [steps, width], sums);
            }
        }
    }
}

/// `N` vectors of a row.
#[inline(always)]
fn add_vectors<S: Simd, const N: usize>(
    s: S,
    [factors, columns]: [&[f32]; 2],
    step: usize,
    [steps, width]: [usize; 2],
    sums: &mut [f32],
) {
    let mut acc = [s.splat(0.0); N];
    for (k, columns) in columns.chunks(width).take(steps).enumerate() {
        let factor = s.splat(factors[k * step]);
        for (sum, vector) in acc.iter_mut().zip(columns.as_chunks().0) {
            *sum = s.fma(factor, s.load(vector), *sum);
        }
    }
    for (sum, to) in acc.iter().zip(sums.as_chunks_mut().0) {
        s.store(s.add(*sum, s.load(to)), to);
    }
}

/// A matrix whose rows are whole vectors: itself, or a copy with zeros at the end of each row.
fn padded(values: &[f32], width: usize) -> Cow<'_, [f32]> {
    let wide = width.next_multiple_of(LANES);
    if wide == width {
        return values.into();
    }
    let mut copy = vec![0.0; values.len() / width * wide];
    copy.chunks_mut(wide).zip(values.chunks(width)).for_each(|(to, from)| to[..width].copy_from_slice(from));
    copy.into()
}

/// Native `dense.forward`: runs of inputs apart, each by blocks that are copied so that images do not share a cache line's set.
pub fn forward(mut args: Args<f32>, set: InstructionSet) {
    let c = Sizes::from(args.constants);
    let (input, bias) = (args.floats(0), args.floats(2));
    let (weights, wide) = (padded(args.floats(1), c.outs), c.outs.next_multiple_of(LANES));
    let run = c.ins.div_ceil(RUNS).next_multiple_of(DEPTH);
    let mut sums = vec![0.0; c.ins.div_ceil(run) * c.batch * wide];
    sums.par_chunks_mut(c.batch * wide).enumerate().for_each(|(i, sums)| {
        let mut factors = vec![0.0; c.batch * DEPTH];
        let end = c.ins.min((i + 1) * run);
        for start in (i * run..end).step_by(DEPTH) {
            let steps = DEPTH.min(end - start);
            let images = factors.chunks_mut(steps).zip(input.chunks(c.ins));
            images.for_each(|(to, image)| to.copy_from_slice(&image[start..start + steps]));
            let (factors, columns) = (&factors[..c.batch * steps], &weights[start * wide..(start + steps) * wide]);
            set.run(Product { factors, strides: (steps, 1), columns, width: wide, steps, rows: c.batch, sums });
        }
    });
    let runs: Vec<&[f32]> = sums.chunks(c.batch * wide).collect();
    for (n, output) in args.floats_out(0).chunks_mut(c.outs).enumerate() {
        for (o, output) in output.iter_mut().enumerate() {
            let sum: f32 = runs.iter().map(|run| run[n * wide + o]).sum();
            *output = sum + if c.bias { bias[o] } else { 0.0 };
            if c.relu && *output < 0.0 {
                *output = 0.0;
            }
        }
    }
}

/// Native `dense.backward_input`: sixteen inputs at a time, whose weights are turned first.
pub fn backward_input(mut args: Args<f32>, set: InstructionSet) {
    let c = Sizes::from(args.constants);
    let (output_gradient, weights) = (args.floats(0), args.floats(1));
    let mut blocks = vec![0.0; c.ins.div_ceil(LANES) * c.batch * LANES];
    blocks.par_chunks_mut(c.batch * LANES).zip(weights.par_chunks(LANES * c.outs)).for_each(|(sums, weights)| {
        let mut turned = vec![0.0; c.outs * LANES];
        for (lane, row) in weights.chunks(c.outs).enumerate() {
            row.iter().zip(turned.chunks_mut(LANES)).for_each(|(&weight, to)| to[lane] = weight);
        }
        let (strides, columns) = ((c.outs, 1), &turned[..]);
        set.run(Product {
            factors: output_gradient,
            strides,
            columns,
            width: LANES,
            steps: c.outs,
            rows: c.batch,
            sums,
        });
    });
    args.floats_out(0).par_chunks_mut(c.ins).enumerate().for_each(|(n, input_gradient)| {
        for (to, block) in input_gradient.chunks_mut(LANES).zip(blocks.chunks(c.batch * LANES)) {
            to.copy_from_slice(&block[n * LANES..][..to.len()]);
        }
    });
}

/// Native `dense.backward_weights`: sixteen inputs at a time, over all images.
pub fn backward_weights(mut args: Args<f32>, set: InstructionSet) {
    let c = Sizes::from(args.constants);
    let input = args.floats(0);
    let (gradient, wide) = (padded(args.floats(1), c.outs), c.outs.next_multiple_of(LANES));
    args.floats_out(0).par_chunks_mut(LANES * c.outs).enumerate().for_each(|(block, weights_gradient)| {
        let rows = weights_gradient.len() / c.outs;
        let mut factors = vec![0.0; c.batch * rows];
        let images = factors.chunks_mut(rows).zip(input.chunks(c.ins));
        images.for_each(|(to, image)| to.copy_from_slice(&image[block * LANES..][..rows]));
        let mut sums = vec![0.0; rows * wide];
        let (factors, columns, sums_out) = (&factors[..], &gradient[..], &mut sums[..]);
        set.run(Product { factors, strides: (1, rows), columns, width: wide, steps: c.batch, rows, sums: sums_out });
        let rows = weights_gradient.chunks_mut(c.outs).zip(sums.chunks(wide));
        rows.for_each(|(to, from)| to.copy_from_slice(&from[..c.outs]));
    });
    let bias_gradient = args.floats_out(1);
    bias_gradient.fill(0.0);
    if c.bias {
        for row in gradient.chunks(wide) {
            bias_gradient.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
    }
}
