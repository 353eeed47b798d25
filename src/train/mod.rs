//! Training: the loop over epochs and steps, and what a run measures and writes down.
//!
//! This room drives an engine over a data set. It knows nothing of argument parsing or the terminal: progress leaves it
//! as plain numbers, and pictures are made of those numbers in `report`.

pub mod bench;
pub mod history;
pub mod metrics;
mod optimizer;
mod run_folder;
mod session;
mod stream;
mod weights;

pub use optimizer::Adam;
pub use run_folder::{RunFolder, find_weights};
pub use session::{Session, Setup, Totals, plan_for};
pub use weights::{Card, PREPROCESSING, Weights};

use crate::data::{Split, epoch_order};
use crate::engine::Metrics;
use crate::error::Result;
use crate::kernels::StepParams;
use crate::model::{Network, initialise};
use crate::plan::Program;
use history::{EpochRecord, History};
use std::time::Instant;

/// What to train, beside the session's own setup.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Epochs.
    pub epochs: u32,
    /// Seed of weights, order, dropout and augmentation.
    pub seed: u64,
    /// The optimizer.
    pub adam: Adam,
    /// Steps handed to the device at once; changes no result.
    pub per_submit: usize,
}

/// Steps handed at once to a device of this kind. A software adapter's steps are long, so that each is its own submission
/// and Ctrl-C acts at once.
pub fn default_per_submit(kind: &str) -> usize {
    if kind == "software" || kind == "cpu" { 1 } else { 8 }
}

/// Where a running epoch stands.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Number of the epoch, from 1.
    pub epoch: u32,
    /// Images of the epoch whose metrics have arrived.
    pub images: usize,
    /// Images of a whole epoch.
    pub of: usize,
    /// Mean loss so far.
    pub loss: f32,
    /// Accuracy so far.
    pub accuracy: f32,
}

/// Watches a training: shows it, writes it down, stops it.
pub trait Watch {
    /// Some steps have ended.
    fn progress(&mut self, progress: Progress);

    /// An epoch has ended; `weights` reads the parameters of this moment.
    ///
    /// # Errors
    /// Whatever keeps the watcher from writing down what must not be lost.
    fn epoch(&mut self, record: &EpochRecord, weights: &mut dyn FnMut() -> Result<Vec<Vec<f32>>>) -> Result<()>;

    /// Whether to end after the running steps; asked before each submission, of training and of validation.
    fn stop(&self) -> bool;
}

/// How a training ended.
pub struct Outcome {
    /// Whole epochs.
    pub history: History,
    /// Parameters at the end.
    pub parameters: Vec<Vec<f32>>,
    /// Optimizer steps behind these parameters, refused ones included.
    pub steps: u32,
    /// Steps that changed nothing, as their loss or gradient was not finite.
    pub refused: u32,
    /// Whether the watcher stopped it.
    pub stopped: bool,
}

/// Optimizer steps so far.
#[derive(Clone, Copy, Default)]
struct Steps {
    queued: u32,
    refused: u32,
}

impl Steps {
    /// Counts the refused ones among steps that have ended, by the rule of `reduce.gradient`.
    fn ended<'a>(&mut self, metrics: &'a [Metrics]) -> &'a [Metrics] {
        let refused = |step: &&Metrics| !(step.loss.is_finite() && step.gradient_squares.is_finite());
        self.refused += metrics.iter().filter(refused).count() as u32;
        metrics
    }
}

/// Trains from seeded weights over the training side of a split, and measures the test side after each epoch. Where the
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
    let mut history = History::default();
    let mut steps = Steps::default();
    let mut stopped = false;
    for epoch in 1..=settings.epochs {
        let clock = Instant::now();
        let order = [epoch_order(&split.train, settings.seed, epoch), split.test.clone()].concat();
        session.set_order(&order)?;
        let [training, test] = [(0, split.train.len()), (split.train.len(), split.test.len())]
            .map(|(first, count)| session.submissions(first, count, settings.per_submit));
        let Some(totals) = train_epoch(session, &training, (epoch, &mut steps), settings, watch)? else {
            stopped = true;
            break;
        };
        let Some(test) = validate(session, &test, watch)? else {
            stopped = true;
            break;
        };
        let record = EpochRecord {
            epoch,
            loss: totals.loss(),
            accuracy: totals.accuracy(),
            val_loss: test.loss(),
            val_accuracy: test.accuracy(),
            seconds: clock.elapsed().as_secs_f32(),
        };
        history.epochs.push(record.clone());
        watch.epoch(&record, &mut || session.parameters())?;
    }
    let Steps { queued: steps, refused } = steps;
    Ok(Outcome { history, parameters: session.parameters()?, steps, refused, stopped })
}

