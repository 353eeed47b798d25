//! A training on the terminal: a bar while it runs and a line an epoch for people, JSON for programs, and the log in its run folder.

mod bar;
mod events;
mod line;

use super::interrupt::{INCOMPLETE, INTERRUPTED, listen_for_interrupts};
use super::{assessment, log, print_json, print_note, voice};
use crate::plan::bytes_in_words;
use crate::run::split_in_words;
use crate::run::{Begun, EndedEpoch, Finished, Observer, Recipe, ScheduleKind, Status, choosing_set};
use crate::train::{ClassWeights, Early, MicroBatch, StepRecord};
use bar::{Bar, epoch_in_words};
use events::{Event, Events};
use line::Sight;
use serde_json::{Value, json};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What `--json` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Json {
    /// One object at the end.
    Object,
    /// An object a line as things happen.
    Events,
}

/// Shows a training, or a series of them.
pub struct Display {
    json: Option<Json>,
    /// The number of the running seed and of all, where it is one of a series.
    seed: Option<(usize, usize)>,
    events: Events,
    bar: Option<Bar>,
    epochs: u32,
    batch: usize,
    /// The first step's size, and whether another one followed.
    learning_rate: (Option<f32>, bool),
    interrupted: Arc<AtomicBool>,
    /// Whether the training was asked to end, and has.
    stopped: bool,
    /// Standard output cannot be written: the training is stopped.
    failure: Option<anyhow::Error>,
}

impl Display {
    /// Before the training.
    ///
    /// # Errors
    /// Ctrl-C cannot be listened for.
    pub fn new(json: Option<Json>) -> anyhow::Result<Self> {
        Ok(Self {
            json,
            seed: None,
            events: Events::new(json == Some(Json::Events)),
            bar: None,
            epochs: 0,
            batch: 1,
            learning_rate: (None, false),
            interrupted: listen_for_interrupts(INTERRUPTED)?,
            stopped: false,
            failure: None,
        })
    }

    /// Says something to people, on standard output where they are to read it, and in the log in any case.
    fn tell(&mut self, text: impl AsRef<str>) {
        match self.json {
            None => self.failure = self.failure.take().or(voice::print_text(text).err()),
            Some(_) => voice::record(text),
        }
    }

    /// The end of the training: the exit code of one that is complete, or that was asked to end.
    ///
    /// # Errors
    /// What ended it; that standard output could not be written.
    pub fn close(self, ended: crate::Result<()>) -> anyhow::Result<ExitCode> {
        ended?;
        let code = if self.stopped { ExitCode::from(INCOMPLETE) } else { ExitCode::SUCCESS };
        self.failure.map_or(Ok(code), Err)
    }

    /// Tells a program how a series of trainings has gone.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn end_series(json: Json, end: &Value) -> anyhow::Result<()> {
        match json {
            Json::Object => print_json(end),
            Json::Events => Ok(events::print(&Event::Series(end))?),
        }
    }

    /// The step size of the newest step, where it is not the same all the time.
    fn varying_rate(&self, newest: Option<f32>) -> Option<f32> {
        newest.filter(|_| self.learning_rate.1)
    }
}

impl Observer for Display {
    fn note(&mut self, text: String) {
        print_note(text);
    }

    fn seed(&mut self, _seed: u64, number: usize, of: usize) {
        self.seed = Some((number, of));
        // each seed has a log of its own
        voice::forget_listeners();
    }

    fn begin(&mut self, run: &Begun) {
        log::keep_in(run.folder);
        if let (Some((number, of)), None) = (self.seed, self.json) {
            let gap = if number == 1 { "" } else { "\n" };
            self.tell(format!("{gap}seed     {}, {number} of {of}\n", run.recipe.seed));
        }
        (self.epochs, self.batch, self.learning_rate) = (run.recipe.epochs, run.recipe.batch, (None, false));
        self.bar = Some(Bar::new());
        self.events.say(&Event::Start(events::Start::new(run)));
        self.events.listen();
        self.tell(introduction(run));
    }

    fn step(&mut self, step: &StepRecord, _images_per_second: Option<f64>) {
        let (first, varies) = &mut self.learning_rate;
        *varies |= *first.get_or_insert(step.learning_rate) != step.learning_rate;
    }

    fn progress(&mut self, status: &Status) {
        // at the beginning of a later epoch, what the one before measured stays in sight until there is something new
        let is_new = status.progress.images > 0 || status.step.is_none();
        if let Some(bar) = self.bar.as_ref().filter(|bar| is_new && !bar.is_hidden()) {
            let rate = self.varying_rate(status.step.map(|step| step.learning_rate));
            bar.show(&Sight::new(status, self.batch, rate));
        }
        self.events.progress(status);
    }

    fn epoch(&mut self, epoch: &EndedEpoch) {
        // a line that cannot be printed does not end a training
        let line = epoch_in_words(epoch.record, self.epochs, self.varying_rate(epoch.learning_rate));
        match self.json {
            None => voice::print_text(line).unwrap_or_else(|error| print_note(format!("{error:#}"))),
            Some(_) => voice::record(line),
        }
        self.events.say(&Event::Epoch(events::Epoch::new(epoch)));
    }

    fn undo(&mut self, epochs: u32) {
        self.events.say(&Event::Undo { epochs });
    }

    fn checkpoint(&mut self, epochs: u32, steps: u32) {
        self.events.say(&Event::Checkpoint { epochs, steps });
    }

