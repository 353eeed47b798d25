//! When a training writes checkpoints.

use crate::train::Moment;
use std::time::Instant;

/// When checkpoints are due, by steps or by minutes or at the ends of epochs.
pub(super) struct Rhythm {
    pub(super) every: Option<u32>,
    pub(super) minutes: Option<f64>,
    /// Steps and time of the newest one.
    pub(super) newest: (u32, Instant),
    /// One that had to wait for the one before it.
    pub(super) owed: bool,
}

impl Rhythm {
    /// Whether one is due at this moment, after so many steps.
    pub(super) fn due(&mut self, moment: Moment, steps: u32, busy: bool) -> bool {
        let (step, time) = self.newest;
        let counted = self.every.is_some_and(|every| steps - step >= every);
        let timed = self.minutes.is_some_and(|minutes| time.elapsed().as_secs_f64() >= minutes * 60.0);
        let ended = moment == Moment::Epoch && self.every.is_none() && self.minutes.is_none();
        self.owed |= counted || timed || ended;
        // A disk that is slower than the training makes checkpoints fewer, not the training slower.
        let now = moment == Moment::End || (self.owed && !busy);
        if now {
            (self.newest, self.owed) = ((steps, Instant::now()), false);
        }
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_beyond_all_time_never_come() {
        let mut rhythm = Rhythm { every: None, minutes: Some(1e300), newest: (0, Instant::now()), owed: false };
        assert!(!rhythm.due(Moment::Epoch, 5, false) && rhythm.due(Moment::End, 5, false));
        rhythm.minutes = Some(0.0);
        assert!(rhythm.due(Moment::Step, 6, false));
    }
}
