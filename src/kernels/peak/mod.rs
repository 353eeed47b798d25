//! Micro-kernels: what an adapter can do at most, measured as its other kernels are. No layer calls them.
//!
//! ```text
//! peak.fma    x = x * a + b, 16 ROUNDS times for each of 12 numbers of a thread
//! peak.copy   output[i] = input[i]
//! peak.matrix product = left * right added up ROUNDS times, 8 times for each of GROUPS groups, 16 x 16 matrices
//! ```
//!
//! [`PEAKS`] lists what `bench peak` measures: another peak is a contract here, its WGSL, and one entry. The roofline model:
//! Williams, Waterman and Patterson, "Roofline: An Insightful Visual Performance Model for
//! Multicore Architectures", CACM 52(4), 2009.
//!
//! Constants: `THREADS`, `ROUNDS`; `VECTORS`; `GROUPS`, `ROUNDS`.

mod native;

use super::{
    Args, Binding, Case, Constants, Contract, Cost, Fill, Grid, Implementation, Launch, Native, Needs, Precision, Real,
    Tolerance,
};
use crate::kernels::sizes::{sized, sizes};
use crate::{shader, twin};

/// Multiply-adds of one number in a round, written out in the shader.
const ROWS: usize = 16;
/// Numbers of a thread.
const NUMBERS: usize = 12;
/// Sums of a group of threads that hold matrices.
const MATRICES: usize = 8;

sizes! {
    /// Sizes of `peak.fma`.
    FmaSizes { threads: usize = "THREADS", rounds: usize = "ROUNDS" }
}

sizes! {
    /// Sizes of `peak.copy`.
    CopySizes { vectors: usize = "VECTORS" }
}

sizes! {
    /// Sizes of `peak.matrix`.
    MatrixSizes { groups: usize = "GROUPS", rounds: usize = "ROUNDS" }
}

/// The contracts of this file.
pub const CONTRACTS: &[&Contract] = &[&FMA, &COPY, &MATRIX];

/// `start, coefficients -> output`.
pub static FMA: Contract = Contract {
    name: "peak.fma",
    formula: "x = x * coefficients[0] + coefficients[1], 16 ROUNDS times; output = sum of a thread's three vectors",
    bindings: &[
        Binding::read("start").filled(Fill::Dyadic),
        // one and one: every multiply-add counts, and no sum is rounded
        Binding::read("coefficients").filled(Fill::Ones),
        Binding::write("output"),
    ],
    constants: FmaSizes::CONSTANTS,
    lengths: sized!(|c: FmaSizes| vec![NUMBERS * c.threads, 2, 4 * c.threads]),
    twin: twin!(fma),
    cost: sized!(|c: FmaSizes| {
        let threads = c.threads as f64;
        Cost { flops: 2.0 * (ROWS * NUMBERS * c.rounds) as f64 * threads, bytes: 64.0 * threads }
    }),
    tolerance: sized!(|c: FmaSizes| Tolerance::sum(ROWS * c.rounds)),
    cases: fma_cases,
    native: &[Native::direct(native::fma)],
    implementations: &[Implementation::direct(sized!(|c: FmaSizes| {
        Launch::items(shader!("peak/fma_direct.wgsl"), 3, c.threads, 1).iterating(c.rounds)
    }))],
};

/// `input -> output`.
pub static COPY: Contract = Contract {
    name: "peak.copy",
    formula: "output[i] = input[i]",
    bindings: &[Binding::read("input"), Binding::write("output")],
    constants: CopySizes::CONSTANTS,
    lengths: sized!(|c: CopySizes| vec![4 * c.vectors; 2]),
    twin: twin!(copy),
    cost: sized!(|c: CopySizes| Cost { flops: 0.0, bytes: 32.0 * c.vectors as f64 }),
    tolerance: |_| Tolerance::EXACT,
    cases: copy_cases,
    native: &[Native::direct(native::copy)],
    implementations: &[Implementation::direct(sized!(|c: CopySizes| {
        Launch::single(shader!("peak/copy_direct.wgsl"), 2, Grid::elements(c.vectors, 256))
    }))],
};

