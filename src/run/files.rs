//! The files of a run while it is trained: weights, history, and checkpoints when they are due.

use super::rhythm::Rhythm;
use super::{Note, Recipe};
use crate::error::Result;
use crate::train::checkpoint::Keeper;
use crate::train::history::{EpochRecord, History};
use crate::train::{Card, Checkpoint, Identity, Moment, Outcome, RunFolder, Standing, State, Weights};
use std::sync::Arc;
use std::time::Instant;

/// Writes the files of a run.
pub(super) struct RunFiles {
    pub(super) folder: RunFolder,
    pub(super) identity: Identity,
    /// Of the newest weights.
    card: Card,
    checkpoints: Keeper,
    rhythm: Rhythm,
    /// Epochs and steps of the checkpoint that is being written.
    writing: Option<(u32, u32)>,
    steps_per_epoch: u32,
}

impl RunFiles {
    /// Of a run in this folder, from the start or from where a resumed run stands.
    pub(super) fn new(
        folder: RunFolder,
        identity: Identity,
        recipe: &Recipe,
        standing: Option<&Standing>,
        steps_per_epoch: u32,
    ) -> Self {
        let steps = standing.map_or(0, |standing| standing.steps);
        let card = match standing {
            Some(standing) => card_after(&identity.card, standing.history.epochs.last(), steps_per_epoch),
            None => identity.card.clone(),
        };
        let (every, minutes) = (recipe.checkpoint_every, recipe.checkpoint_minutes);
        Self {
            checkpoints: Keeper::new(folder.path()),
            rhythm: Rhythm { every, minutes, newest: (steps, Instant::now()), owed: false },
            writing: None,
            folder,
            identity,
            card,
            steps_per_epoch,
        }
    }

    /// An epoch has ended with these parameters.
    ///
    /// # Errors
    /// The first file that could not be written; it is tried again with the next epoch.
    pub(super) fn epoch(&mut self, record: &EpochRecord, parameters: Vec<Vec<f32>>) -> Result<()> {
        self.card = card_after(&self.card, Some(record), self.steps_per_epoch);
        self.folder.epoch(record, &Weights { card: self.card.clone(), tensors: parameters })
    }

    /// Training went back to where only these epochs had ended.
    pub(super) fn undo(&mut self, history: &History) {
        self.folder.undo(history);
        self.card = card_after(&self.card, history.epochs.last(), self.steps_per_epoch);
    }

    /// Whether a checkpoint is due.
    pub(super) fn due(&mut self, moment: Moment, steps: u32) -> bool {
        self.rhythm.due(moment, steps, self.checkpoints.is_busy())
    }

    /// Begins to write a checkpoint; the one before it is to be [settled](Self::settle).
    pub(super) fn keep(&mut self, state: Arc<State>) {
        self.writing = Some((state.standing.history.epochs.len() as u32, state.standing.steps));
        let checkpoint = Checkpoint { identity: self.identity.clone(), state };
        // how the one before it went was asked when it was settled
        let _ = self.checkpoints.keep(checkpoint);
    }

    /// Whether a checkpoint is being written.
    pub(super) fn is_busy(&self) -> bool {
        self.checkpoints.is_busy()
    }

    /// Waits for the checkpoint that is being written; the epochs and steps of one that is safe.
    pub(super) fn settle(&mut self, note: Note) -> Option<(u32, u32)> {
        let writing = self.writing.take();
        match self.checkpoints.finish() {
            Ok(()) => writing,
            Err(error) => {
                note(format!("no checkpoint was written, the one before it stays: {error}"));
                None
            }
        }
    }

    /// Writes the last weights, and returns them. Those of a training that was stopped are not those that its last epoch measured, unless
    /// no step was made since.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub(super) fn finish(&mut self, outcome: &mut Outcome) -> Result<Weights> {
        let card = match outcome.steps == self.card.step {
            true => self.card.clone(),
            false => self.card.after(outcome.steps / self.steps_per_epoch.max(1), outcome.steps, None),
        };
        let weights = Weights { card, tensors: std::mem::take(&mut outcome.parameters) };
        self.folder.finish(&weights)?;
        Ok(weights)
    }
}

/// The card of the weights at the end of an epoch, or of those before the first.
fn card_after(card: &Card, epoch: Option<&EpochRecord>, steps_per_epoch: u32) -> Card {
    match epoch {
        Some(last) => card.after(last.epoch, last.epoch * steps_per_epoch, Some(last.val_accuracy)),
        None => card.after(0, 0, None),
    }
}
