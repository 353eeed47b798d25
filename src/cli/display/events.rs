//! `train --json events`: what happens, one JSON object a line on standard output. docs/events.md is its description.
//!
//! A line has an `event` and a `time`; numbers that are not finite are null. Fields may be added; those that are there keep
//! their meaning.

use crate::cli::voice::{self, Kind};
use crate::error::Error;
use crate::run::{Begun, EndedEpoch, SplitSizes, Status};
use crate::train::history::EpochRecord;
use serde::Serialize;
use serde_json::Value;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Least time between two lines of progress.
const PROGRESS: Duration = Duration::from_millis(250);

/// What may happen.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Event<'a> {
    /// Everything is ready and the first step is about to run.
    Start(Start<'a>),
    /// A few times a second.
    Progress(Progress),
    /// An epoch has ended and is written down.
    Epoch(Epoch<'a>),
    /// Training went back to where so many epochs had ended; those after it do not count.
    Undo { epochs: u32 },
    /// A checkpoint is safe on the disk.
    Checkpoint { epochs: u32, steps: u32 },
    /// Something that should be known; the same text as on standard error.
    Note { text: &'a str },
    /// Why it ends without an `end`; the same text as on standard error.
    Error { text: &'a str },
    /// The end of a series: the fields of `--json`'s one object for it.
    Series(&'a Value),
    /// The end: the fields of `--json`'s one object.
    End(&'a Value),
}

/// What is trained, on what and where.
#[derive(Serialize)]
pub(super) struct Start<'a> {
    pub version: &'static str,
    /// The run's folder.
    pub run: &'a std::path::Path,
    pub model: &'a str,
    pub parameters: usize,
    pub data: &'a str,
    pub classes: &'a [String],
    pub height: usize,
    pub width: usize,
    /// As in `end`.
    pub split: SplitSizes,
    pub device: &'a str,
    pub precision: String,
    pub batch: usize,
    pub epochs: u32,
    pub steps_per_epoch: u32,
    /// Optimizer steps, and images of the running epoch, that earlier processes have done.
    pub steps: u32,
    pub images: usize,
    /// Bytes of all buffers, and of those that hold images.
    pub bytes: u64,
    pub image_bytes: u64,
    /// Every option of the training.
    pub options: &'a Value,
}

impl<'a> Start<'a> {
    pub(super) fn new(run: &Begun<'a>) -> Self {
        let Begun { folder, identity, recipe, dataset, network, standing, bytes: (bytes, image_bytes), .. } = *run;
        Self {
            version: env!("CARGO_PKG_VERSION"),
            run: folder,
            model: &network.name,
            parameters: network.parameter_count(),
            data: &dataset.name,
            classes: &dataset.classes,
            height: dataset.height,
            width: dataset.width,
            split: SplitSizes::of(run.split),
            device: &identity.device,
            precision: identity.card.precision.to_string(),
            batch: recipe.batch,
            epochs: recipe.epochs,
            steps_per_epoch: run.steps_per_epoch,
            steps: standing.map_or(0, |standing| standing.steps),
            images: standing.map_or(0, |standing| standing.position),
            bytes,
            image_bytes,
            options: &identity.options,
        }
    }
}

/// Where a training stands.
#[derive(Serialize)]
pub(super) struct Progress {
    /// `training` or `validation`.
    pub phase: &'static str,
    pub epoch: u32,
    pub epochs: u32,
    /// Images of the epoch that are trained on, and all.
    pub images: usize,
    pub of: usize,
    /// Optimizer steps of the whole training.
    pub steps: u32,
    /// Mean loss and accuracy of the epoch so far.
    pub loss: f32,
    pub accuracy: f32,
    /// Of the newest step.
    pub learning_rate: Option<f32>,
    pub gradient_norm: Option<f32>,
    /// Of the last seconds, smoothed.
    pub images_per_second: Option<f64>,
    /// Until the end, validations counted.
    pub seconds_left: Option<f64>,
    /// Bytes in use; those of the plan where the device does not say.
    pub device_memory: Option<u64>,
}

/// An epoch that has ended.
#[derive(Serialize)]
pub(super) struct Epoch<'a> {
    #[serde(flatten)]
    pub record: &'a EpochRecord,
    /// Optimizer steps of the whole training.
    pub steps: u32,
    /// Of its last step.
    pub learning_rate: Option<f32>,
    /// The factor on the loss in mixed precision.
    pub loss_scale: Option<f32>,
    pub images_per_second: Option<f64>,
    /// Whether it is the best so far.
    pub best: bool,
}

impl Progress {
    fn new(status: &Status) -> Self {
        let Status { progress, step, steps, epochs, .. } = *status;
        Self {
            phase: if status.validated.is_some() { "validation" } else { "training" },
            epoch: progress.epoch,
            epochs,
            images: progress.images,
            of: progress.of,
            steps,
            loss: progress.loss,
            accuracy: progress.accuracy,
            learning_rate: step.map(|step| step.learning_rate),
            gradient_norm: step.map(|step| step.gradient_norm()),
            images_per_second: status.images_per_second,
            seconds_left: status.seconds_left,
            device_memory: status.device_memory,
        }
    }
}

impl<'a> Epoch<'a> {
    pub(super) fn new(epoch: &EndedEpoch<'a>) -> Self {
        let EndedEpoch { record, steps, learning_rate, loss_scale, images_per_second, best } = *epoch;
        Self { record, steps, learning_rate, loss_scale, images_per_second, best }
    }
}

/// An event and when it happened.
#[derive(Serialize)]
struct Stamped<'a> {
    #[serde(flatten)]
    event: &'a Event<'a>,
    /// Seconds since 1970.
    time: f64,
}

/// Prints events, or nothing.
pub(super) struct Events {
    are_wanted: bool,
    newest: Option<Instant>,
}

impl Events {
    pub(super) fn new(are_wanted: bool) -> Self {
        Self { are_wanted, newest: None }
    }

    /// From now on notes and errors are events, too, and so are those that were printed before.
    pub(super) fn listen(&self) {
        if self.are_wanted {
            voice::listen(Box::new(|kind, text| match kind {
                Kind::Text => Ok(()),
                Kind::Note => print(&Event::Note { text }),
                Kind::Error => print(&Event::Error { text }),
            }));
        }
    }

    /// Prints an event. One that cannot be printed is a note and does not end a training.
    pub(super) fn say(&self, event: &Event) {
        if self.are_wanted
            && let Err(error) = print(event)
        {
            voice::print_note(error);
        }
    }

    /// Prints progress, unless the last time was a moment ago.
    pub(super) fn progress(&mut self, status: &Status) {
        if self.are_wanted && self.newest.is_none_or(|newest| newest.elapsed() >= PROGRESS) {
            self.newest = Some(Instant::now());
            self.say(&Event::Progress(Progress::new(status)));
        }
    }
}

fn line(event: &Event, time: f64) -> serde_json::Result<String> {
    Ok(serde_json::to_string(&Stamped { event, time })? + "\n")
}

/// Prints an event.
///
/// # Errors
/// Standard output cannot be written.
pub(super) fn print(event: &Event) -> crate::Result<()> {
    let failed = |error: String| Error::data("an event", error, "see to it that standard output can be written");
    let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_millis() as f64 / 1e3);
    let line = line(event, time).map_err(|error| failed(error.to_string()))?;
    voice::print_data(line).map_err(|error| failed(format!("{error:#}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_object_whose_numbers_are_short_or_null() {
        let loss = f32::NAN;
        let record = EpochRecord { epoch: 2, loss, accuracy: 0.1, val_loss: 0.5, val_accuracy: 0.25, seconds: 1.5 };
        let (learning_rate, loss_scale) = (Some(1e-3), None);
        let epoch = Epoch { record: &record, steps: 6, learning_rate, loss_scale, images_per_second: None, best: true };
        assert_eq!(
            line(&Event::Epoch(epoch), 7.25).unwrap(),
            "{\"event\":\"epoch\",\"epoch\":2,\"loss\":null,\"accuracy\":0.1,\"val_loss\":0.5,\"val_accuracy\":0.25,\
             \"seconds\":1.5,\"steps\":6,\"learning_rate\":0.001,\"loss_scale\":null,\"images_per_second\":null,\"best\":true,\"time\":7.25}\n"
        );
        let end = serde_json::json!({"run": "a\nb", "steps": 6});
        assert_eq!(
            line(&Event::End(&end), 0.5).unwrap(),
            "{\"event\":\"end\",\"run\":\"a\\nb\",\"steps\":6,\"time\":0.5}\n"
        );
        assert_eq!(line(&Event::Undo { epochs: 3 }, 0.5).unwrap(), "{\"event\":\"undo\",\"epochs\":3,\"time\":0.5}\n");
    }
}