/// One pass over the training images; `None` where the watcher stopped it.
fn train_epoch(
    session: &mut Session,
    submissions: &[Vec<StepParams>],
    (epoch, steps): (u32, &mut Steps),
    settings: &Settings,
    watch: &mut dyn Watch,
) -> Result<Option<Totals>> {
    let images = submissions.iter().flatten().map(|batch| batch.count as usize).sum();
    let mut totals = Totals::default();
    for batches in submissions {
        if watch.stop() {
            steps.ended(&session.wait()?);
            return Ok(None);
        }
        let queue: Vec<StepParams> =
            batches.iter().zip(steps.queued..).map(|(batch, step)| params(settings, batch, step)).collect();
        steps.queued += queue.len() as u32;
        totals.add(steps.ended(&session.run(Program::Train, &queue)?));
        watch.progress(progress(epoch, images, &totals));
    }
    totals.add(steps.ended(&session.wait()?));
    watch.progress(progress(epoch, images, &totals));
    Ok(Some(totals))
}

/// Measures the test images, which stand behind the training images; `None` where the watcher stopped it.
fn validate(session: &mut Session, submissions: &[Vec<StepParams>], watch: &mut dyn Watch) -> Result<Option<Totals>> {
    let mut totals = Totals::default();
    for queue in submissions {
        if watch.stop() {
            session.wait()?;
            return Ok(None);
        }
        totals.add(&session.run(Program::Infer, queue)?);
    }
    totals.add(&session.wait()?);
    Ok(Some(totals))
}

/// The optimizer's numbers for a step, on a batch.
fn params(settings: &Settings, batch: &StepParams, step: u32) -> StepParams {
    let seed = (settings.seed ^ (settings.seed >> 32)) as u32;
    StepParams { first: batch.first, count: batch.count, slot: batch.slot, seed, ..settings.adam.params(step) }
}

fn progress(epoch: u32, of: usize, totals: &Totals) -> Progress {
    Progress { epoch, images: totals.count(), of, loss: totals.loss(), accuracy: totals.accuracy() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::simulate;
    use crate::engine::{CpuEngine, Engine};
    use crate::model::Model;
    use crate::plan::{Plan, Profile};
    use std::cell::Cell;

    /// Stops after it was asked some times.
    struct Stopper {
        asked: Cell<u32>,
        after: u32,
        records: u32,
    }

    impl Watch for Stopper {
        fn progress(&mut self, _: Progress) {}

        fn epoch(&mut self, _: &EpochRecord, _: &mut dyn FnMut() -> Result<Vec<Vec<f32>>>) -> Result<()> {
            self.records += 1;
            Ok(())
        }

        fn stop(&self) -> bool {
            self.asked.set(self.asked.get() + 1);
            self.asked.get() > self.after
        }
    }

    /// Two epochs of 4 steps and 2 validation batches, stopped after `after` submissions.
    fn stopped(after: u32, learning_rate: f32) -> (Outcome, u32) {
        let dataset = simulate::simulate(&simulate::Settings { images: 20, size: 16, seed: 1 }).unwrap();
        let everything: Vec<u32> = (0..20).collect();
        let (train_side, test) = (everything[..12].to_vec(), everything[12..18].to_vec());
        let split = Split { train: train_side, test, hash: String::new(), moved: 0, source: String::new() };
        let network = Model::preset("conv3").unwrap().build(16, 16, 10).unwrap();
        let make_engine = |plan: Plan| Ok(Box::new(CpuEngine::<f32>::new(plan)) as Box<dyn Engine>);
        let setup = Setup { training: true, ..Setup::inference(3) };
        let mut session = Session::new(&network, &dataset, &setup, &Profile::cpu(), make_engine).unwrap();
        let adam = Adam { learning_rate, ..Adam::default() };
        let settings = Settings { epochs: 2, seed: 1, adam, per_submit: 1 };
        let mut watch = Stopper { asked: Cell::new(0), after, records: 0 };
        let outcome = train(&mut session, &network, &split, &settings, &mut watch).unwrap();
        (outcome, watch.records)
    }

    #[test]
    fn a_stop_acts_between_submissions_of_training_and_of_validation() {
        // Four steps, then two batches of validation, twice.
        for (after, steps, epochs) in [(0, 0, 0), (3, 3, 0), (4, 4, 0), (5, 4, 0), (6, 4, 1), (9, 7, 1), (11, 8, 1)] {
            let (outcome, records) = stopped(after, 1e-3);
            let found = (outcome.steps, outcome.history.epochs.len(), records);
            assert_eq!(found, (steps, epochs, epochs as u32), "stopped after {after} submissions");
            assert!(outcome.stopped && outcome.refused == 0);
        }
        let (outcome, records) = stopped(12, 1e-3);
        assert_eq!((outcome.steps, records, outcome.stopped), (8, 2, false));
    }

    #[test]
    fn refused_steps_are_counted() {
        // The first step makes all parameters enormous; no later one has finite gradients.
        let (outcome, _) = stopped(100, 1e30);
        assert_eq!((outcome.steps, outcome.refused), (8, 7));
    }
}
