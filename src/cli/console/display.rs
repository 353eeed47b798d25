//! What is shown of a running training: on the terminal and to the program that reads its events.
//!
//! It knows numbers as they come; it knows no files.

use super::events::{self, Event, Events};
use crate::cli::memory::DeviceMemory;
use crate::cli::progress::{Bar, Pace, Sight, Work, print_epoch};
use crate::cli::voice::print_json;
use crate::train::history::{EpochRecord, History};
use crate::train::{Progress, StepRecord};
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
    newest: Option<Progress>,
    step: Option<StepRecord>,
    /// The first step's size, and whether another one followed.
    learning_rate: (Option<f32>, bool),
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
            newest: None,
            step: None,
            learning_rate: (None, false),
        }
    }

    /// Whether people are to read about it on standard output.
    pub(super) fn is_for_people(&self) -> bool {
        self.audience == Audience::People
    }

    /// Tells a program that it begins. Notes, also those before, are events from now on.
    pub(super) fn start(&mut self, start: events::Start) {
        self.events.say(&Event::Start(start));
        self.events.listen();
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
        if self.is_for_people() {
            print_epoch(record, self.work.epochs, varying);
        }
        let (steps, learning_rate) = (self.steps(), self.step.map(|step| step.learning_rate));
        let images_per_second = self.pace.rate();
        self.say(&Event::Epoch(events::Epoch { record, steps, learning_rate, images_per_second, best }));
    }

    /// Training went back.
    pub(super) fn undo(&mut self, history: &History) {
        self.say(&Event::Undo { epochs: history.epochs.len() as u32 });
    }

    /// Tells a program how it went.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub(super) fn end(&self, end: &serde_json::Value) -> anyhow::Result<()> {
        match self.audience {
            Audience::Object => print_json(end),
            Audience::Nobody => Ok(()),
            _ => Ok(events::print(&Event::End(end))?),
        }
    }

    /// It is over; what was found of the device's memory.
    pub(super) fn finish(&self) -> Option<crate::cli::memory::Found> {
        self.bar.finish();
        self.memory.found()
    }

    fn now(&self) -> f64 {
        self.clock.elapsed().as_secs_f64()
    }

    fn steps(&self) -> u32 {
        self.step.map_or(0, |step| step.steps)
    }

    /// The step size, where it is not the same all the time.
    fn learning_rate(&self) -> Option<f32> {
        self.step.map(|step| step.learning_rate).filter(|_| self.learning_rate.1)
    }

    fn show(&mut self, validated: Option<f64>) {
        let Some(Progress { epoch, images, of, loss, accuracy }) = self.newest else { return };
        let (rate, left, memory) = (self.pace.rate(), self.pace.left(self.now()), self.memory.in_use());
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