/// `left (16 x 16), right (16 x 16) -> product (GROUPS x 8 x 16 x 16)`.
pub static MATRIX: Contract = Contract {
    name: "peak.matrix",
    formula: "product = the sum of ROUNDS times left * right, eight times for each group",
    // sums of up to 4096 rounds are exact
    bindings: &[
        Binding::read("left").filled(Fill::Dyadic).or_half(),
        Binding::read("right").filled(Fill::Dyadic).or_half(),
        Binding::write("product"),
    ],
    constants: MatrixSizes::CONSTANTS,
    lengths: sized!(|c: MatrixSizes| vec![256, 256, MATRICES * 256 * c.groups]),
    twin: twin!(matrix),
    cost: sized!(|c: MatrixSizes| {
        let products = (MATRICES * c.groups) as f64;
        Cost { flops: 2.0 * 4096.0 * c.rounds as f64 * products, bytes: 1024.0 * products + 2048.0 }
    }),
    tolerance: |_| Tolerance::EXACT,
    cases: || {
        vec![
            Case::new("smallest", MatrixSizes { groups: 1, rounds: 1 }),
            Case::new("some groups", MatrixSizes { groups: 5, rounds: 7 }),
            Case::new("a group to a core", MatrixSizes { groups: 32, rounds: 256 }).timed(),
            Case::new("many rounds", MatrixSizes { groups: 2, rounds: 4096 }),
        ]
    },
    // 16-bit matrices, which no CPU has here
    native: &[Native::direct(|args, _| matrix(args))],
    implementations: &[
        Implementation {
            name: "matrix",
            needs: Needs::MATRIX,
            accepts: |_| true,
            launch: sized!(|c: MatrixSizes| Launch::single(
                shader!("peak/matrix_matrix.wgsl"),
                3,
                Grid::groups(c.groups)
            )),
        },
        Implementation::direct(sized!(|c: MatrixSizes| {
            Launch::items(shader!("peak/matrix_direct.wgsl"), 3, MATRICES * 256 * c.groups, 1).iterating(c.rounds)
        })),
    ],
};

/// What a peak counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Additions and multiplications.
    Flops,
    /// Bytes read and written.
    Bytes,
}

impl Unit {
    /// How much of it there is in a piece of work.
    pub fn of(self, cost: Cost) -> f64 {
        match self {
            Self::Flops => cost.flops,
            Self::Bytes => cost.bytes,
        }
    }
}

/// A peak of an adapter, and how it is measured.
pub struct Peak {
    /// Its name, also in JSON.
    pub name: &'static str,
    /// What it is, for people.
    pub about: &'static str,
    /// What it counts.
    pub unit: Unit,
    /// The micro-kernel.
    pub contract: &'static Contract,
    /// What its `or_half` tensors are stored in.
    pub precision: Precision,
    /// The implementation to measure; if it cannot run, the adapter has no such peak.
    pub implementation: &'static str,
    /// Sizes of a run. The scale starts at 1 and grows to at most `largest`, until a run is long enough.
    pub sizes: fn(scale: usize) -> Constants,
    /// Largest scale.
    pub largest: usize,
    /// Sizes of a tile. A run's buffers repeat those of its tile, so that the twin of a tile checks a whole run.
    pub tile: fn(run: Constants) -> Constants,
}

/// What adds and multiplies in f32.
pub static F32_FMA: Peak = Peak {
    name: "f32_fma",
    about: "f32 multiply-add",
    unit: Unit::Flops,
    contract: &FMA,
    precision: Precision::F32,
    implementation: "direct",
    // 2^18 threads fill the largest GPU; 3.2 GFLOP
    sizes: |scale| FmaSizes { threads: 1 << 18, rounds: 32 * scale }.into(),
    largest: 64,
    tile: |run| FmaSizes { threads: 64, ..FmaSizes::from(&run) }.into(),
};

/// What multiplies f16 and adds in f32, on cooperative matrices.
pub static F16_MATRIX: Peak = Peak {
    name: "f16_matrix",
    about: "f16 matrices, f32 sums",
    unit: Unit::Flops,
    contract: &MATRIX,
    precision: Precision::Mixed,
    implementation: "matrix",
    // 2112 groups are 16 on each of the 132 multiprocessors of a large card; 4.4 GFLOP
    sizes: |scale| MatrixSizes { groups: 2112, rounds: 32 * scale }.into(),
    largest: 64,
    tile: |run| MatrixSizes { groups: 1, ..MatrixSizes::from(&run) }.into(),
};

