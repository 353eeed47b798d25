//! NEON: a vector is four registers.

#![allow(unsafe_code)]

use super::{Kernel, LANES, Simd};
use std::arch::aarch64::*;

/// Proof that the processor has NEON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neon(());

impl Neon {
    /// The proof, if the processor has it.
    pub fn detect() -> Option<Self> {
        std::arch::is_aarch64_feature_detected!("neon").then_some(Self(()))
    }

    /// Runs a kernel with these instructions.
    pub fn run(self, kernel: impl Kernel) {
        #[target_feature(enable = "neon")]
        fn inner(set: Neon, kernel: impl Kernel) {
            kernel.run(set);
        }
        // SAFETY: `self` proves that the processor has them.
        unsafe { inner(self, kernel) }
    }
}

type Four = [float32x4_t; 4];

// SAFETY of every block below: `self` proves that the processor has the instructions; loads and stores take references to arrays of
// sixteen floats or bytes, or of four floats.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Simd for Neon {
    type V = Four;
    const PIXELS: usize = 2;
    const TAP_ROWS: usize = 1;

    #[inline(always)]
    fn splat(self, value: f32) -> Four {
        unsafe { [vdupq_n_f32(value); 4] }
    }
    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> Four {
        let quarter = |i: usize| unsafe { vld1q_f32(from.as_ptr().add(4 * i)) };
        [quarter(0), quarter(1), quarter(2), quarter(3)]
    }
    #[inline(always)]
    fn store(self, vector: Four, to: &mut [f32; LANES]) {
        for (to, quarter) in to.as_chunks_mut::<4>().0.iter_mut().zip(vector) {
            unsafe { vst1q_f32(to.as_mut_ptr(), quarter) }
        }
    }
    #[inline(always)]
    fn add(self, a: Four, b: Four) -> Four {
        unsafe { [vaddq_f32(a[0], b[0]), vaddq_f32(a[1], b[1]), vaddq_f32(a[2], b[2]), vaddq_f32(a[3], b[3])] }
    }
    #[inline(always)]
    fn sub(self, a: Four, b: Four) -> Four {
        unsafe { [vsubq_f32(a[0], b[0]), vsubq_f32(a[1], b[1]), vsubq_f32(a[2], b[2]), vsubq_f32(a[3], b[3])] }
    }
    #[inline(always)]
    fn mul(self, a: Four, b: Four) -> Four {
        unsafe { [vmulq_f32(a[0], b[0]), vmulq_f32(a[1], b[1]), vmulq_f32(a[2], b[2]), vmulq_f32(a[3], b[3])] }
    }
    #[inline(always)]
    fn div(self, a: Four, b: Four) -> Four {
        unsafe { [vdivq_f32(a[0], b[0]), vdivq_f32(a[1], b[1]), vdivq_f32(a[2], b[2]), vdivq_f32(a[3], b[3])] }
    }
    #[inline(always)]
    fn sqrt(self, a: Four) -> Four {
        unsafe { [vsqrtq_f32(a[0]), vsqrtq_f32(a[1]), vsqrtq_f32(a[2]), vsqrtq_f32(a[3])] }
    }
    #[inline(always)]
    fn fma(self, a: Four, b: Four, c: Four) -> Four {
        let quarter = |i: usize| unsafe { vfmaq_f32(c[i], a[i], b[i]) };
        [quarter(0), quarter(1), quarter(2), quarter(3)]
    }
    #[inline(always)]
    fn where_greater(self, a: Four, b: Four, yes: Four, no: Four) -> Four {
        let quarter = |i: usize| unsafe { vbslq_f32(vcgtq_f32(a[i], b[i]), yes[i], no[i]) };
        [quarter(0), quarter(1), quarter(2), quarter(3)]
    }
    #[inline(always)]
    fn bytes(self, a: Four) -> [u8; LANES] {
        let words = |i: usize| unsafe { vqmovn_u32(vcvtq_u32_f32(a[i])) };
        let mut bytes = [0; LANES];
        unsafe {
            let [low, high] =
                [vqmovn_u16(vcombine_u16(words(0), words(1))), vqmovn_u16(vcombine_u16(words(2), words(3)))];
            vst1q_u8(bytes.as_mut_ptr(), vcombine_u8(low, high));
        }
        bytes
    }
    /// Which four bytes of a register to take in each lane.
    #[inline(always)]
    fn places(self, places: &[u8; LANES]) -> Four {
        let bytes = |i: usize| u32::from(places[i]) * 0x0404_0404 + 0x0302_0100;
        let quarter = |i: usize| [bytes(4 * i), bytes(4 * i + 1), bytes(4 * i + 2), bytes(4 * i + 3)];
        let quarter = |i: usize| unsafe { vreinterpretq_f32_u32(vld1q_u32(quarter(i).as_ptr())) };
        [quarter(0), quarter(1), quarter(2), quarter(3)]
    }
    #[inline(always)]
    fn choose(self, four: &[f32; 4], places: Four) -> Four {
        unsafe {
            let four = vreinterpretq_u8_f32(vld1q_f32(four.as_ptr()));
            let quarter = |i: usize| vreinterpretq_f32_u8(vqtbl1q_u8(four, vreinterpretq_u8_f32(places[i])));
            [quarter(0), quarter(1), quarter(2), quarter(3)]
        }
    }
    #[inline(always)]
    fn pick(
        self,
        codes: &[u8; LANES],
        code: u8,
        from: &[f32; LANES],
        values: &mut [f32; LANES],
        places: &mut [u32; LANES],
    ) -> usize {
        super::portable::pick(codes, code, from, values, places)
    }
}
