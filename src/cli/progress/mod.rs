//! How a running training shows itself: a bar while a terminal watches, one line an epoch always.

use crate::cli::voice;
use crate::train::Progress;
use crate::train::history::EpochRecord;
use indicatif::{ProgressBar, ProgressStyle};
use std::time::{Duration, Instant};

/// The bar of a whole run, in images.
pub struct Bar {
    bar: ProgressBar,
    epochs: u32,
    /// Images that an earlier process has done.
    before: usize,
    started: Instant,
}

impl Bar {
    /// A bar over `epochs` epochs of `images` images, `before` of which are done; hidden where standard error is no terminal.
    pub fn new(epochs: u32, images: usize, before: usize) -> Self {
        let bar = ProgressBar::with_draw_target(Some(u64::from(epochs) * images as u64), voice::draw_target());
        voice::set_bar(Some(bar.clone()));
        let template = "{prefix} [{bar:30}] {msg}";
        bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, epochs, before, started: Instant::now() }
    }

    /// Shows loss, accuracy, images per second and the time left.
    pub fn progress(&self, progress: Progress) {
        let done = (progress.epoch as usize - 1) * progress.of + progress.images;
        let rate = done.saturating_sub(self.before) as f64 / self.started.elapsed().as_secs_f64().max(1e-9);
        let left = (self.epochs as usize * progress.of - done) as f64 / rate.max(1e-9);
        self.bar.set_position(done as u64);
        self.bar.set_prefix(format!("epoch {}/{}", progress.epoch, self.epochs));
        self.bar.set_message(match progress.images {
            0 => "starting".to_owned(),
            _ => format!(
                "loss {:.4}  accuracy {:.4}  {rate:.0} images/s  {} left",
                progress.loss,
                progress.accuracy,
                indicatif::HumanDuration(Duration::from_secs_f64(left.min(1e9)))
            ),
        });
    }

    /// Prints an epoch's line above the bar. A line that cannot be printed is a note and does not end a training.
    pub fn epoch(&self, record: &EpochRecord) {
        let line = format!(
            "epoch {}/{}  loss {:.4}  accuracy {:.4}  val_loss {:.4}  val_accuracy {:.4}  {:.1} s\n",
            record.epoch,
            self.epochs,
            record.loss,
            record.accuracy,
            record.val_loss,
            record.val_accuracy,
            record.seconds
        );
        if let Err(error) = voice::print_text(line) {
            voice::print_note(format!("{error:#}"));
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
        voice::set_bar(None);
    }
}