/// What moves bytes between memory and registers.
pub static COPY_BANDWIDTH: Peak = Peak {
    name: "copy",
    about: "copy, read + written",
    unit: Unit::Bytes,
    contract: &COPY,
    precision: Precision::F32,
    implementation: "direct",
    // 64 MiB each way, more than most caches hold; a fast GPU gets 512 MiB
    sizes: |scale| CopySizes { vectors: scale << 22 }.into(),
    largest: 8,
    tile: |_| CopySizes { vectors: 65_536 }.into(),
};

/// All peaks, in the order in which they are measured and shown.
pub static PEAKS: &[&Peak] = &[&F32_FMA, &F16_MATRIX, &COPY_BANDWIDTH];

/// Twin of `peak.matrix`.
pub fn matrix<T: Real>(mut args: Args<T>) {
    let (left, right, rounds) =
        (args.floats(0), args.floats(1), T::of(MatrixSizes::from(args.constants).rounds as f64));
    for (i, value) in args.floats_out(0).iter_mut().enumerate() {
        let (row, column) = (i / 16 % 16, i % 16);
        let product: T = (0..16).map(|k| left[row * 16 + k] * right[k * 16 + column]).sum();
        *value = rounds * product;
    }
}

/// Twin of `peak.fma`.
pub fn fma<T: Real>(mut args: Args<T>) {
    let (start, coefficients) = (args.floats(0), args.floats(1));
    let times = ROWS * FmaSizes::from(args.constants).rounds;
    for (start, sums) in start.chunks_exact(NUMBERS).zip(args.floats_out(0).chunks_exact_mut(4)) {
        let mut numbers = [T::zero(); NUMBERS];
        numbers.copy_from_slice(start);
        for _ in 0..times {
            numbers.iter_mut().for_each(|x| *x = *x * coefficients[0] + coefficients[1]);
        }
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum = numbers[i] + numbers[4 + i] + numbers[8 + i];
        }
    }
}

/// Twin of `peak.copy`.
pub fn copy<T: Real>(mut args: Args<T>) {
    args.floats_out(0).copy_from_slice(args.floats(0));
}

fn fma_cases() -> Vec<Case> {
    let halves: &[(&str, Fill)] = &[("start", Fill::Uniform), ("coefficients", Fill::Shuffled)];
    vec![
        Case::new("smallest", FmaSizes { threads: 1, rounds: 1 }),
        Case::new("around a workgroup", FmaSizes { threads: 65, rounds: 3 }),
        Case::new("coefficients of plus and minus a half", FmaSizes { threads: 64, rounds: 1 }).filled(halves),
        Case::new("long chains", FmaSizes { threads: 4096, rounds: 64 }).timed(),
    ]
}

fn copy_cases() -> Vec<Case> {
    vec![
        Case::new("smallest", CopySizes { vectors: 1 }),
        Case::new("around two workgroups", CopySizes { vectors: 513 }),
        Case::new("8 MiB", CopySizes { vectors: 1 << 19 }).timed(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_whole_tiles_at_every_scale() {
        for peak in PEAKS {
            for scale in [1, peak.largest] {
                let run = (peak.sizes)(scale);
                let tile = (peak.tile)(run.clone());
                let lengths = |c| (peak.contract.lengths)(c);
                for (whole, part) in lengths(&run).into_iter().zip(lengths(&tile)) {
                    assert!(whole.is_multiple_of(part), "{} at scale {scale}: {whole} of {part}", peak.name);
                }
            }
            assert!(peak.contract.implementation(peak.implementation).is_some(), "{}", peak.name);
        }
    }

    #[test]
    fn costs_count_what_the_loops_do() {
        let cost = (FMA.cost)(&FmaSizes { threads: 2, rounds: 3 }.into());
        assert_eq!(cost, Cost { flops: 2.0 * (2 * 12 * 16 * 3) as f64, bytes: 2.0 * (12.0 + 4.0) * 4.0 });
        assert_eq!((COPY.cost)(&CopySizes { vectors: 5 }.into()).bytes, 5.0 * 16.0 * 2.0);
    }
}
