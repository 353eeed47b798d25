//! How fast a training learns in each step, and when it ends by itself: what follows from settings, standing and the time that has
//! passed. Knows no device.

use super::history::History;
use super::schedule::Moment;
use super::{Settings, Standing};
use crate::kernels::StepParams;
use std::time::{Duration, Instant};

/// Factor on the learning rate each time a training goes back; a power of two, so that rates stay as exact as they were given.
const RATE_CUT: f32 = 0.25;

/// What the roll-backs so far leave of a learning rate.
pub(super) fn cut(standing: &Standing) -> f32 {
    RATE_CUT.powi(standing.roll_backs as i32)
}

/// The learning rate of a step of the running epoch.
pub(super) fn rate(settings: &Settings, standing: &Standing, steps_per_epoch: u32, step: u32) -> f32 {
    let at = Moment { step, steps_per_epoch, epochs: settings.epochs, history: &standing.history };
    settings.schedule.rate(f64::from(settings.adam.learning_rate), &at) as f32 * cut(standing)
}

/// The optimizer's numbers for a step at its whole rate, on a batch.
pub(super) fn params(settings: &Settings, batch: &StepParams, step: u32) -> StepParams {
    let seed = (settings.seed ^ (settings.seed >> 32)) as u32;
    StepParams { first: batch.first, count: batch.count, slot: batch.slot, seed, ..settings.adam.params(step) }
}

/// Whether as many epochs as there is patience for have ended since the best, or since the start where none is.
pub fn is_out_of_patience(patience: Option<u32>, history: &History) -> bool {
    let waited = history.epochs.len().saturating_sub(history.best().map_or(0, |best| best.epoch as usize));
    patience.is_some_and(|patience| waited >= patience as usize)
}

/// How long a training has gone on in this process.
pub(super) struct Clock {
    begun: Instant,
    /// How long the last epoch that ended took, an earlier process's share included.
    epoch: Option<Duration>,
}

impl Clock {
    /// One that runs.
    pub fn start() -> Self {
        Self { begun: Instant::now(), epoch: None }
    }

    /// An epoch has ended, which took so many seconds.
    pub fn epoch(&mut self, seconds: f32) {
        self.epoch = Duration::try_from_secs_f32(seconds).ok();
    }

    /// Whether a budget is spent.
    pub fn is_over(&self, budget: Option<Duration>) -> bool {
        budget.is_some_and(|budget| self.begun.elapsed() >= budget)
    }

    /// Whether a budget would be spent before another epoch had ended. Where none has yet, one is tried.
    pub fn has_no_epoch_left(&self, budget: Option<Duration>) -> bool {
        self.epoch.zip(budget).is_some_and(|(epoch, budget)| self.begun.elapsed() + epoch > budget)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::history::EpochRecord;

    #[test]
    fn patience_counts_epochs_since_the_first_best() {
        let record = |(index, &val_accuracy): (usize, &f32)| EpochRecord {
            epoch: index as u32 + 1,
            loss: 1.0,
            accuracy: 0.5,
            val_loss: 1.0,
            val_accuracy,
            seconds: 1.0,
        };
        let history = |values: &[f32]| History { epochs: values.iter().enumerate().map(record).collect() };
        let ends = |patience, values: &[f32]| is_out_of_patience(patience, &history(values));
        assert!(!ends(None, &[0.9, 0.1, 0.1, 0.1, 0.1]));
        assert!(!ends(Some(2), &[]) && !ends(Some(2), &[0.5, 0.4]) && ends(Some(2), &[0.5, 0.4, 0.5]));
        assert!(!ends(Some(2), &[0.5, 0.4, 0.6]) && ends(Some(1), &[0.5, 0.5]));
        assert!(!ends(Some(2), &[f32::NAN]) && ends(Some(2), &[f32::NAN, f32::NAN]), "nothing that is best");
    }

    #[test]
    fn no_epoch_begins_that_would_not_end_in_time() {
        let mut clock = Clock::start();
        let hour = Some(Duration::from_secs(3600));
        assert!(!clock.is_over(hour) && !clock.is_over(None) && clock.is_over(Some(Duration::ZERO)));
        assert!(!clock.has_no_epoch_left(Some(Duration::ZERO)), "the first is tried");
        clock.epoch(60.0);
        assert!(!clock.has_no_epoch_left(hour) && !clock.has_no_epoch_left(None));
        clock.epoch(3600.0);
        assert!(clock.has_no_epoch_left(hour));
    }
}
