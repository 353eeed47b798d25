//! Element by element on the CPU, for native kernels that memory bounds: plain loops, of which the compiler makes vectors.

use crate::simd::{InstructionSet, Kernel, Simd};
use rayon::prelude::*;

/// Elements that a thread takes at a time.
const CHUNK: usize = 1 << 14;

/// Calls `f(element of to, those of from at the same place)` for all elements, on all threads.
pub(super) fn each<const N: usize>(
    to: &mut [f32],
    from: [&[f32]; N],
    set: InstructionSet,
    f: impl Fn(&mut f32, [f32; N]) + Copy + Sync,
) {
    to.par_chunks_mut(CHUNK).enumerate().for_each(|(i, to)| {
        let from = from.map(|values| &values[i * CHUNK..][..to.len()]);
        set.run(Each { to, from, f });
    });
}

struct Each<'a, const N: usize, F> {
    to: &'a mut [f32],
    from: [&'a [f32]; N],
    f: F,
}

impl<const N: usize, F: Fn(&mut f32, [f32; N])> Kernel for Each<'_, N, F> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { to, from, f } = self;
        let from = from.map(|values| &values[..to.len()]);
        for i in 0..to.len() {
            f(&mut to[i], from.map(|values| values[i]));
        }
    }
}
