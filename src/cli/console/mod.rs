//! A training as its user sees it: a bar and lines on the terminal, and the files of the run folder.

mod board;
mod display;
mod events;
mod interrupt;
mod rhythm;

use super::assessment;
use super::memory::{DeviceMemory, Found};
use super::progress::Work;
use super::run_report::{self, Finished};
use super::train::{Args, Json};
use super::{print_json, print_note};
use crate::data::{ChosenBy, Dataset, Split};
use crate::error::{Error, Result};
use crate::kernels::Precision;
use crate::model::Network;
use crate::report;
use crate::train::checkpoint::Keeper;
use crate::train::history::{EpochRecord, History};
use crate::train::{
    Assessment, Card, Checkpoint, Early, Identity, Measured, Moment, Outcome, Progress, RunFolder, Session, Settings,
    State, StepRecord, Watch, Weights, assess_each, find_weights, resume, train,
};
use board::{Board, Subject};
use display::{Audience, Display};
use events::Event;
pub(super) use interrupt::{INTERRUPTED, listen_for_interrupts};
use rhythm::Rhythm;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Shows the training on the terminal and writes it to the run folder.
pub struct Console {
    folder: RunFolder,
    card: Card,
    identity: Identity,
    keeper: Keeper,
    rhythm: Rhythm,
    /// Epochs and steps of the checkpoint that is being written.
    keeping: Option<(u32, u32)>,
    display: Display,
    steps_per_epoch: u32,
    /// Whether to leave a report.
    report: bool,
    /// Images of the running epoch that earlier processes have done.
    position: usize,
    interrupted: Arc<AtomicBool>,
}

/// Tells a program how a series of trainings has gone.
///
/// # Errors
/// Standard output cannot be written.
pub(super) fn end_series(json: Json, end: &serde_json::Value) -> anyhow::Result<()> {
    match json {
        Json::Object => print_json(end),
        Json::Events => Ok(events::print(&Event::Series(end))?),
    }
}

impl Console {
    /// For a run in this folder on this split, from the start or from a state.
    ///
    /// # Errors
    /// Ctrl-C cannot be listened for.
    pub fn new(
        args: &Args,
        folder: RunFolder,
        identity: Identity,
        state: Option<&Arc<State>>,
        memory: DeviceMemory,
        split: &Split,
    ) -> anyhow::Result<Self> {
        if !folder.is_locked() {
            print_note("this file system has no locks: see to it that no other process trains into the same folder");
        }
        let work = Work { epochs: args.epochs, images: split.train.len(), validation: split.choosing().len() };
        let steps_per_epoch = work.images.div_ceil(args.batch) as u32;
        let mut card = identity.card.clone();
        let (mut steps, mut position) = (0, 0);
        if let Some(standing) = state.map(|state| &state.standing) {
            (steps, position) = (standing.steps, standing.position);
            card = card_after(&card, standing.history.epochs.last(), steps_per_epoch);
        }
        let audience = match args.json {
            None => Audience::People,
            // the series prints one object for all
            Some(Json::Object) if args.part.is_some() => Audience::Nobody,
            Some(Json::Object) => Audience::Object,
            Some(Json::Events) => Audience::Events,
        };
        let (every, minutes) = (args.checkpoint_every, args.checkpoint_minutes);
        Ok(Self {
            keeper: Keeper::new(folder.path()),
            rhythm: Rhythm { every, minutes, newest: (steps, Instant::now()), owed: false },
            keeping: None,
            display: Display::new(audience, work, args.batch, memory),
            interrupted: listen_for_interrupts(INTERRUPTED)?,
            folder,
            card,
            identity,
            steps_per_epoch,
            report: !args.no_report,
            position,
        })
    }

