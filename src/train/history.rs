//! One row of numbers per epoch, as CSV: written while a run goes on, read to draw its curves.
//!
//! This file knows a path and six columns. It knows nothing of networks, engines or pictures.

use std::fs::File;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::files::open_bounded;

/// What to do about a history file that cannot be written.
const WRITE_REMEDY: &str = "check that its folder exists, may be written to and has space left";

/// Largest history that is read, in bytes: a million epochs.
const LARGEST_FILE: u64 = 64 << 20;

/// What one epoch measured; the columns of the history file, in this order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// The epoch, from 1.
    pub epoch: u32,
    /// Mean cross-entropy over the training images of this epoch, in nats.
    pub loss: f32,
    /// Share of training images classified rightly, 0 to 1.
    pub accuracy: f32,
    /// Mean cross-entropy over the validation images after this epoch, in nats.
    pub val_loss: f32,
    /// Share of validation images classified rightly, 0 to 1.
    pub val_accuracy: f32,
    /// Wall time of the epoch, validation included, in seconds.
    pub seconds: f32,
}

/// The epochs of a run, first to last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// One record per finished epoch.
    pub epochs: Vec<EpochRecord>,
}

impl History {
    /// Reads the CSV file that a [`HistoryWriter`] wrote. `NaN` and `inf` are read back as such.
    ///
    /// # Errors
    /// [`Error::File`] when the file cannot be opened, is larger than 64 MiB, has other columns, or a line is not six numbers; names the line.
    pub fn read(path: &Path) -> Result<Self> {
        let remedy = "give a history.csv written by `train`, with its lines whole";
        let failed = |error: csv::Error| Error::file(path, format!("not a readable history ({error})"), remedy);
        let mut reader = csv::Reader::from_reader(open_bounded(path, LARGEST_FILE)?);
        let epochs = reader.deserialize().collect::<Result<_, _>>().map_err(failed)?;
        Ok(Self { epochs })
    }

    /// The epoch with the highest validation accuracy, the first of equals; `None` where none is a finite number.
    pub fn best(&self) -> Option<&EpochRecord> {
        let finite = self.epochs.iter().filter(|record| record.val_accuracy.is_finite());
        finite.reduce(|best, record| if record.val_accuracy > best.val_accuracy { record } else { best })
    }
}

/// Writes a history line by line, so that a run that is cut off leaves every finished epoch behind.
pub struct HistoryWriter {
    path: PathBuf,
    writer: csv::Writer<File>,
}

impl HistoryWriter {
    /// Creates the file, or empties it, and writes the header
    /// `epoch,loss,accuracy,val_loss,val_accuracy,seconds`.
    ///
    /// # Errors
    /// [`Error::File`] when the file cannot be created or written.
    pub fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).map_err(|error| Error::file(path, error, WRITE_REMEDY))?;
        let writer = csv::WriterBuilder::new().has_headers(false).from_writer(file);
        let mut history = Self { path: path.to_owned(), writer };
        history.line(["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "seconds"])?;
        Ok(history)
    }

    /// Appends one line and hands it to the operating system before it returns.
    ///
    /// # Errors
    /// [`Error::File`] when the line cannot be written, such as on a full disk.
    pub fn append(&mut self, record: &EpochRecord) -> Result<()> {
        self.line(record)
    }

    fn line(&mut self, fields: impl Serialize) -> Result<()> {
        let serialized = self.writer.serialize(fields).map_err(std::io::Error::from);
        let flushed = serialized.and_then(|()| self.writer.flush());
        flushed.map_err(|error| Error::file(&self.path, error, WRITE_REMEDY))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(epoch: u32, val_accuracy: f32) -> EpochRecord {
        EpochRecord { epoch, loss: 1.25, accuracy: 0.1, val_loss: 1.0 / 3.0, val_accuracy, seconds: 0.75 }
    }

    #[test]
    fn every_line_is_on_disk_at_once_and_reads_back_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.csv");
        let mut writer = HistoryWriter::create(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "epoch,loss,accuracy,val_loss,val_accuracy,seconds\n");

        let records = [record(1, 0.5), record(2, 0.123_456_79)];
        for (index, record) in records.iter().enumerate() {
            writer.append(record).unwrap();
            assert_eq!(History::read(&path).unwrap().epochs, records[..=index]);
        }
        assert!(std::fs::read_to_string(&path).unwrap().contains("\n1,1.25,0.1,0.33333334,0.5,0.75\n"));
    }

    #[test]
    fn non_finite_values_survive() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.csv");
        let mut writer = HistoryWriter::create(&path).unwrap();
        let diverged = EpochRecord { loss: f32::NAN, val_loss: f32::INFINITY, ..record(1, 0.5) };
        writer.append(&diverged).unwrap();
        let history = History::read(&path).unwrap();
        assert!(history.epochs[0].loss.is_nan());
        assert_eq!(history.epochs[0].val_loss, f32::INFINITY);
    }

    #[test]
    fn the_best_epoch_is_the_first_of_equals_and_never_nan() {
        let history = History { epochs: vec![record(1, f32::NAN), record(2, 0.7), record(3, 0.8), record(4, 0.8)] };
        assert_eq!(history.best().map(|best| best.epoch), Some(3));
        assert_eq!(History { epochs: vec![record(1, f32::NAN)] }.best(), None);
    }

    #[test]
    fn errors_name_the_file_and_the_line() {
        let folder = tempfile::tempdir().unwrap();
        let nowhere = folder.path().join("missing").join("history.csv");
        assert!(matches!(HistoryWriter::create(&nowhere), Err(Error::File { path, .. }) if path == nowhere));
        assert!(matches!(History::read(&nowhere), Err(Error::File { .. })));

        let torn = folder.path().join("torn.csv");
        std::fs::write(&torn, "epoch,loss,accuracy,val_loss,val_accuracy,seconds\n1,0.5,0.5,0.5,0.5,1\n2,0.4,0.")
            .unwrap();
        let message = History::read(&torn).unwrap_err().to_string();
        assert!(message.contains("torn.csv") && message.contains("line: 3"), "{message}");
    }
}
