//! Times a program repeatedly, for `kernels time`, `bench` and the peaks.

use super::Engine;
use crate::error::Result;
use crate::kernels::StepParams;
use crate::plan::Program;

/// How to measure.
#[derive(Clone, Copy, Debug)]
pub struct Sampling {
    /// Number of measurements.
    pub samples: usize,
    /// Seconds that one measurement should last, so that the resolution of the clock does not matter.
    pub seconds: f64,
    /// The most runs in one submission.
    pub most_repeats: usize,
    /// Seconds for all measurements together. If they would take longer, there are fewer of them, but at least one.
    pub budget: f64,
}

impl Sampling {
    /// For a single kernel.
    pub const KERNEL: Self = Self { samples: 5, seconds: 0.02, most_repeats: 200, budget: 5.0 };
}

/// Measured seconds of one run, shortest first; never empty, never zero.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// Sorts measurements.
    pub fn new(mut seconds: Vec<f64>) -> Self {
        // callers divide by these, and a coarse clock may not have moved
        seconds.iter_mut().for_each(|seconds| *seconds = seconds.max(1e-12));
        seconds.sort_by(f64::total_cmp);
        if seconds.is_empty() {
            seconds.push(1e-12);
        }
        Self(seconds)
    }

    /// The median.
    pub fn median(&self) -> f64 {
        let (low, high) = (self.0[(self.0.len() - 1) / 2], self.0[self.0.len() / 2]);
        (low + high) / 2.0
    }

    /// The shortest time.
    pub fn fastest(&self) -> f64 {
        self.0[0]
    }

    /// Number of measurements.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

/// Measures a program. Each sample repeats it until it takes long enough for the clock.
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
    fn the_median_is_the_middle() {
        assert_eq!(Samples::new(vec![3.0, 1.0, 2.0]).median(), 2.0);
        assert_eq!(Samples::new(vec![4.0, 1.0, 2.0, 3.0]).median(), 2.5);
        assert_eq!(Samples::new(vec![4.0, 1.0]).fastest(), 1.0);
        assert!(Samples::new(vec![]).median() > 0.0);
    }
}
