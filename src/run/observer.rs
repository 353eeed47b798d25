//! Who watches a training: what is told of it, and when.

use super::memory::MemoryUse;
use super::{Recipe, SplitSizes};
use crate::data::{Dataset, Split};
use crate::model::Network;
use crate::train::history::EpochRecord;
use crate::train::{Assessment, Identity, Outcome, Progress, Standing, StepRecord, Weights};
use std::path::{Path, PathBuf};

/// Watches a training: shows it, writes it down, stops it. `()` watches nothing.
pub trait Observer {
    /// Something that should be known.
    fn note(&mut self, _text: String) {}

    /// A seed of a series is next, its number counted from 1.
    fn seed(&mut self, _seed: u64, _number: usize, _of: usize) {}

    /// Everything is ready, and the first step is about to run.
    fn begin(&mut self, _run: &Begun) {}

    /// A step has ended; told of each, in order.
    fn step(&mut self, _step: &StepRecord, _images_per_second: Option<f64>) {}

    /// Some steps have ended, or a part of a validation.
    fn progress(&mut self, _status: &Status) {}

    /// An epoch has ended and is written down.
    fn epoch(&mut self, _epoch: &EndedEpoch) {}

    /// Training went back to where so many epochs had ended.
    fn undo(&mut self, _epochs: u32) {}

    /// A checkpoint of so many epochs and steps is safe on the disk.
    fn checkpoint(&mut self, _epochs: u32, _steps: u32) {}

    /// It is over, and everything is written.
    fn end(&mut self, _run: &Finished) {}

    /// Whether to end after the running steps.
    fn stop(&self) -> bool {
        false
    }
}

impl Observer for () {}

/// What is about to be trained.
pub struct Begun<'a> {
    /// The run's folder.
    pub folder: &'a Path,
    /// What the run is.
    pub identity: &'a Identity,
    /// Its settings, as they are followed: nothing of it is `auto` any more.
    pub recipe: &'a Recipe,
    /// The data set.
    pub dataset: &'a Dataset,
    /// Its split.
    pub split: &'a Split,
    /// The network.
    pub network: &'a Network,
    /// The device, in words.
    pub device: String,
    /// Why it was taken, where nobody named it and there was no GPU.
    pub why_device: Option<&'static str>,
    /// Bytes of all buffers, and of those that hold images.
    pub bytes: (u64, u64),
    /// Whether images are streamed.
    pub streamed: bool,
    /// Optimizer steps of an epoch.
    pub steps_per_epoch: u32,
    /// Where a resumed run stands.
    pub standing: Option<&'a Standing>,
}

/// Where a training is.
#[derive(Clone, Copy, Debug)]
pub struct Status {
    /// The running epoch.
    pub progress: Progress,
    /// The fraction of the validation that is done, while the epoch is validated.
    pub validated: Option<f64>,
    /// Epochs of the whole training.
    pub epochs: u32,
    /// Fraction of the whole training that is done.
    pub done: f64,
    /// Optimizer steps of the whole training.
    pub steps: u32,
    /// The newest step of this process.
    pub step: Option<StepRecord>,
    /// Training images a second, of the last seconds.
    pub images_per_second: Option<f64>,
    /// Seconds until the end.
    pub seconds_left: Option<f64>,
    /// Bytes of device memory in use; those of the plan where the device does not say.
    pub device_memory: Option<u64>,
}

/// An epoch that has ended.
pub struct EndedEpoch<'a> {
    /// What it measured.
    pub record: &'a EpochRecord,
    /// Optimizer steps of the whole training.
    pub steps: u32,
    /// Step size of its last step.
    pub learning_rate: Option<f32>,
    /// The factor on the loss in mixed precision.
    pub loss_scale: Option<f32>,
    /// Training images a second.
    pub images_per_second: Option<f64>,
    /// Whether it is the best so far.
    pub best: bool,
}

/// A training that is over.
pub struct Finished {
    /// The run's folder.
    pub folder: PathBuf,
    /// Its settings, as they were followed.
    pub recipe: Recipe,
    /// How it ended. The parameters are in `weights`.
    pub outcome: Outcome,
    /// The last weights.
    pub weights: Weights,
    /// The split.
    pub split: SplitSizes,
    /// What the best weights measured on the test set, unless the training was stopped or failed.
    pub measured: Option<Assessment>,
    /// Whether there is a report.
    pub report: bool,
    /// Device memory at the ends of epochs.
    pub memory: Option<MemoryUse>,
}

impl Finished {
    /// The command that continues it.
    pub fn resume_command(&self) -> String {
        super::resume_command(&self.folder, self.recipe.shaders.as_deref())
    }
}
