//! Training: the loop over epochs and steps, and what a run measures and writes down.
//!
//! This room drives an engine over a data set. It knows nothing of argument parsing or the terminal: progress leaves it
//! as plain numbers, and pictures are made of those numbers in `report`.

pub mod history;
pub mod metrics;
mod optimizer;
mod run_folder;
mod session;
mod weights;

pub use optimizer::Adam;
pub use run_folder::{RunFolder, find_weights};
pub use session::{Session, Setup, Totals, plan_for};
pub use weights::{Card, PREPROCESSING, Weights};

use crate::data::{Split, epoch_order};
use crate::error::Result;
use crate::graph::METRICS_SLOTS;
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

    /// Whether to end after the running step.
    fn stop(&self) -> bool;
}

/// How a training ended.
pub struct Outcome {
    /// Whole epochs.
    pub history: History,
    /// Parameters at the end.
    pub parameters: Vec<Vec<f32>>,
    /// Whether the watcher stopped it.
    pub stopped: bool,
}

/// Trains from seeded weights over the training side of a split, and measures the test side after each epoch.
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
    let mut step = 0;
    let mut stopped = false;
    for epoch in 1..=settings.epochs {
        let clock = Instant::now();
        let order = [epoch_order(&split.train, settings.seed, epoch), split.test.clone()].concat();
        session.set_order(&order)?;
        let Some(totals) = train_epoch(session, split.train.len(), (epoch, &mut step), settings, watch)? else {
            stopped = true;
            break;
        };
        let test = session.infer(split.train.len(), split.test.len(), settings.per_submit)?;
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
    Ok(Outcome { history, parameters: session.parameters()?, stopped })
}

/// One pass over the training images; `None` where the watcher stopped it.
fn train_epoch(
    session: &mut Session,
    images: usize,
    (epoch, step): (u32, &mut u32),
    settings: &Settings,
    watch: &mut dyn Watch,
) -> Result<Option<Totals>> {
    let mut totals = Totals::default();
    for batches in session.batches(0, images).chunks(settings.per_submit.clamp(1, METRICS_SLOTS)) {
        if watch.stop() {
            session.wait()?;
            return Ok(None);
        }
        let steps: Vec<StepParams> =
            batches.iter().zip(*step..).map(|(batch, step)| params(settings, batch, step)).collect();
        *step += steps.len() as u32;
        totals.add(&session.run(Program::Train, &steps)?);
        watch.progress(progress(epoch, images, &totals));
    }
    totals.add(&session.wait()?);
    watch.progress(progress(epoch, images, &totals));
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