    /// Says something to people.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn tell(&self, text: String) -> anyhow::Result<()> {
        self.display.tell(text)
    }

    /// Tells programs what is about to be trained.
    pub fn start(&mut self, args: &Args, session: &Session, dataset: &Dataset, network: &Network, split: &Split) {
        let (bytes, image_bytes) = session.engine().plan().bytes();
        self.display.start(events::Start {
            version: env!("CARGO_PKG_VERSION"),
            run: self.folder.path(),
            model: &network.name,
            parameters: network.parameter_count(),
            data: &dataset.name,
            classes: &dataset.classes,
            height: dataset.height,
            width: dataset.width,
            split: assessment::of_split(split),
            device: &self.identity.device,
            precision: session.precision().to_string(),
            batch: args.batch,
            epochs: args.epochs,
            steps_per_epoch: self.steps_per_epoch,
            steps: self.rhythm.newest.0,
            images: self.position,
            bytes,
            image_bytes,
            options: &self.identity.options,
        });
        if args.tensorboard {
            let (options, steps_per_epoch) = (&self.identity.options, self.steps_per_epoch);
            let subject = Subject { network, dataset, split, options, steps_per_epoch };
            self.display.set_board(Board::open(self.folder.path(), self.rhythm.newest.0, &subject));
        }
    }

    /// Trains to the end, and says how it went.
    ///
    /// # Errors
    /// A lost device; results that cannot be written.
    pub fn train(
        mut self,
        session: &mut Session,
        network: &Network,
        split: &Split,
        settings: &Settings,
        state: Option<&Arc<State>>,
    ) -> anyhow::Result<()> {
        let outcome = match state {
            Some(state) => resume(session, split, settings, state, &mut self)?,
            None => train(session, network, split, settings, &mut self)?,
        };
        self.kept();
        let memory = self.display.finish();
        let weights = self.save(&outcome, split)?;
        // where the training was stopped it goes on, and the test is for its end
        let measured = if outcome.stopped || outcome.failure.is_some() {
            None
        } else {
            self.measure(session, network, split, &outcome, settings.per_submit)
        };
        self.display.conclude(&outcome, &weights.card.classes, measured.as_ref());
        self.conclude(&outcome, &weights, (split, settings), (measured, memory))
    }

    /// Waits for the checkpoint that is being written, and says how that went.
    fn kept(&mut self) {
        match (self.keeper.finish(), self.keeping.take()) {
            (Ok(()), Some((epochs, steps))) => self.display.say(&Event::Checkpoint { epochs, steps }),
            (Ok(()), None) => {}
            (Err(error), _) => {
                print_note(format!("no checkpoint was written, the one before it stays: {error}"));
            }
        }
    }

    /// Measures the test side with the best weights: the one look at it of a run whose validation side has chosen them. Then leaves
    /// the report, which fails no training.
    fn measure(
        &self,
        session: &mut Session,
        network: &Network,
        split: &Split,
        outcome: &Outcome,
        per_submit: usize,
    ) -> Option<Assessment> {
        let folder = self.folder.path();
        let have_chosen = split.chosen_by() == ChosenBy::Test;
        let measured = Measured { name: "test", images: &split.test, validation: &split.validation, have_chosen };
        let found = find_weights(folder, false).and_then(|best| {
            let (found, scored) = assess_each(session, &best, measured, per_submit)?;
            Ok((best, found, scored))
        });
        let failed =
            |error| print_note(format!("the test side is not measured: {error}; `galaxy-gpu evaluate` does it"));
        let (weights, found, scored) = found.map_err(failed).ok()?;
        self.folder.metrics(&found, outcome.early).unwrap_or_else(print_note);
        if self.report {
            let (identity, weights, assessment, scored) = (&self.identity, &weights, &found, &scored);
            let history = &outcome.history;
            let run = Finished { folder, identity, weights, network, split, history, assessment, scored };
            run_report::leave(&run, session).unwrap_or_else(|e| print_note(format!("there is no report: {e}")));
        }
        Some(found)
    }

    /// The card of the weights that a run ends with. Where it was stopped, they are not those that the last epoch
    /// measured, unless no step has been made since.
    fn last_card(&self, outcome: &Outcome) -> Card {
        match outcome.steps == self.card.step {
            true => self.card.clone(),
            false => self.card.after(outcome.steps / self.steps_per_epoch.max(1), outcome.steps, None),
        }
    }

    /// Leaves the last weights and the curves; returns the weights.
    fn save(&mut self, outcome: &Outcome, split: &Split) -> Result<Weights> {
        let weights = Weights { card: self.last_card(outcome), tensors: outcome.parameters.clone() };
        self.folder.finish(&weights)?;
        let path = self.folder.path().join("curves.png");
        if let Err(error) = report::curves(&outcome.history, run_report::side(split), &path) {
            print_note(error);
        }
        Ok(weights)
    }

    /// Says how it went, and where everything is.
    fn conclude(
        self,
        outcome: &Outcome,
        weights: &Weights,
        (split, settings): (&Split, &Settings),
        (measured, memory): (Option<Assessment>, Option<Found>),
    ) -> anyhow::Result<()> {
        let folder = self.folder.path();
        let best = outcome.history.best();
        let failure = outcome.failure.clone().map_or(Ok(()), Err);
        if matches!(failure, Err(Error::Device { .. })) {
            let folder = folder.display();
            print_note(format!(
                "everything up to step {} is saved; `train --resume {folder}` goes on from there",
                outcome.steps
            ));
        }
        if outcome.refused > 0 && outcome.failure.is_none() {
            // in mixed precision a few are how the loss scale finds its place
            let few = weights.card.precision == Precision::Mixed && outcome.refused <= 10 + outcome.steps / 100;
            let advice = if few { "the loss scale has adapted to that" } else { "try a smaller --learning-rate" };
            print_note(format!(
                "{} of {} steps changed nothing, as their loss or gradient was not finite; {advice}",
                outcome.refused, outcome.steps
            ));
        }
        let end = serde_json::json!({
            "run": folder,
            "stopped": outcome.stopped,
            "ended_early": outcome.early,
            "epochs": outcome.history.epochs,
            "steps": outcome.steps,
            "refused_steps": outcome.refused,
            "roll_backs": outcome.roll_backs,
            "failure": outcome.failure.as_ref().map(ToString::to_string),
            "best": best,
            "split": assessment::of_split(split),
            "evaluation": measured,
            "weights_hash": weights.hash(),
            "device_memory": memory,
        });
        self.display.end(&end)?;
        let mut text = String::new();
        if outcome.stopped {
            text += "stopped by Ctrl-C; the weights of this moment are saved\n";
        }
        text += &outcome.early.map_or(String::new(), |early| ended_early(early, outcome, settings));
        if let Some(best) = best {
            let side = if split.chosen_by() == ChosenBy::Test { "test" } else { "validation" };
            let (epoch, accuracy) = (best.epoch, best.val_accuracy);
            text += &format!("best     epoch {epoch}, val_accuracy {accuracy:.4}, chosen by the {side} side\n");
        }
        if let Some(measured) = &measured {
            text += &format!("test     {}\n", assessment::in_words(measured).join("\n         "));
        }
        text += &format!("weights  hash {}\n", weights.hash());
        let metrics = if measured.is_some() { "metrics.json, " } else { "" };
        let report = if measured.is_some() && self.report { "report.html, " } else { "" };
        text += &format!("run      {} ({report}history.csv, {metrics}curves.png, weights/)\n", folder.display());
        self.display.tell(text)?;
        Ok(failure?)
    }
}

