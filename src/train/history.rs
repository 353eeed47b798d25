//! One row of numbers for each epoch, as CSV: written during a run, read to draw its curves.
//!
//! The file is small and written again after each epoch. So it never holds half a line, and if a full disk prevented a write, the
//! next one completes it.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::files::{read_text, write_whole};

/// The first line of the file.
const COLUMNS: [&str; 6] = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "seconds"];

/// The largest history that is read, in bytes: a million epochs.
const LARGEST_FILE: u64 = 64 << 20;

/// The results of one epoch: the columns of the history file, in this order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// The epoch, from 1.
    pub epoch: u32,
    /// Mean cross-entropy over the training images of this epoch, in nats.
    pub loss: f32,
    /// Fraction of training images classified correctly, 0 to 1.
    pub accuracy: f32,
    /// Mean cross-entropy over the validation images after this epoch, in nats.
    pub val_loss: f32,
    /// Fraction of validation images classified correctly, 0 to 1.
    pub val_accuracy: f32,
    /// Wall time of the epoch with validation, in seconds.
    pub seconds: f32,
}

/// The epochs of a run, first to last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// One record per finished epoch.
    pub epochs: Vec<EpochRecord>,
}

impl History {
    /// Reads the CSV file that [`History::write`] wrote. `NaN` and `inf` are read back as such.
    ///
    /// # Errors
    /// [`Error::File`]: the file cannot be opened, is larger than 64 MiB, has other columns, or a line is not six numbers; the message
    /// names the line.
    pub fn read(path: &Path) -> Result<Self> {
        let remedy = "give a history.csv written by `train`, with its lines whole";
        let failed = |error: csv::Error| Error::file(path, format!("not a readable history ({error})"), remedy);
        Self::from_csv(read_text(path, LARGEST_FILE)?.as_bytes()).map_err(failed)
    }

    /// Reads the output of [`History::to_csv`].
    ///
    /// # Errors
    /// The columns are others, or a line is not six numbers.
    pub fn from_csv(text: &[u8]) -> Result<Self, csv::Error> {
        let epochs = csv::Reader::from_reader(text).deserialize().collect::<Result<_, _>>()?;
        Ok(Self { epochs })
    }

    /// The columns `epoch,loss,accuracy,val_loss,val_accuracy,seconds`, and a line for each epoch. Numbers are as short as they can
    /// be and still read back bit for bit.
    ///
    /// # Errors
    /// None, as writing to memory does not fail.
    pub fn to_csv(&self) -> Result<Vec<u8>, csv::Error> {
        let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
        writer.serialize(COLUMNS)?;
        self.epochs.iter().try_for_each(|record| writer.serialize(record))?;
        writer.into_inner().map_err(|error| error.into_error().into())
    }

    /// Writes the whole file.
    ///
    /// # Errors
    /// [`Error::File`]: it cannot be written, such as on a full disk; an earlier file stays.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = self.to_csv().map_err(|error| Error::file(path, error, "please report this"))?;
        write_whole(path, &text)
    }

    /// The epoch with the highest validation accuracy, the first of equals; `None` if none is finite.
    pub fn best(&self) -> Option<&EpochRecord> {
        let finite = self.epochs.iter().filter(|record| record.val_accuracy.is_finite());
        finite.reduce(|best, record| if record.val_accuracy > best.val_accuracy { record } else { best })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(epoch: u32, val_accuracy: f32) -> EpochRecord {
        EpochRecord { epoch, loss: 1.25, accuracy: 0.1, val_loss: 1.0 / 3.0, val_accuracy, seconds: 0.75 }
    }

    #[test]
    fn every_line_reads_back_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.csv");
        let mut history = History::default();
        history.write(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "epoch,loss,accuracy,val_loss,val_accuracy,seconds\n");
        for record in [record(1, 0.5), record(2, 0.123_456_79)] {
            history.epochs.push(record);
            history.write(&path).unwrap();
            assert_eq!(History::read(&path).unwrap(), history);
        }
        assert!(std::fs::read_to_string(&path).unwrap().contains("\n1,1.25,0.1,0.33333334,0.5,0.75\n"));
    }

    #[test]
    fn non_finite_values_survive() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.csv");
        let diverged = EpochRecord { loss: f32::NAN, val_loss: f32::INFINITY, ..record(1, 0.5) };
        History { epochs: vec![diverged] }.write(&path).unwrap();
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
        assert!(matches!(History::default().write(&nowhere), Err(Error::File { path, .. }) if path == nowhere));
        assert!(matches!(History::read(&nowhere), Err(Error::File { .. })));

        let torn = folder.path().join("torn.csv");
        std::fs::write(&torn, "epoch,loss,accuracy,val_loss,val_accuracy,seconds\n1,0.5,0.5,0.5,0.5,1\n2,0.4,0.")
            .unwrap();
        let message = History::read(&torn).unwrap_err().to_string();
        assert!(message.contains("torn.csv") && message.contains("line: 3"), "{message}");
    }
}
