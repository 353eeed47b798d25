//! Dropout on the CPU: the twin's mask, spread over the threads. The loop is plain, and the compiler makes vectors of it.

use super::{Sizes, keep};
use crate::kernels::{Args, StepParams};
use crate::simd::{InstructionSet, Kernel, Simd};
use rayon::prelude::*;

/// Elements that a thread masks at a time.
const CHUNK: usize = 1 << 12;

/// The mask of one chunk, whose first element is number `first`.
struct Mask<'a> {
    c: Sizes,
    step: &'a StepParams,
    first: usize,
    from: &'a [f32],
    to: &'a mut [f32],
}

impl Kernel for Mask<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { c, step, first, from, to } = self;
        let kept = 1.0 - c.rate as f32;
        for (i, (to, &from)) in (first..).zip(to.iter_mut().zip(from)) {
            *to = if keep(c, step, i) { from / kept } else { 0.0 };
        }
    }
}

/// Native `dropout.forward` and `dropout.backward`.
pub fn mask(mut args: Args<f32>, set: InstructionSet) {
    let (c, step) = (Sizes::from(args.constants), args.step);
    let chunks = args.floats_out(0).par_chunks_mut(CHUNK).zip(args.floats(0).par_chunks(CHUNK));
    chunks.enumerate().for_each(|(i, (to, from))| set.run(Mask { c, step, first: i * CHUNK, from, to }));
}