/// A card of the weights at the end of an epoch, or of those before the first.
fn card_after(card: &Card, epoch: Option<&EpochRecord>, steps_per_epoch: u32) -> Card {
    match epoch {
        Some(last) => card.after(last.epoch, last.epoch * steps_per_epoch, Some(last.val_accuracy)),
        None => card.after(0, 0, None),
    }
}

/// Why a training ended before its last epoch.
fn ended_early(early: Early, outcome: &Outcome, settings: &Settings) -> String {
    let (ended, epochs) = (outcome.history.epochs.len(), settings.epochs);
    let why = match early {
        Early::Patience => format!("none was better than the best for {}", settings.patience.unwrap_or_default()),
        Early::TimeBudget => "its time is over; train --resume goes on".to_owned(),
    };
    format!("ended    after {ended} of {epochs} epochs: {why}\n")
}

impl Watch for Console {
    fn step(&mut self, step: &StepRecord) {
        self.display.step(step);
    }

    fn progress(&mut self, progress: Progress) {
        if !self.keeper.is_busy() {
            self.kept();
        }
        self.display.progress(progress);
    }

    fn validation(&mut self, images: usize, of: usize) {
        self.display.validation(images, of);
    }

    fn rest(&mut self, state: &State) {
        if self.card.precision == Precision::Mixed {
            self.display.loss_scale(state.loss_scale());
        }
    }

    fn epoch(&mut self, record: &EpochRecord, parameters: Vec<Vec<f32>>) -> Result<()> {
        self.card = card_after(&self.card, Some(record), self.steps_per_epoch);
        let weights = Weights { card: self.card.clone(), tensors: parameters };
        if let Err(error) = self.folder.epoch(record, &weights) {
            print_note(format!("{error}; training goes on, and it is tried again"));
        }
        self.display.epoch(record, self.folder.is_best(record));
        Ok(())
    }

    fn due(&mut self, moment: Moment, steps: u32) -> bool {
        self.rhythm.due(moment, steps, self.keeper.is_busy())
    }

    fn undo(&mut self, history: &History) {
        self.folder.undo(history);
        self.card = card_after(&self.card, history.epochs.last(), self.steps_per_epoch);
        self.display.undo(history);
    }

    fn note(&mut self, text: String) {
        print_note(text);
    }

    fn keep(&mut self, state: Arc<State>) {
        self.kept();
        self.keeping = Some((state.standing.history.epochs.len() as u32, state.standing.steps));
        let checkpoint = Checkpoint { identity: self.identity.clone(), state };
        // it has nothing to say, as the one before was settled above
        let _ = self.keeper.keep(checkpoint);
    }

    fn stop(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }
}
