//! The job: items in, rows out.

use super::earlier::Earlier;
use super::feed::{Entry, Feed, Lot};
use super::{Columns, Row, Summary, TableFile, views};
use crate::data::Items;
use crate::error::{Error, Result};
use crate::train::{Classifier, check_answer};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

/// How often a waiting job asks whether to stop.
const POLL: Duration = Duration::from_millis(100);

/// Scores images. Results come one submission late, so that the device never waits.
pub trait Scorer {
    /// Most images of a submission.
    fn capacity(&self) -> usize;

    /// Queues images and returns the scores of those queued before, `images x classes`.
    ///
    /// # Errors
    /// A lost device.
    fn next(&mut self, images: &[&[u8]]) -> Result<Vec<f32>>;

    /// The scores of the images queued last.
    ///
    /// # Errors
    /// A lost device.
    fn finish(&mut self) -> Result<Vec<f32>>;
}

impl Scorer for Classifier {
    fn capacity(&self) -> usize {
        self.capacity()
    }

    fn next(&mut self, images: &[&[u8]]) -> Result<Vec<f32>> {
        self.next(images)
    }

    fn finish(&mut self) -> Result<Vec<f32>> {
        self.finish()
    }
}

/// What to classify, and how.
pub struct Task {
    /// The items.
    pub items: Items,
    /// Rows and columns of an image.
    pub size: (usize, usize),
    /// 1, or [`views::ALL`] of square images, whose probabilities are averaged.
    pub views: usize,
    /// The table's columns.
    pub columns: Columns,
}

/// Watches a job and stops it.
pub trait Monitor {
    /// Rows were written; `left` items are to come, where that is known.
    fn progress(&mut self, summary: &Summary, left: Option<u64>);

    /// Something the user should know.
    fn note(&mut self, note: String);

    /// Whether to end after the running submission.
    fn stop(&self) -> bool;
}

/// Classifies all items and appends a row for each, in their order. Keeps the row of an item where `earlier` has a good one.
/// Rows that are written stay, whatever happens.
///
/// # Errors
/// A lost device; a table that cannot be written.
pub fn run(
    scorer: &mut dyn Scorer,
    (table, earlier): (&mut TableFile, Option<Earlier>),
    task: Task,
    monitor: &mut dyn Monitor,
) -> Result<Summary> {
    let Task { items, size, views, columns } = task;
    let feed = Feed { items, earlier, size, views, capacity: scorer.capacity() };
    let failed = |problem: String| Error::device(problem, "run it again with --continue");
    let lots = feed.start().map_err(|error| failed(format!("no thread could be started ({error})")))?;
    let mut job = Job { summary: table.adopted, table, columns, views };
    let mut waiting: Option<Lot> = None;
    loop {
        job.summary.stopped = monitor.stop();
        if job.summary.stopped {
            break;
        }
        let mut lot = match lots.recv_timeout(POLL) {
            Ok(lot) => lot,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(failed("the thread that reads the items broke down".into()));
            }
        };
        lot.notes.drain(..).for_each(|note| monitor.note(note));
        let last = lot.last;
        let scores = scorer.next(&lot.images())?;
        lot.forget_pixels();
        if let Some(before) = waiting.replace(lot) {
            job.conclude(before, &scores, monitor)?;
        }
        if last {
            break;
        }
    }
    let scores = scorer.finish()?;
    if let Some(before) = waiting {
        job.conclude(before, &scores, monitor)?;
    }
    if !job.summary.stopped {
        // Earlier rows that are left belong to items that are gone.
        job.table.settle()?;
    }
    job.table.sync()?;
    Ok(job.summary)
}

struct Job<'a> {
    summary: Summary,
    table: &'a mut TableFile,
    columns: Columns,
    views: usize,
}

impl Job<'_> {
    /// Writes the rows of a lot with its scores.
    fn conclude(&mut self, lot: Lot, scores: &[f32], monitor: &mut dyn Monitor) -> Result<()> {
        let classes = self.columns.classes.len();
        let mut scores = scores.chunks_exact(self.views * classes);
        let mut rows = Vec::with_capacity(lot.entries.len());
        for entry in lot.entries {
            let (row, kept) = match entry {
                Entry::Done { row, kept } => (row, kept),
                Entry::Views(row, _) => {
                    let outcome = outcome(&views::mean(scores.next().unwrap_or_default(), classes), classes);
                    (Row { outcome, ..row }, false)
                }
            };
            self.summary.add(&row, &self.columns, kept);
            rows.push(row);
        }
        self.table.write(&rows)?;
        if lot.spent {
            self.table.settle()?;
        }
        monitor.progress(&self.summary, lot.left);
        Ok(())
    }
}

/// The probabilities of an image, or a sentence where they are not probabilities.
fn outcome(probabilities: &[f32], classes: usize) -> Result<Vec<f32>, String> {
    match probabilities.len() == classes {
        true => check_answer(probabilities).map(|()| probabilities.to_vec()).map_err(|error| error.to_string()),
        false => Err("it got no scores; please report this".into()),
    }
}
