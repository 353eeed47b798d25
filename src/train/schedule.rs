//! Learning-rate schedules: the learning rate of a step, from the training's progress and nothing else.
//!
//! Everything is f64 additions, multiplications and divisions, rounded once at the end. So a rate has the same bits on every
//! machine, and a resumed run has the rates of one that was never stopped.

use super::history::History;
use serde::{Deserialize, Serialize};

/// How the rate changes after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Curve {
    /// It does not.
    #[default]
    Constant,
    /// Half a cosine over all steps after the warm-up, down to the floor: Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent
    /// with Warm Restarts", ICLR 2017, equation 5, without restarts.
    Cosine,
    /// Multiplied by a factor after every so many epochs.
    Step {
        /// Epochs between two cuts.
        epochs: u32,
        /// The factor.
        factor: f64,
    },
    /// Multiplied by a factor whenever the loss on the set that chooses the best epoch has not fallen for so many epochs: Keras's
    /// `ReduceLROnPlateau` with its `min_delta` of 1e-4 and no cooldown.
    Plateau {
        /// Epochs without a lower loss.
        epochs: u32,
        /// The factor.
        factor: f64,
    },
}

/// How the learning rate changes during a training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// How the rate changes after the warm-up.
    pub curve: Curve,
    /// Epochs, or a fraction of one, over which the rate rises in equal steps; it is full in the last of them.
    pub warm_up: f64,
    /// The rate never falls below this, and the cosine ends here.
    pub floor: f64,
}

/// The progress of a training, as far as the rate depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'h> {
    /// Optimizer steps before this one.
    pub step: u32,
    /// Steps in an epoch.
    pub steps_per_epoch: u32,
    /// Epochs to train in all.
    pub epochs: u32,
    /// The epochs that have ended.
    pub history: &'h History,
}

/// How much lower than the lowest so far a loss must be to count as lower; Keras's `min_delta`.
const LOWER: f64 = 1e-4;

impl Schedule {
    /// The rate of a step, from the full rate.
    pub fn rate(&self, whole: f64, at: &Moment) -> f64 {
        let per_epoch = f64::from(at.steps_per_epoch);
        let warm_up = (self.warm_up * per_epoch).round();
        let step = f64::from(at.step);
        if step < warm_up {
            return whole * ((step + 1.0) / warm_up);
        }
        let all = per_epoch * f64::from(at.epochs);
        let rate = match self.curve {
            Curve::Constant => return whole,
            Curve::Cosine => {
                let passed = ((step - warm_up) / (all - warm_up).max(1.0)).min(1.0);
                return self.floor + (whole - self.floor) * falling_cosine(passed);
            }
            Curve::Step { epochs, factor } => cut(whole, factor, at.step / at.steps_per_epoch.max(1) / epochs.max(1)),
            Curve::Plateau { epochs, factor } => cut(whole, factor, plateaus(at.history, epochs)),
        };
        rate.max(self.floor.min(whole))
    }
}

/// A rate after some cuts. Multiplies one by one, as `powi` may round differently on another machine.
fn cut(rate: f64, factor: f64, times: u32) -> f64 {
    (0..times).fold(rate, |rate, _| rate * factor)
}

/// How often the loss on the set that chooses has stayed above its lowest for `patience` epochs; each time, waiting starts again.
fn plateaus(history: &History, patience: u32) -> u32 {
    let (mut lowest, mut waited, mut found) = (f64::INFINITY, 0, 0);
    for record in &history.epochs {
        let loss = f64::from(record.val_loss);
        if loss < lowest - LOWER {
            (lowest, waited) = (loss, 0);
            continue;
        }
        waited += 1;
        if waited >= patience {
            (found, waited) = (found + 1, 0);
        }
    }
    found
}

