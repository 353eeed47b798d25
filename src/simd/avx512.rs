//! AVX-512: a vector is one register.

#![allow(unsafe_code)]

use super::{Kernel, LANES, Simd};
use std::arch::x86_64::*;

/// Proof that the processor has AVX-512 F, BW, DQ and VL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx512(());

impl Avx512 {
    /// The proof, if the processor has it.
    pub fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("fma");
        has.then_some(Self(()))
    }

    /// Runs a kernel with these instructions.
    pub fn run(self, kernel: impl Kernel) {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,fma")]
        fn inner(set: Avx512, kernel: impl Kernel) {
            kernel.run(set);
        }
        // SAFETY: `self` proves that the processor has them.
        unsafe { inner(self, kernel) }
    }
}

// SAFETY of every block below: `self` proves that the processor has the instructions; loads and stores take references to arrays of
// sixteen floats, and need no alignment beyond a float's.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Simd for Avx512 {
    type V = __m512;
    const PIXELS: usize = 8;
    const TAP_ROWS: usize = 3;

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        unsafe { _mm512_set1_ps(value) }
    }
    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> __m512 {
        unsafe { _mm512_loadu_ps(from.as_ptr()) }
    }
    #[inline(always)]
    fn store(self, vector: __m512, to: &mut [f32; LANES]) {
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), vector) }
    }
    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_sub_ps(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_div_ps(a, b) }
    }
    #[inline(always)]
    fn sqrt(self, a: __m512) -> __m512 {
        unsafe { _mm512_sqrt_ps(a) }
    }
    #[inline(always)]
    fn fma(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn where_greater(self, a: __m512, b: __m512, yes: __m512, no: __m512) -> __m512 {
        unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b), no, yes) }
    }
    #[inline(always)]
    fn bytes(self, a: __m512) -> [u8; LANES] {
        unsafe { std::mem::transmute(_mm512_cvtepi32_epi8(_mm512_cvttps_epi32(a))) }
    }
    #[inline(always)]
    fn places(self, places: &[u8; LANES]) -> __m512 {
        unsafe { _mm512_castsi512_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(places.as_ptr().cast()))) }
    }
    #[inline(always)]
    fn choose(self, four: &[f32; 4], places: __m512) -> __m512 {
        unsafe {
            let four = _mm512_broadcast_f32x4(_mm_loadu_ps(four.as_ptr()));
            _mm512_permutevar_ps(four, _mm512_castps_si512(places))
        }
    }
    #[inline(always)]
    fn transpose(self, rows: &[[f32; LANES]; LANES]) -> [[f32; LANES]; LANES] {
        let mut columns = [[0.0; LANES]; LANES];
        // pairs, then fours, of rows within 128 bits; then 128 bits at a time
        let (mut pairs, mut fours) = ([self.splat(0.0); LANES], [self.splat(0.0); LANES]);
        unsafe {
            for i in (0..LANES).step_by(2) {
                let (a, b) = (self.load(&rows[i]), self.load(&rows[i + 1]));
                (pairs[i], pairs[i + 1]) = (_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
            }
            for i in (0..LANES).step_by(4) {
                for half in 0..2 {
                    let (a, b) = (_mm512_castps_pd(pairs[i + half]), _mm512_castps_pd(pairs[i + 2 + half]));
                    fours[i + 2 * half] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
                    fours[i + 2 * half + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
                }
            }
            for j in 0..4 {
                let (low, high) = ((fours[j], fours[4 + j]), (fours[8 + j], fours[12 + j]));
                let even = |(a, b)| _mm512_shuffle_f32x4::<0x88>(a, b);
                let odd = |(a, b)| _mm512_shuffle_f32x4::<0xdd>(a, b);
                let [a, b, c, d] = [even(low), odd(low), even(high), odd(high)];
                self.store(even((a, c)), &mut columns[j]);
                self.store(even((b, d)), &mut columns[4 + j]);
                self.store(odd((a, c)), &mut columns[8 + j]);
                self.store(odd((b, d)), &mut columns[12 + j]);
            }
        }
        columns
    }
    #[inline(always)]
    fn keep(
        self,
        from: &[f32; LANES],
        places: &[f32; LANES],
        values: &mut [f32; LANES],
        to: &mut [u32; LANES],
    ) -> usize {
        unsafe {
            let places = _mm512_loadu_si512(places.as_ptr().cast());
            let mask = _mm512_cmpneq_epi32_mask(places, _mm512_set1_epi32(-1));
            _mm512_storeu_ps(values.as_mut_ptr(), _mm512_maskz_compress_ps(mask, _mm512_loadu_ps(from.as_ptr())));
            _mm512_storeu_si512(to.as_mut_ptr().cast(), _mm512_maskz_compress_epi32(mask, places));
            mask.count_ones() as usize
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
        unsafe {
            let mask = _mm_cmpeq_epi8_mask(_mm_loadu_si128(codes.as_ptr().cast()), _mm_set1_epi8(code as i8));
            let lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
            // compressed in a register first: Zen 4 takes a hundred cycles to compress into memory
            _mm512_storeu_ps(values.as_mut_ptr(), _mm512_maskz_compress_ps(mask, _mm512_loadu_ps(from.as_ptr())));
            _mm512_storeu_si512(places.as_mut_ptr().cast(), _mm512_maskz_compress_epi32(mask, lane));
            mask.count_ones() as usize
        }
    }
}
