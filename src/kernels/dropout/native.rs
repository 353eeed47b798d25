//! Dropout on the CPU: the twin's mask, spread over the threads.

use super::{Sizes, keep};
use crate::kernels::Args;
use crate::simd::InstructionSet;
use rayon::prelude::*;

/// Elements that a thread masks at a time.
const CHUNK: usize = 1 << 12;

/// Native `dropout.forward` and `dropout.backward`.
pub fn mask(mut args: Args<f32>, _: InstructionSet) {
    let (c, step) = (Sizes::from(args.constants), args.step);
    let kept = 1.0 - c.rate as f32;
    let chunks = args.floats_out(0).par_chunks_mut(CHUNK).zip(args.floats(0).par_chunks(CHUNK));
    chunks.enumerate().for_each(|(chunk, (to, from))| {
        for (i, (to, &from)) in to.iter_mut().zip(from).enumerate() {
            *to = if keep(c, step, chunk * CHUNK + i) { from / kept } else { 0.0 };
        }
    });
}