/// `(1 + cos(pi x)) / 2` for `x` from 0 to 1, as the square of the cosine of half the angle, by its Taylor series: 14 terms leave
/// less than a unit in the last place. `f64::cos` may differ between platforms.
fn falling_cosine(x: f64) -> f64 {
    let half = std::f64::consts::FRAC_PI_2 * x;
    let square = half * half;
    let (mut term, mut cosine) = (1.0, 1.0);
    for k in 1..=14 {
        term *= -square / f64::from((2 * k - 1) * (2 * k));
        cosine += term;
    }
    cosine * cosine
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::history::EpochRecord;

    fn history(losses: &[f32]) -> History {
        let record = |(index, &val_loss): (usize, &f32)| EpochRecord {
            epoch: index as u32 + 1,
            loss: 0.0,
            accuracy: 0.0,
            val_loss,
            val_accuracy: 0.0,
            seconds: 0.0,
        };
        History { epochs: losses.iter().enumerate().map(record).collect() }
    }

    /// The rate of each step of epochs of 10 steps, from a full rate of 0.1.
    fn rates(schedule: Schedule, epochs: u32, losses: &[f32]) -> Vec<f64> {
        let rate = |step: u32| {
            let history = history(&losses[..losses.len().min(step as usize / 10)]);
            schedule.rate(0.1, &Moment { step, steps_per_epoch: 10, epochs, history: &history })
        };
        (0..10 * epochs).map(rate).collect()
    }

    /// `keras.optimizers.schedules.CosineDecay` (Keras 3.15): with `alpha = floor / rate` and the step counted from the end of the warm-up,
    /// `rate * ((1 - alpha) * 0.5 * (1 + cos(pi * step / decay_steps)) + alpha)`; optax's `cosine_decay_schedule` is the same.
    #[test]
    fn the_cosine_is_keras_cosine_decay() {
        let schedule = Schedule { curve: Curve::Cosine, warm_up: 0.5, floor: 0.001 };
        let found = rates(schedule, 4, &[]);
        for (step, &rate) in found.iter().enumerate().skip(5) {
            let passed = (step as f64 - 5.0) / 35.0;
            let alpha = 0.01;
            let keras = 0.1 * ((1.0 - alpha) * 0.5 * (1.0 + (std::f64::consts::PI * passed).cos()) + alpha);
            // a handful of roundings of f64 each
            assert!((rate - keras).abs() < 1e-16, "step {step}: {rate} and {keras}");
        }
        // Keras's own numbers at steps 0, 7, 17 and 30 of 35, which it computes in f32
        for (step, keras) in [(0, 0.100_000_001), (7, 0.090_546_34), (17, 0.052_720_804), (30, 0.005_902_039)] {
            assert!((found[5 + step] - keras).abs() < 1e-8, "step {step}: {} and {keras}", found[5 + step]);
        }
        // 0.1 * (t + 1) / 5, and full in the last step of the warm-up and in the one after it
        assert_eq!(found[..5], [0.1 * (1.0 / 5.0), 0.1 * (2.0 / 5.0), 0.1 * (3.0 / 5.0), 0.1 * (4.0 / 5.0), 0.1]);
        assert_eq!(found[5], 0.1);
        let beyond = Moment { step: 99, steps_per_epoch: 10, epochs: 4, history: &History::default() };
        assert!((schedule.rate(0.1, &beyond) - 0.001).abs() < 1e-17, "it stays at its floor");
    }

    #[test]
    fn the_series_is_the_cosine() {
        for i in 0..=1000 {
            let x = f64::from(i) / 1000.0;
            let want = 0.5 * (1.0 + (std::f64::consts::PI * x).cos());
            // some roundings of numbers up to 1, of 1.1e-16 each
            assert!((falling_cosine(x) - want).abs() < 1e-15, "{x}");
        }
        assert_eq!(falling_cosine(0.0), 1.0);
        assert!(falling_cosine(1.0) < 1e-31);
    }

    /// PyTorch's `StepLR`: `rate * gamma ^ (epoch // step_size)`.
    #[test]
    fn steps_fall_after_whole_epochs_and_not_below_the_floor() {
        let schedule = Schedule { curve: Curve::Step { epochs: 2, factor: 0.5 }, warm_up: 0.0, floor: 0.03 };
        let found = rates(schedule, 7, &[]);
        let of_epochs: Vec<f64> = found.chunks(10).map(|epoch| epoch[0]).collect();
        assert_eq!(of_epochs, [0.1, 0.1, 0.05, 0.05, 0.03, 0.03, 0.03]);
        assert!(found.chunks(10).all(|epoch| epoch.iter().all(|rate| *rate == epoch[0])));
    }

    /// Keras's `ReduceLROnPlateau.on_epoch_end`, by hand: `wait` counts epochs that are not below the best by `min_delta`; at `patience` the
    /// rate is cut and `wait` starts at 0, while the best stays.
    #[test]
    fn a_plateau_is_found_as_keras_finds_it() {
        let losses = [1.0, 0.9, 0.9, 0.89995, 0.8, 0.81, f32::NAN, 0.82, 0.83, 0.84, 0.7, 0.7];
        let schedule = Schedule { curve: Curve::Plateau { epochs: 2, factor: 0.5 }, warm_up: 0.0, floor: 0.0 };
        let found: Vec<f64> = rates(schedule, 13, &losses).chunks(10).map(|epoch| epoch[0]).collect();
        let cuts = [0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 3, 3];
        assert_eq!(found, cuts.map(|cuts| cut(0.1, 0.5, cuts)));
        assert_eq!(plateaus(&history(&[f32::NAN; 4]), 2), 2, "what is not a number is not lower");
    }

    #[test]
    fn a_constant_rate_may_warm_up_for_longer_than_an_epoch() {
        let schedule = Schedule { warm_up: 1.2, floor: 0.05, ..Schedule::default() };
        let found = rates(schedule, 2, &[]);
        assert!((found[0] - 0.1 / 12.0).abs() < 1e-17 && found[11] == 0.1 && found[12..].iter().all(|r| *r == 0.1));
        assert!(found.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!(rates(Schedule::default(), 1, &[]), [0.1; 10]);
    }
}
