//! Reads and writes without a test of their bounds, for inner loops where that test would cost as much as the arithmetic.

#![allow(unsafe_code)]

use super::LANES;

/// The sixteen floats from `at` on.
///
/// # Safety
/// `at + 16 <= values.len()`.
#[inline(always)]
pub unsafe fn lanes(values: &[f32], at: usize) -> &[f32; LANES] {
    debug_assert!(at + LANES <= values.len());
    // SAFETY: the caller promises that all sixteen are there; an array of f32 is aligned as one is.
    unsafe { &*values.as_ptr().add(at).cast() }
}

/// The sixteen floats from `at` on, to be written.
///
/// # Safety
/// `at + 16 <= values.len()`.
#[inline(always)]
pub unsafe fn lanes_mut(values: &mut [f32], at: usize) -> &mut [f32; LANES] {
    debug_assert!(at + LANES <= values.len());
    // SAFETY: as in `lanes`.
    unsafe { &mut *values.as_mut_ptr().add(at).cast() }
}

/// The four floats from `at` on.
///
/// # Safety
/// `at + 4 <= values.len()`.
#[inline(always)]
pub unsafe fn four(values: &[f32], at: usize) -> &[f32; 4] {
    debug_assert!(at + 4 <= values.len());
    // SAFETY: as in `lanes`.
    unsafe { &*values.as_ptr().add(at).cast() }
}

/// The float at `at`.
///
/// # Safety
/// `at < values.len()`.
#[inline(always)]
pub unsafe fn value(values: &[f32], at: usize) -> f32 {
    debug_assert!(at < values.len());
    // SAFETY: the caller promises that it is there.
    unsafe { *values.get_unchecked(at) }
}
