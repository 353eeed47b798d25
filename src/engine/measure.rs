//! Repeated measurements of a program: what `kernels time`, `bench` and the ceilings have in common.

use super::Engine;
use crate::error::Result;
use crate::kernels::StepParams;
use crate::plan::Program;

/// How to measure.
#[derive(Clone, Copy, Debug)]
pub struct Sampling {
    /// Measurements.
    pub samples: usize,
    /// Seconds that one measurement should last, so that the clock's steps do not matter.
    pub seconds: f64,
    /// Most runs in one submission.
    pub most_repeats: usize,
    /// Seconds of all measurements together, beyond which there are fewer of them (but one).
    pub budget: f64,
}

impl Sampling {
    /// What suits a single kernel.
    pub const KERNEL: Self = Self { samples: 5, seconds: 0.02, most_repeats: 200, budget: 5.0 };
}

/// Seconds of one run, shortest first; never empty, never zero.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// Sorted samples of one or more measurements, in seconds.
    pub fn new(mut seconds: Vec<f64>) -> Self {
        // a clock that did not move at all would divide by zero
        seconds.iter_mut().for_each(|seconds| *seconds = seconds.max(1e-12));
        seconds.sort_by(f64::total_cmp);
        if seconds.is_empty() {
            seconds.push(1e-12);
        }
        Self(seconds)
    }

    /// What is typical.
    pub fn median(&self) -> f64 {
        let (low, high) = (self.0[(self.0.len() - 1) / 2], self.0[self.0.len() / 2]);
        (low + high) / 2.0
    }

    /// What is possible.
    pub fn fastest(&self) -> f64 {
        self.0[0]
    }

    /// Measurements.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

/// Measures a program, each sample as many runs as it takes to read the clock well.
///
/// # Errors
/// The device is lost.
pub fn sample(engine: &mut dyn Engine, program: Program, step: &StepParams, how: Sampling) -> Result<Samples> {
    // The first run also waits for uploads and warms the caches.
    engine.time(program, step, 1)?;
    let once = engine.time(program, step, 1)?.max(1e-9);
    let repeats = (how.seconds / once).clamp(1.0, how.most_repeats as f64);
    let samples = (how.budget / (repeats * once)).clamp(1.0, how.samples as f64);
    let samples = (0..samples as usize).map(|_| engine.time(program, step, repeats as usize));
    Ok(Samples::new(samples.collect::<Result<Vec<f64>>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_stands_in_the_middle() {
        assert_eq!(Samples::new(vec![3.0, 1.0, 2.0]).median(), 2.0);
        assert_eq!(Samples::new(vec![4.0, 1.0, 2.0, 3.0]).median(), 2.5);
        assert_eq!(Samples::new(vec![4.0, 1.0]).fastest(), 1.0);
        assert!(Samples::new(vec![]).median() > 0.0);
    }
}
