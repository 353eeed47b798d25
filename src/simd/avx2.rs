//! AVX2 with fused multiply-add: a vector is two registers.

#![allow(unsafe_code)]

use super::{Kernel, LANES, Simd};
use std::arch::x86_64::*;

/// Proof that the processor has AVX2 and FMA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx2(());

impl Avx2 {
    /// The proof, if the processor has it.
    pub fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Self(()))
    }

    /// Runs a kernel with these instructions.
    pub fn run(self, kernel: impl Kernel) {
        #[target_feature(enable = "avx2,fma")]
        fn inner(set: Avx2, kernel: impl Kernel) {
            kernel.run(set);
        }
        // SAFETY: `self` proves that the processor has them.
        unsafe { inner(self, kernel) }
    }
}

type Pair = [__m256; 2];

// SAFETY of every block below: `self` proves that the processor has the instructions; loads and stores take references to arrays of
// sixteen floats, and need no alignment beyond a float's.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Simd for Avx2 {
    type V = Pair;
    const PIXELS: usize = 2;
    const TAP_ROWS: usize = 1;

    #[inline(always)]
    fn splat(self, value: f32) -> Pair {
        unsafe { [_mm256_set1_ps(value); 2] }
    }
    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> Pair {
        unsafe { [_mm256_loadu_ps(from.as_ptr()), _mm256_loadu_ps(from.as_ptr().add(8))] }
    }
    #[inline(always)]
    fn store(self, [low, high]: Pair, to: &mut [f32; LANES]) {
        unsafe {
            _mm256_storeu_ps(to.as_mut_ptr(), low);
            _mm256_storeu_ps(to.as_mut_ptr().add(8), high);
        }
    }
    #[inline(always)]
    fn add(self, a: Pair, b: Pair) -> Pair {
        unsafe { [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])] }
    }
    #[inline(always)]
    fn sub(self, a: Pair, b: Pair) -> Pair {
        unsafe { [_mm256_sub_ps(a[0], b[0]), _mm256_sub_ps(a[1], b[1])] }
    }
    #[inline(always)]
    fn mul(self, a: Pair, b: Pair) -> Pair {
        unsafe { [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])] }
    }
    #[inline(always)]
    fn div(self, a: Pair, b: Pair) -> Pair {
        unsafe { [_mm256_div_ps(a[0], b[0]), _mm256_div_ps(a[1], b[1])] }
    }
    #[inline(always)]
    fn sqrt(self, a: Pair) -> Pair {
        unsafe { [_mm256_sqrt_ps(a[0]), _mm256_sqrt_ps(a[1])] }
    }
    #[inline(always)]
    fn fma(self, a: Pair, b: Pair, c: Pair) -> Pair {
        unsafe { [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])] }
    }
    #[inline(always)]
    fn where_greater(self, a: Pair, b: Pair, yes: Pair, no: Pair) -> Pair {
        let half = |i: usize| unsafe { _mm256_blendv_ps(no[i], yes[i], _mm256_cmp_ps::<_CMP_GT_OQ>(a[i], b[i])) };
        [half(0), half(1)]
    }
    #[inline(always)]
    fn bytes(self, a: Pair) -> [u8; LANES] {
        unsafe {
            let [low, high] = [_mm256_cvttps_epi32(a[0]), _mm256_cvttps_epi32(a[1])];
            let quarters = |words: __m256i| [_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words)];
            let ([a, b], [c, d]) = (quarters(low), quarters(high));
            std::mem::transmute(_mm_packus_epi16(_mm_packs_epi32(a, b), _mm_packs_epi32(c, d)))
        }
    }
    #[inline(always)]
    fn places(self, places: &[u8; LANES]) -> Pair {
        unsafe {
            let bytes = _mm_loadu_si128(places.as_ptr().cast());
            let [low, high] = [_mm256_cvtepu8_epi32(bytes), _mm256_cvtepu8_epi32(_mm_srli_si128::<8>(bytes))];
            [_mm256_castsi256_ps(low), _mm256_castsi256_ps(high)]
        }
    }
    #[inline(always)]
    fn choose(self, four: &[f32; 4], places: Pair) -> Pair {
        unsafe {
            let four = _mm256_broadcast_ps(&_mm_loadu_ps(four.as_ptr()));
            let [low, high] = [_mm256_castps_si256(places[0]), _mm256_castps_si256(places[1])];
            [_mm256_permutevar_ps(four, low), _mm256_permutevar_ps(four, high)]
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
