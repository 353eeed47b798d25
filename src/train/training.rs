//! The loop over epochs and steps, from the start or from where an earlier process left off.

use super::history::EpochRecord;
use super::session::{Session, Totals};
use super::state::{Standing, State};
use super::{Moment, Outcome, Progress, Settings, Watch};
use crate::data::{Split, epoch_order};
use crate::engine::Metrics;
use crate::error::Result;
use crate::kernels::StepParams;
use crate::model::{Network, initialise};
use crate::plan::Program;
use std::time::Instant;

/// Trains from seeded weights over the training side of a split, and measures the side that chooses the best epoch
/// ([`Split::choosing`]) after each. Where the
/// watcher stops it, the epoch it is in has no record, but its steps count and its parameters are those of that moment.
///
/// # Errors
/// A lost device, or what the watcher could not write down.
pub fn train(
    session: &mut Session,
    network: &Network,
    split: &Split,
    settings: &Settings,
    watch: &mut dyn Watch,
) -> Result<Outcome> {
    let start: Vec<Vec<f32>> = network.parameters().enumerate().map(|(i, p)| initialise(p, i, settings.seed)).collect();
    session.set_parameters(&start)?;
    Training { session, split, settings, watch, standing: Standing::default(), clock: Instant::now() }.run()
}

/// Goes on from a state. With the session, split and settings of the training it was taken from, the end is that of a
/// training that was never stopped, to the bit; `settings.epochs` and `settings.per_submit` may differ, and whether
/// images are streamed.
///
/// # Errors
/// As [`train`]; a state of another network or precision.
pub fn resume(
    session: &mut Session,
    split: &Split,
    settings: &Settings,
    state: &State,
    watch: &mut dyn Watch,
) -> Result<Outcome> {
    session.set_device_state(&state.tensors)?;
    let standing = state.standing.clone();
    Training { session, split, settings, watch, standing, clock: Instant::now() }.run()
}

struct Training<'t, 's> {
    session: &'t mut Session<'s>,
    split: &'t Split,
    settings: &'t Settings,
    watch: &'t mut dyn Watch,
    standing: Standing,
    /// When the running epoch began, or went on.
    clock: Instant,
}

impl Training<'_, '_> {
    fn run(mut self) -> Result<Outcome> {
        let mut stopped = false;
        while self.epoch_number() <= self.settings.epochs {
            if !self.epoch()? {
                stopped = true;
                break;
            }
            if self.epoch_number() <= self.settings.epochs {
                self.keep(Moment::Epoch)?;
            }
        }
        self.keep(Moment::End)?;
        let parameters = self.session.parameters()?;
        let Standing { history, steps, refused, .. } = self.standing;
        Ok(Outcome { history, parameters, steps, refused, stopped })
    }

    /// Number of the running epoch, from 1.
    fn epoch_number(&self) -> u32 {
        self.standing.history.epochs.len() as u32 + 1
    }

    /// The rest of an epoch; false where the watcher stopped it.
    fn epoch(&mut self) -> Result<bool> {
        self.clock = Instant::now();
        let (train, test) = (&self.split.train, self.split.choosing());
        let epoch = self.epoch_number();
        self.session.set_order(&[&epoch_order(train, self.settings.seed, epoch)[..], test].concat())?;
        let done = self.standing.position.min(train.len());
        let [training, test] = [(done, train.len() - done), (train.len(), test.len())]
            .map(|(first, count)| self.session.submissions(first, count, self.settings.per_submit));
        if !self.train(&training)? {
            return Ok(false);
        }
        let Some(test) = self.validate(&test)? else { return Ok(false) };
        let Standing { totals, seconds, .. } = self.standing;
        let record = EpochRecord {
            epoch,
            loss: totals.loss(),
            accuracy: totals.accuracy(),
            val_loss: test.loss(),
            val_accuracy: test.accuracy(),
            seconds: (seconds + self.clock.elapsed().as_secs_f64()) as f32,
        };
        let Standing { history, steps, refused, .. } = std::mem::take(&mut self.standing);
        self.standing = Standing { history, steps, refused, ..Standing::default() };
        self.standing.history.epochs.push(record.clone());
        self.clock = Instant::now();
        self.watch.epoch(&record, &mut || self.session.parameters())?;
        Ok(true)
    }

    /// The rest of a pass over the training images; false where the watcher stopped it.
    fn train(&mut self, submissions: &[Vec<StepParams>]) -> Result<bool> {
        for batches in submissions {
            if self.watch.stop() {
                self.settle()?;
                return Ok(false);
            }
            self.keep(Moment::Step)?;
            let first = self.standing.steps;
            let queue: Vec<StepParams> =
                batches.iter().zip(first..).map(|(batch, step)| params(self.settings, batch, step)).collect();
            let arrived = self.session.run(Program::Train, &queue)?;
            self.standing.steps += queue.len() as u32;
            self.standing.position += queue.iter().map(|step| step.count as usize).sum::<usize>();
            self.count(&arrived);
            self.watch.progress(self.progress());
        }
        self.settle()?;
        self.watch.progress(self.progress());
        Ok(true)
    }

    /// Measures the images that choose the best epoch, which stand behind the training images; `None` where the watcher stopped it.
    fn validate(&mut self, submissions: &[Vec<StepParams>]) -> Result<Option<Totals>> {
        let mut totals = Totals::default();
        for queue in submissions {
            if self.watch.stop() {
                self.session.wait()?;
                return Ok(None);
            }
            totals.add(&self.session.run(Program::Infer, queue)?);
        }
        totals.add(&self.session.wait()?);
        Ok(Some(totals))
    }

    /// Waits for the steps in flight, so that the standing is that of the device.
    fn settle(&mut self) -> Result<()> {
        let arrived = self.session.wait()?;
        self.count(&arrived);
        Ok(())
    }

    /// Adds up steps that have ended; the refused ones by the rule of `reduce.gradient`.
    fn count(&mut self, metrics: &[Metrics]) {
        let refused = |step: &&Metrics| !(step.loss.is_finite() && step.gradient_squares.is_finite());
        self.standing.refused += metrics.iter().filter(refused).count() as u32;
        self.standing.totals.add(metrics);
    }

    /// Hands the state of this moment to the watcher if it wants it: the steps in flight end, and the device waits no longer
    /// than the copies take.
    fn keep(&mut self, moment: Moment) -> Result<()> {
        if !self.watch.due(moment, self.standing.steps) {
            return Ok(());
        }
        self.settle()?;
        let mut standing = self.standing.clone();
        standing.seconds += self.clock.elapsed().as_secs_f64();
        let tensors = self.session.device_state()?;
        self.watch.keep(State { standing, tensors });
        Ok(())
    }

    fn progress(&self) -> Progress {
        let totals = &self.standing.totals;
        let (epoch, of) = (self.epoch_number(), self.split.train.len());
        Progress { epoch, images: totals.count(), of, loss: totals.loss(), accuracy: totals.accuracy() }
    }
}

/// The optimizer's numbers for a step, on a batch.
pub(super) fn params(settings: &Settings, batch: &StepParams, step: u32) -> StepParams {
    let seed = (settings.seed ^ (settings.seed >> 32)) as u32;
    StepParams { first: batch.first, count: batch.count, slot: batch.slot, seed, ..settings.adam.params(step) }
}
