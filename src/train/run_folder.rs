//! The folder of a run: history, curves' numbers and weights.

use super::Weights;
use super::history::{EpochRecord, HistoryWriter};
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// An open run folder.
pub struct RunFolder {
    path: PathBuf,
    history: HistoryWriter,
    best: f32,
}

/// What a run leaves beside its history.
const RESULTS: [&str; 4] =
    ["weights/best.safetensors", "weights/last.safetensors", "curves.png", "confusion_matrix.png"];

impl RunFolder {
    /// Makes the folder; `runs/1`, `runs/2`, ... where no path is given. With `force`, the files of an earlier run go
    /// at once: a run that is stopped in its first epoch must not show them as its own.
    ///
    /// # Errors
    /// A folder that already holds a run, or that cannot be made.
    pub fn create(path: Option<&Path>, force: bool) -> Result<Self> {
        let path = path.map_or_else(next_free, Path::to_owned);
        Self::check(Some(&path), force)?;
        let remedy = "name another folder with --out";
        std::fs::create_dir_all(path.join("weights")).map_err(|e| Error::file(&path, e, remedy))?;
        for name in RESULTS {
            match std::fs::remove_file(path.join(name)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::file(&path.join(name), error, remedy));
                }
                _ => {}
            }
        }
        let history = HistoryWriter::create(&path.join("history.csv"))?;
        Ok(Self { path, history, best: f32::NEG_INFINITY })
    }

    /// Refuses a folder that already holds a run; to ask before work begins.
    ///
    /// # Errors
    /// A folder that already holds a run.
    pub fn check(path: Option<&Path>, force: bool) -> Result<()> {
        match path {
            Some(path) if path.join("history.csv").exists() && !force => {
                Err(Error::file(path, "it already holds a run", "name another folder with --out, or give --force"))
            }
            _ => Ok(()),
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes an epoch down: its line of history, the last weights, and the best where it is the best so far (by
    /// accuracy on the test side).
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn epoch(&mut self, record: &EpochRecord, weights: &Weights) -> Result<()> {
        self.history.append(record)?;
        self.last(weights)?;
        if record.val_accuracy > self.best {
            self.best = record.val_accuracy;
            weights.save(&self.path.join("weights/best.safetensors"))?;
        }
        Ok(())
    }

    /// Writes the last weights.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn last(&self, weights: &Weights) -> Result<()> {
        weights.save(&self.path.join("weights/last.safetensors"))
    }
}

fn next_free() -> PathBuf {
    let mut numbered = (1..).map(|number| Path::new("runs").join(number.to_string()));
    numbered.find(|path| !path.exists()).unwrap_or_else(|| PathBuf::from("runs/1"))
}

/// The weights of a run folder (`best`, or `last` where asked for or where there is no best), or of a file.
///
/// # Errors
/// No such file, or one that cannot be used; see [`Weights::load`].
pub fn find_weights(run: &Path, last: bool) -> Result<Weights> {
    if run.is_file() {
        return Weights::load(run);
    }
    let [best_file, last_file] = ["best", "last"].map(|name| run.join(format!("weights/{name}.safetensors")));
    let found = if !last && best_file.is_file() { best_file } else { last_file };
    if !found.is_file() {
        let remedy = "name a run folder or a weights file that `galaxy-gpu train` has written";
        return Err(Error::file(run, "it holds no weights", remedy));
    }
    Weights::load(&found)
}
