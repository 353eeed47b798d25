//! Cases: what tests, `kernels validate` and benches run, and the numbers they fill inputs with.

use super::{Binding, Constants, StepParams};
use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_pcg::Pcg64Mcg;

/// How a test fills a binding.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fill {
    /// Distinct values in -1..1, shuffled: relu and max have no ties.
    Shuffled,
    /// Independent values in -1..1: sums of their multiples are never round numbers, where a wrapped image jumps.
    Uniform,
    /// Distinct values in 0..1, shuffled: second moments, probabilities.
    Positive,
    /// Multiples of 1/16 in -1..1: sums of products are exact in f32, so the order of additions cannot matter and
    /// choices (which of four is the largest) must agree exactly, ties included.
    Dyadic,
    /// Integers below the constant of this name.
    Below(&'static str),
    /// Four random bytes to a word.
    Bytes,
    /// Four argmax codes (0..=4) to a word.
    Codes,
    /// A first number and a count, of a run of images.
    Run(u32, u32),
    /// All zero.
    Zero,
    /// All one.
    Ones,
    /// Distinct values in -10 000..10 000, shuffled: exponentials that overflow unless the maximum is taken off.
    Huge,
    /// Like `Positive`, but the first element is infinite.
    Infinite,
    /// These four.
    These([f32; 4]),
}

impl Fill {
    /// `count` floats, the same for the same seed.
    pub fn floats(self, count: usize, seed: u64) -> Vec<f32> {
        let mut rng = Pcg64Mcg::seed_from_u64(seed);
        let spread = |low: f64, high: f64| -> Vec<f32> {
            (0..count).map(|i| (low + (high - low) * (i as f64 + 0.5) / count as f64) as f32).collect()
        };
        let mut values = match self {
            Self::Dyadic => return (0..count).map(|_| rng.random_range(-16..=16) as f32 / 16.0).collect(),
            Self::Uniform => return (0..count).map(|_| rng.random_range(-1.0..1.0)).collect(),
            Self::Zero => return vec![0.0; count],
            Self::Ones => return vec![1.0; count],
            Self::These(values) => return values[..count.min(4)].to_vec(),
            Self::Positive | Self::Infinite => spread(0.0, 1.0),
            Self::Huge => spread(-1e4, 1e4),
            _ => spread(-1.0, 1.0),
        };
        values.shuffle(&mut rng);
        if self == Self::Infinite {
            values.iter_mut().take(1).for_each(|value| *value = f32::INFINITY);
        }
        values
    }

    /// `count` integers, the same for the same seed.
    pub fn indices(self, count: usize, constants: &Constants, seed: u64) -> Vec<u32> {
        let mut rng = Pcg64Mcg::seed_from_u64(seed);
        let mut word =
            |bound: u32| -> u32 { (0..4).fold(0, |word, byte| word | (rng.random_range(0..bound) << (8 * byte))) };
        match self {
            Self::Bytes => (0..count).map(|_| word(256)).collect(),
            Self::Codes => (0..count).map(|_| word(5)).collect(),
            Self::Below(name) => {
                let bound = constants.size(name) as u32;
                (0..count).map(|_| rng.random_range(0..bound)).collect()
            }
            Self::Ones => vec![1; count],
            Self::Run(first, images) => [first, images].into_iter().cycle().take(count).collect(),
            _ => vec![0; count],
        }
    }
}

/// One size of a contract to try.
#[derive(Clone, Debug)]
pub struct Case {
    /// What is special about it.
    pub name: &'static str,
    /// Its constants.
    pub constants: Constants,
    /// Its step.
    pub step: StepParams,
    /// Fillings that differ from the contract's, by binding.
    pub fills: &'static [(&'static str, Fill)],
    /// Whether it is a real layer worth timing.
    pub bench: bool,
}

impl Case {
    /// A case with default step parameters.
    pub fn new(name: &'static str, constants: impl Into<Constants>) -> Self {
        Self { name, constants: constants.into(), step: StepParams::default(), fills: &[], bench: false }
    }

    /// The same case, timed by benches too.
    pub fn timed(mut self) -> Self {
        self.bench = true;
        self
    }

    /// How this case fills a binding: its own wish, else the binding's.
    pub fn fill(&self, binding: &Binding) -> Fill {
        self.fills.iter().find(|(name, _)| *name == binding.name).map_or(binding.fill, |(_, fill)| *fill)
    }

    /// The same case with other fillings.
    pub fn filled(mut self, fills: &'static [(&'static str, Fill)]) -> Self {
        self.fills = fills;
        self
    }

    /// The same case with another step.
    pub fn at(mut self, step: StepParams) -> Self {
        self.step = step;
        self
    }
}