    fn end(&mut self, run: &Finished) {
        self.stopped = run.outcome.stopped;
        if let Some(bar) = self.bar.take() {
            bar.finish();
        }
        let printed = match self.json {
            // the series prints one object for all
            Some(Json::Object) if self.seed.is_none() => print_json(&in_json(run)),
            Some(Json::Events) => events::print(&Event::End(&in_json(run))).map_err(Into::into),
            _ => Ok(()),
        };
        self.failure = self.failure.take().or(printed.err());
        let resumable = run.outcome.stopped && self.seed.is_none();
        let resume = if resumable { format!("resume   {}\n", run.resume_command()) } else { String::new() };
        self.tell(conclusion(run) + &resume);
    }

    fn stop(&self) -> bool {
        self.failure.is_some() || self.interrupted.load(Ordering::Relaxed)
    }
}

/// Why a device was taken, in brackets.
pub fn why(reason: Option<&str>) -> String {
    reason.map_or(String::new(), |reason| format!(" ({reason})"))
}

/// What is trained on what, and where.
fn introduction(run: &Begun) -> String {
    let Begun { recipe, dataset, network, .. } = run;
    let (all, data) = run.bytes;
    let micro = match recipe.micro_batch {
        MicroBatch::Images(images) => format!(" in micro-batches of {images}"),
        _ => String::new(),
    };
    let streamed = if run.streamed { " at a time, streamed" } else { "" };
    let augment = if recipe.augment { "on" } else { "off" };
    let (epochs, batch, optimizer) = (recipe.epochs, recipe.batch, optimizer_in_words(recipe));
    let precision = run.identity.card.precision;
    let mut text = [
        format!("data     {}: {} images of {}x{}", dataset.name, dataset.len(), dataset.width, dataset.height),
        format!("split    {}", split_in_words(run.split)),
        format!("model    {}: {} parameters", network.name, network.parameter_count()),
        format!("device   {}, {precision}{}", run.device, why(run.why_device)),
        format!("memory   {} and {} of images{streamed}", bytes_in_words(all - data), bytes_in_words(data)),
        format!("training {epochs} epochs, batch {batch}{micro}, augmentation {augment}{optimizer}\n"),
    ]
    .join("\n");
    if let Some(at) = run.standing {
        let epoch = at.history.epochs.len() + 1;
        text += &format!("resumed  in epoch {epoch}, {} images in, step {}\n", at.position, at.steps);
    }
    text
}

/// What is not the default of class weights and optimizer, each part after a comma.
fn optimizer_in_words(recipe: &Recipe) -> String {
    let mut parts = Vec::new();
    if recipe.class_weights != ClassWeights::None {
        parts.push(format!("class weights {}", recipe.class_weights));
    }
    match recipe.schedule {
        ScheduleKind::Constant => {}
        ScheduleKind::Cosine => parts.push("cosine schedule".into()),
        ScheduleKind::Step => parts.push("step schedule".into()),
        ScheduleKind::Plateau => parts.push("plateau schedule".into()),
    }
    if recipe.warm_up > 0.0 {
        parts.push(format!("warm-up of {} epochs", recipe.warm_up));
    }
    if recipe.weight_decay > 0.0 {
        parts.push(format!("weight decay {}", recipe.weight_decay));
    }
    parts.extend(recipe.clip_norm.map(|norm| format!("gradients clipped at {norm}")));
    parts.extend(recipe.ema.map(|decay| format!("weights averaged with {decay}")));
    parts.into_iter().map(|part| format!(", {part}")).collect()
}

/// What the one object at the end says.
fn in_json(run: &Finished) -> Value {
    let outcome = &run.outcome;
    json!({
        "run": run.folder,
        "stopped": outcome.stopped,
        "ended_early": outcome.early,
        "epochs": outcome.history.epochs,
        "steps": outcome.steps,
        "refused_steps": outcome.refused,
        "roll_backs": outcome.roll_backs,
        "failure": outcome.failure.as_ref().map(ToString::to_string),
        "best": outcome.history.best(),
        "split": run.split,
        "evaluation": run.measured,
        "weights_hash": run.weights.hash(),
        "device_memory": run.memory,
    })
}

/// How it went, and where everything is.
fn conclusion(run: &Finished) -> String {
    let mut text = String::new();
    if run.outcome.stopped {
        text += "stopped  before its end; the weights of this moment are saved\n";
    }
    if let Some(early) = run.outcome.early {
        let (ended, epochs) = (run.outcome.history.epochs.len(), run.recipe.epochs);
        let patience = run.recipe.patience.unwrap_or_default();
        let why = match early {
            Early::Patience => format!("none was better than the best for {patience}"),
            Early::TimeBudget => "its time is over; train --resume continues".to_owned(),
        };
        text += &format!("ended    after {ended} of {epochs} epochs: {why}\n");
    }
    if let Some(best) = run.outcome.history.best() {
        let (epoch, accuracy, set) = (best.epoch, best.val_accuracy, choosing_set(run.split.chosen_by));
        text += &format!("best     epoch {epoch}, val_accuracy {accuracy:.4}, chosen by the {set} set\n");
    }
    if let Some(measured) = &run.measured {
        text += &format!("test     {}\n", assessment::in_words(measured).join("\n         "));
    }
    text += &format!("weights  hash {}\n", run.weights.hash());
    let metrics = if run.measured.is_some() { "metrics.json, " } else { "" };
    let report = if run.report { "report.html, " } else { "" };
    let folder = run.folder.display();
    text + &format!("run      {folder} ({report}history.csv, {metrics}curves.png, weights/)\n")
}
