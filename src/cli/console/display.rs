//! What is shown of a running training: on the terminal and to the program that reads its events.
//!
//! It knows numbers as they come; it knows no files.

use super::board::Board;
use super::events::{self, Event, Events};
use crate::cli::memory::DeviceMemory;
use crate::cli::progress::{Bar, Pace, Sight, Work, epoch_in_words};
use crate::cli::voice::{self, print_json};
use crate::train::history::{EpochRecord, History};
use crate::train::{Assessment, Outcome, Progress, StepRecord};
use std::time::Instant;

/// Who is to see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    /// People: a line an epoch.
    People,
    /// A program that reads the one object at the end.
    Object,
    /// A program that reads events.
    Events,
    /// A program that reads something else.
    Nobody,
}

/// Shows a running training.
pub(super) struct Display {
    audience: Audience,
    events: Events,
    bar: Bar,
    pace: Pace,
    /// What `pace` counts from.
    clock: Instant,
    work: Work,
    batch: usize,
    memory: DeviceMemory,
    /// Bytes of the plan's buffers, where nothing counts what is in use.
    planned: Option<u64>,
    newest: Option<Progress>,
    step: Option<StepRecord>,
    /// Optimizer steps of earlier processes.
    earlier: u32,
    /// The first step's size, and whether another one followed.
    learning_rate: (Option<f32>, bool),
    /// The factor on the loss at the end of the newest epoch, in mixed precision.
    loss_scale: Option<f32>,
    board: Option<Board>,
}

impl Display {
    /// Of a training in batches of `batch` images.
    pub(super) fn new(audience: Audience, work: Work, batch: usize, memory: DeviceMemory) -> Self {
        Self {
            audience,
            events: Events::new(audience == Audience::Events),
            bar: Bar::new(),
            pace: Pace::new(work),
            clock: Instant::now(),
            work,
            batch,
            memory,
            planned: None,
            newest: None,
            step: None,
            earlier: 0,
            learning_rate: (None, false),
            loss_scale: None,
            board: None,
        }
    }

    /// Says something to people, on standard output where they are to read it, and in the log in any case.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub(super) fn tell(&self, text: impl AsRef<str>) -> anyhow::Result<()> {
        match self.audience {
            Audience::People => voice::print_text(text),
            _ => {
                voice::record(text);
                Ok(())
            }
        }
    }

    /// Tells a program that it begins. Notes, also those before, are events from now on.
    pub(super) fn start(&mut self, start: events::Start) {
        (self.planned, self.earlier) = (Some(start.bytes), start.steps);
        self.events.say(&Event::Start(start));
        self.events.listen();
    }

    /// From now on this is told as well.
    pub(super) fn set_board(&mut self, board: Board) {
        self.board = Some(board);
    }

    /// The factor on the loss at the end of an epoch, in mixed precision.
    pub(super) fn loss_scale(&mut self, factor: Option<f32>) {
        self.loss_scale = factor;
    }

    /// Something else has happened.
    pub(super) fn say(&self, event: &Event) {
        self.events.say(event);
    }

    /// A step has ended.
    pub(super) fn step(&mut self, step: &StepRecord) {
        let (first, varies) = &mut self.learning_rate;
        *varies |= *first.get_or_insert(step.learning_rate) != step.learning_rate;
        self.step = Some(*step);
        if let Some(board) = &mut self.board {
            board.step(step, self.pace.rate());
        }
    }

    /// Some steps have ended.
    pub(super) fn progress(&mut self, progress: Progress) {
        self.pace.trained(self.now(), progress.epoch, progress.images);
        self.newest = Some(progress);
        self.show(None);
    }

    /// The epoch's training images are done, and so many are measured of those that choose the best epoch.
    pub(super) fn validation(&mut self, images: usize, of: usize) {
        self.pace.validates(self.now());
        self.show(Some(images as f64 / of.max(1) as f64));
    }

    /// An epoch has ended.
    pub(super) fn epoch(&mut self, record: &EpochRecord, best: bool) {
        self.memory.epoch();
        let varying = self.learning_rate();
        // a line that cannot be printed does not end a training
        if let Err(error) = self.tell(epoch_in_words(record, self.work.epochs, varying)) {
            voice::print_note(format!("{error:#}"));
        }
        let (steps, learning_rate) = (self.steps(), self.step.map(|step| step.learning_rate));
        let (images_per_second, loss_scale) = (self.pace.rate(), self.loss_scale);
        if let Some(board) = &mut self.board {
            let rate = images_per_second.map(|rate| rate as f32);
            let more = [
                ("epoch/learning_rate", learning_rate),
                ("epoch/images_per_second", rate),
                ("epoch/loss_scale", loss_scale),
            ];
            board.epoch(record, steps, &more);
        }
        self.say(&Event::Epoch(events::Epoch { record, steps, learning_rate, loss_scale, images_per_second, best }));
    }

    /// Training went back.
    pub(super) fn undo(&mut self, history: &History) {
        let epochs = history.epochs.len() as u32;
        self.say(&Event::Undo { epochs });
        if let Some(board) = &mut self.board {
            board.undo(epochs);
        }
    }

    /// Tells a program how it went.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub(super) fn end(&self, end: &serde_json::Value) -> anyhow::Result<()> {
        match self.audience {
            Audience::Object => print_json(end),
            Audience::Events => Ok(events::print(&Event::End(end))?),
            Audience::People | Audience::Nobody => Ok(()),
        }
    }

    /// It is over; what was found of the device's memory.
    pub(super) fn finish(&self) -> Option<crate::cli::memory::Found> {
        self.bar.finish();
        self.memory.found()
    }

    /// Writes down how it went, where TensorBoard is to show it.
    pub(super) fn conclude(&mut self, outcome: &Outcome, classes: &[String], measured: Option<&Assessment>) {
        if let Some(board) = &mut self.board {
            board.end(outcome.steps, classes, measured, outcome.failure.is_some());
        }
    }

    fn now(&self) -> f64 {
        self.clock.elapsed().as_secs_f64()
    }

    fn steps(&self) -> u32 {
        self.step.map_or(self.earlier, |step| step.steps)
    }

    /// The step size, where it is not the same all the time.
    fn learning_rate(&self) -> Option<f32> {
        self.step.map(|step| step.learning_rate).filter(|_| self.learning_rate.1)
    }

    fn show(&mut self, validated: Option<f64>) {
        let Some(Progress { epoch, images, of, loss, accuracy }) = self.newest else { return };
        let (rate, left) = (self.pace.rate(), self.pace.left(self.now()));
        let memory = self.memory.in_use().or(self.planned);
        // at the beginning of a later epoch, what the one before measured stays in sight until there is something new
        let is_new = images > 0 || self.step.is_none();
        if is_new && !self.bar.is_hidden() {
            self.bar.show(&Sight {
                epoch: (epoch, self.work.epochs),
                step: (images.div_ceil(self.batch), of.div_ceil(self.batch)),
                validated,
                share: self.pace.share(),
                scores: (images > 0).then_some((loss, accuracy)),
                learning_rate: self.learning_rate(),
                rate,
                left,
                memory,
            });
        }
        let (step, steps, epochs) = (self.step, self.steps(), self.work.epochs);
        self.events.progress(|| events::Progress {
            phase: if validated.is_some() { "validation" } else { "training" },
            epoch,
            epochs,
            images,
            of,
            steps,
            loss,
            accuracy,
            learning_rate: step.map(|step| step.learning_rate),
            gradient_norm: step.map(|step| step.gradient_norm()),
            images_per_second: rate,
            seconds_left: left,
            device_memory: memory,
        });
    }
}
