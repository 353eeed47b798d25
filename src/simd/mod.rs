//! Sixteen floats at a time, in the registers of whatever instruction set the processor has.
//!
//! Native kernels are written once, over [`Simd`]: a vector is always sixteen `f32`, which AVX-512 holds in one register, AVX2 in
//! two and NEON in four. Every set adds and multiplies each lane in the same order with the same fused multiply-add, so they agree to the
//! bit; only [`Portable`], which has no fused multiply-add, rounds once more.
//!
//! A value of a set's type proves that the processor has it: [`InstructionSet::detected`] makes them. A [`Kernel`] is compiled once
//! for each set, and [`InstructionSet::run`] calls the right one.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
mod unchecked;

#[cfg(target_arch = "x86_64")]
pub use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub use avx512::Avx512;
#[cfg(target_arch = "aarch64")]
pub use neon::Neon;
pub use portable::Portable;
pub use unchecked::{four, lanes, lanes_mut, value};

/// Lanes of a vector.
pub const LANES: usize = 16;

/// The most pixels that any set's tiles have.
pub const MOST_PIXELS: usize = 8;

/// No place, as the bits of a float.
pub const NOWHERE: u32 = u32::MAX;

/// Operations on vectors of sixteen floats.
pub trait Simd: Copy + Send + Sync + 'static {
    /// Sixteen floats.
    type V: Copy;
    /// Vectors that a row of a tile holds, so that two such rows, a weight and a factor fit the registers.
    const PIXELS: usize;
    /// Rows of taps whose sums fit the registers together: three, or one at a time.
    const TAP_ROWS: usize;

    /// All lanes equal.
    fn splat(self, value: f32) -> Self::V;
    /// Sixteen floats of memory.
    fn load(self, from: &[f32; LANES]) -> Self::V;
    /// Writes all lanes.
    fn store(self, vector: Self::V, to: &mut [f32; LANES]);
    /// `a + b`.
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`.
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b`.
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a / b`.
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// The square root.
    fn sqrt(self, a: Self::V) -> Self::V;
    /// `a * b + c`, rounded once.
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `yes` where `a > b`, else `no`; a NaN is not larger.
    fn where_greater(self, a: Self::V, b: Self::V, yes: Self::V, no: Self::V) -> Self::V;
    /// Whole numbers of 0 to 255 as bytes.
    fn bytes(self, a: Self::V) -> [u8; LANES];
    /// Places 0 to 3 for [`Simd::choose`].
    fn places(self, places: &[u8; LANES]) -> Self::V;
    /// In each lane the one of four floats at the lane's place.
    fn choose(self, four: &[f32; 4], places: Self::V) -> Self::V;
    /// Rows as columns.
    #[inline(always)]
    fn transpose(self, rows: &[[f32; LANES]; LANES]) -> [[f32; LANES]; LANES] {
        portable::transpose(rows)
    }
    /// Copies those values whose place is not [`NOWHERE`] to the front of `values`, and their places to the front of `to`; returns how many
    /// there are. What follows them is undefined.
    #[inline(always)]
    fn keep(
        self,
        from: &[f32; LANES],
        places: &[f32; LANES],
        values: &mut [f32; LANES],
        to: &mut [u32; LANES],
    ) -> usize {
        portable::keep(from, places, values, to)
    }
    /// Copies those values whose code is `code` to the front of `values`, and their lanes to the front of `places`; returns how many there
    /// are. What follows them is undefined.
    fn pick(
        self,
        codes: &[u8; LANES],
        code: u8,
        from: &[f32; LANES],
        values: &mut [f32; LANES],
        places: &mut [u32; LANES],
    ) -> usize;
}

/// A computation that is compiled for every instruction set. `run` must be `#[inline(always)]`.
pub trait Kernel {
    /// Computes with a set's instructions.
    fn run<S: Simd>(self, simd: S);
}

/// An instruction set that this processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstructionSet {
    /// AVX-512 F, BW, DQ and VL.
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    /// NEON.
    #[cfg(target_arch = "aarch64")]
    Neon(Neon),
    /// Plain code.
    Portable(Portable),
}

impl std::fmt::Display for InstructionSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => "AVX-512",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "AVX2",
            #[cfg(target_arch = "aarch64")]
            Self::Neon(_) => "NEON",
            Self::Portable(_) => "portable code",
        })
    }
}

impl InstructionSet {
    /// Whether it multiplies and adds with one rounding: all sets that do agree to the bit.
    pub fn rounds_once(self) -> bool {
        !matches!(self, Self::Portable(_))
    }

    /// The fastest that this processor has.
    pub fn fastest() -> Self {
        Self::detected().first().copied().unwrap_or(Self::Portable(Portable))
    }

    /// All that this processor has, fastest first.
    pub fn detected() -> Vec<Self> {
        let mut sets = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            sets.extend(Avx512::detect().map(Self::Avx512));
            sets.extend(Avx2::detect().map(Self::Avx2));
        }
        #[cfg(target_arch = "aarch64")]
        sets.extend(Neon::detect().map(Self::Neon));
        sets.push(Self::Portable(Portable));
        sets
    }

    /// Runs a kernel.
    pub fn run(self, kernel: impl Kernel) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(set) => set.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(set) => set.run(kernel),
            #[cfg(target_arch = "aarch64")]
            Self::Neon(set) => set.run(kernel),
            Self::Portable(set) => kernel.run(set),
        }
    }
}
