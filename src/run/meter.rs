//! How fast a training goes, how long it will take and what memory it uses.

use super::memory::{DeviceMemory, MemoryUse};
use super::observer::Status;
use super::pace::{Pace, Work};
use crate::train::{Progress, StepRecord};
use std::time::Instant;

/// Measures a running training.
pub(super) struct Meter {
    pace: Pace,
    /// What `pace` counts from.
    clock: Instant,
    epochs: u32,
    memory: DeviceMemory,
    /// Bytes of the plan's buffers, where nothing counts what is in use.
    planned: u64,
    newest: Option<Progress>,
    step: Option<StepRecord>,
    /// Optimizer steps of earlier processes.
    earlier: u32,
    /// The factor on the loss at the end of the newest epoch, in mixed precision.
    pub(super) loss_scale: Option<f32>,
}

impl Meter {
    /// Of a training that continues after `earlier` optimizer steps, in a plan of so many bytes.
    pub(super) fn new(work: Work, memory: DeviceMemory, planned: u64, earlier: u32) -> Self {
        let (pace, clock, epochs) = (Pace::new(work), Instant::now(), work.epochs);
        Self { pace, clock, epochs, memory, planned, newest: None, step: None, earlier, loss_scale: None }
    }

    pub(super) fn step(&mut self, step: &StepRecord) {
        self.step = Some(*step);
    }

    pub(super) fn progress(&mut self, progress: Progress) {
        self.pace.trained(self.now(), progress.epoch, progress.images);
        self.newest = Some(progress);
    }

    pub(super) fn validates(&mut self) {
        self.pace.validates(self.now());
    }

    pub(super) fn epoch(&mut self) {
        self.memory.epoch();
    }

    /// Training images a second.
    pub(super) fn rate(&self) -> Option<f64> {
        self.pace.rate()
    }

    /// Optimizer steps of the whole training.
    pub(super) fn steps(&self) -> u32 {
        self.step.map_or(self.earlier, |step| step.steps)
    }

    /// Step size of the newest step.
    pub(super) fn learning_rate(&self) -> Option<f32> {
        self.step.map(|step| step.learning_rate)
    }

    /// Device memory at the ends of epochs.
    pub(super) fn memory(&self) -> Option<MemoryUse> {
        self.memory.found()
    }

    /// Where the training is; `None` before its first step has ended.
    pub(super) fn status(&mut self, validated: Option<f64>) -> Option<Status> {
        Some(Status {
            progress: self.newest?,
            validated,
            epochs: self.epochs,
            done: self.pace.share(),
            steps: self.steps(),
            step: self.step,
            images_per_second: self.pace.rate(),
            seconds_left: self.pace.left(self.now()),
            device_memory: self.memory.in_use().or(Some(self.planned)),
        })
    }

    fn now(&self) -> f64 {
        self.clock.elapsed().as_secs_f64()
    }
}
