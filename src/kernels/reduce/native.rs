//! Sums over a bank on the CPU; those of squares are spread over the threads by the groups that the contract fixes.

use super::THREADS;
use crate::kernels::Args;
use crate::kernels::elements::each;
use crate::simd::{InstructionSet, Kernel, LANES, Simd};
use rayon::prelude::*;

/// Sums that are added to in turn, as an addition takes as long as four others take to begin.
const SUMS: usize = 4;

/// The squares of the groups' values, added in sixteen lanes.
struct SumSquares<'a> {
    values: &'a [f32],
    group: usize,
    groups: usize,
    sum: &'a mut f32,
}

impl Kernel for SumSquares<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let mut sums = [s.splat(0.0); SUMS];
        for block in self.values.chunks(THREADS).skip(self.group).step_by(self.groups) {
            let (vectors, rest) = block.as_chunks::<LANES>();
            for vectors in vectors.chunks(SUMS) {
                for (sum, vector) in sums.iter_mut().zip(vectors) {
                    let vector = s.load(vector);
                    *sum = s.fma(vector, vector, *sum);
                }
            }
            let mut padded = [0.0; LANES];
            padded[..rest.len()].copy_from_slice(rest);
            let vector = s.load(&padded);
            sums[0] = s.fma(vector, vector, sums[0]);
        }
        let mut lanes = [0.0; LANES];
        s.store(s.add(s.add(sums[0], sums[1]), s.add(sums[2], sums[3])), &mut lanes);
        *self.sum = lanes.iter().sum();
    }
}

/// Native `reduce.sum_squares`.
pub fn sum_squares(mut args: Args<f32>, set: InstructionSet) {
    let (values, partial) = (args.floats(0), args.floats_out(0));
    let groups = partial.len();
    partial.par_iter_mut().enumerate().for_each(|(group, sum)| set.run(SumSquares { values, group, groups, sum }));
}

/// Native `reduce.accumulate`.
pub fn accumulate(mut args: Args<f32>, set: InstructionSet) {
    let (values, sums) = (args.floats(0), args.floats_out(0));
    match args.step.before {
        0 => each(sums, [values], set, |sum, [value]| *sum = value),
        _ => each(sums, [values], set, |sum, [value]| *sum += value),
    }
}
