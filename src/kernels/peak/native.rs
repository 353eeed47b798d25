//! Peaks of the CPU: multiply-adds in as many registers as hide their latency, and a copy by all threads.

// loops over registers have fixed ranges, and the index says which register
#![allow(clippy::needless_range_loop)]

use super::{FmaSizes, NUMBERS, ROWS};
use crate::kernels::Args;
use crate::kernels::elements::each;
use crate::simd::{InstructionSet, Kernel, LANES, Simd};
use rayon::prelude::*;

/// Numbers of sixteen threads of the contract.
const BLOCK: usize = NUMBERS * LANES;

/// Multiplies and adds the numbers of sixteen threads, `times` times.
struct Fma<'a> {
    numbers: &'a mut [f32; BLOCK],
    coefficients: &'a [f32],
    times: usize,
}

impl Kernel for Fma<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { numbers, coefficients, times } = self;
        // sets with few registers take four vectors at a time: with a vector of two registers, eight sums that wait for none
        if S::TAP_ROWS > 1 {
            chains::<S, NUMBERS>(s, numbers, coefficients, times);
        } else {
            chains::<S, 4>(s, numbers, coefficients, times);
        }
    }
}

#[inline(always)]
fn chains<S: Simd, const N: usize>(s: S, numbers: &mut [f32; BLOCK], coefficients: &[f32], times: usize) {
    let [factor, term] = [0, 1].map(|i| s.splat(coefficients[i]));
    let (vectors, _) = numbers.as_chunks_mut::<LANES>();
    for vectors in vectors.chunks_exact_mut(N) {
        let mut sums = [term; N];
        for i in 0..N {
            sums[i] = s.load(&vectors[i]);
        }
        for _ in 0..times {
            for i in 0..N {
                sums[i] = s.fma(sums[i], factor, term);
            }
        }
        for i in 0..N {
            s.store(sums[i], &mut vectors[i]);
        }
    }
}

/// Native `peak.fma`.
pub fn fma(mut args: Args<f32>, set: InstructionSet) {
    let (start, coefficients, times) = (args.floats(0), args.floats(1), ROWS * FmaSizes::from(args.constants).rounds);
    let blocks = args.floats_out(0).par_chunks_mut(4 * LANES).zip(start.par_chunks(BLOCK));
    blocks.for_each(|(output, start)| {
        let mut numbers = [0.0; BLOCK];
        numbers[..start.len()].copy_from_slice(start);
        set.run(Fma { numbers: &mut numbers, coefficients, times });
        for (sums, numbers) in output.chunks_exact_mut(4).zip(numbers.chunks_exact(NUMBERS)) {
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum = numbers[i] + numbers[4 + i] + numbers[8 + i];
            }
        }
    });
}

/// Native `peak.copy`.
pub fn copy(mut args: Args<f32>, set: InstructionSet) {
    each(args.floats_out(0), [args.floats(0)], set, |to, [from]| *to = from);
}
