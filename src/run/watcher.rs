//! Between the training loop and those who want to know of it: the run's files, the meter and the observers.

use super::files::RunFiles;
use super::meter::Meter;
use super::observer::{EndedEpoch, Observer};
use super::tensorboard::Board;
use crate::error::Result;
use crate::kernels::Precision;
use crate::train::history::{EpochRecord, History};
use crate::train::{Moment, Progress, State, StepRecord, Watch};
use std::sync::Arc;

/// Watches a training for a run.
pub(super) struct Watcher<'o> {
    pub(super) files: RunFiles,
    pub(super) meter: Meter,
    pub(super) board: Option<Board>,
    pub(super) observer: &'o mut dyn Observer,
}

impl Watcher<'_> {
    /// Tells all observers.
    pub(super) fn tell(&mut self, say: impl Fn(&mut dyn Observer)) {
        if let Some(board) = &mut self.board {
            say(board);
            board.notes.drain(..).for_each(|text| self.observer.note(text));
        }
        say(self.observer);
    }

    /// Waits for the checkpoint that is being written, and tells of it.
    pub(super) fn settle(&mut self) {
        if let Some((epochs, steps)) = self.files.settle(&mut |text| self.observer.note(text)) {
            self.tell(|observer| observer.checkpoint(epochs, steps));
        }
    }

    fn tell_status(&mut self, validated: Option<f64>) {
        if let Some(status) = self.meter.status(validated) {
            self.tell(|observer| observer.progress(&status));
        }
    }
}

impl Watch for Watcher<'_> {
    fn step(&mut self, step: &StepRecord) {
        self.meter.step(step);
        let rate = self.meter.rate();
        self.tell(|observer| observer.step(step, rate));
    }

    fn progress(&mut self, progress: Progress) {
        if !self.files.is_busy() {
            self.settle();
        }
        self.meter.progress(progress);
        self.tell_status(None);
    }

    fn validation(&mut self, images: usize, of: usize) {
        self.meter.validates();
        self.tell_status(Some(images as f64 / of.max(1) as f64));
    }

    fn rest(&mut self, state: &State) {
        if self.files.identity.card.precision == Precision::Mixed {
            self.meter.loss_scale = state.loss_scale();
        }
    }

    fn epoch(&mut self, record: &EpochRecord, parameters: Vec<Vec<f32>>) -> Result<()> {
        if let Err(error) = self.files.epoch(record, parameters) {
            self.observer.note(format!("{error}; training continues, and it is tried again"));
        }
        self.meter.epoch();
        let epoch = EndedEpoch {
            record,
            steps: self.meter.steps(),
            learning_rate: self.meter.learning_rate(),
            loss_scale: self.meter.loss_scale,
            images_per_second: self.meter.rate(),
            best: self.files.folder.is_best(record),
        };
        self.tell(|observer| observer.epoch(&epoch));
        Ok(())
    }

    fn undo(&mut self, history: &History) {
        self.files.undo(history);
        let epochs = history.epochs.len() as u32;
        self.tell(|observer| observer.undo(epochs));
    }

    fn note(&mut self, text: String) {
        self.observer.note(text);
    }

    fn due(&mut self, moment: Moment, steps: u32) -> bool {
        self.files.due(moment, steps)
    }

    fn keep(&mut self, state: Arc<State>) {
        self.settle();
        self.files.keep(state);
    }

    fn stop(&self) -> bool {
        self.observer.stop()
    }
}
