//! The folder of a run: history, curves' numbers and weights. It knows the names of a run's files, not who draws them.

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

impl RunFolder {
    /// Makes the folder; `runs/1`, `runs/2`, ... where no path is given. The files of an earlier run are only removed
    /// with `force`, and then all of them, so that none is taken for this run's.
    ///
    /// # Errors
    /// As [`RunFolder::check`]; files of an earlier run that cannot be removed.
    pub fn create(path: Option<&Path>, force: bool) -> Result<Self> {
        let path = path.map_or_else(next_free, Path::to_owned);
        Self::check(Some(&path), force)?;
        std::fs::create_dir_all(path.join("weights")).map_err(|e| Error::file(&path, e, ANOTHER))?;
        if force {
            remove_earlier_run(&path)?;
        }
        let history = HistoryWriter::create(&path.join("history.csv"))?;
        Ok(Self { path, history, best: f32::NEG_INFINITY })
    }

    /// Refuses a folder that already holds a run, and a path where none can be written; to ask before work begins, as it
    /// leaves nothing behind.
    ///
    /// # Errors
    /// A folder that already holds a run (without `force`), a path that is a file, a folder that cannot be made or
    /// written to.
    pub fn check(path: Option<&Path>, force: bool) -> Result<()> {
        let path = path.map_or_else(next_free, Path::to_owned);
        let taken = ["history.csv", "weights/best.safetensors", "weights/last.safetensors"];
        if !force && taken.iter().any(|name| path.join(name).exists()) {
            return Err(Error::file(&path, "it already holds a run", format!("{ANOTHER}, or give --force")));
        }
        writable(&path)?;
        writable(&path.join("weights"))
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

/// What to do about a folder that will not do.
const ANOTHER: &str = "name another folder with --out";

/// Refuses a folder that is not there and cannot be made, or that files cannot be written to.
fn writable(folder: &Path) -> Result<()> {
    // A link that leads nowhere is there, too: a folder cannot be made in its place.
    let there = folder.ancestors().find(|path| path.symlink_metadata().is_ok()).unwrap_or(Path::new("."));
    if !there.is_dir() {
        return Err(Error::file(there, "it is no folder", ANOTHER));
    }
    let failed = |error| Error::file(there, format!("it cannot be written to ({error})"), ANOTHER);
    tempfile::tempfile_in(there).map(drop).map_err(failed)
}

/// Removes the files that a run leaves behind, the history last: what is cut off in between is still a run's folder.
fn remove_earlier_run(folder: &Path) -> Result<()> {
    let failed = |path: &Path, error| Error::file(path, format!("it cannot be removed ({error})"), ANOTHER);
    let weights = folder.join("weights");
    for entry in std::fs::read_dir(&weights).map_err(|e| failed(&weights, e))? {
        let path = entry.map_err(|e| failed(&weights, e))?.path();
        if path.extension().is_some_and(|ending| ending == "safetensors") {
            std::fs::remove_file(&path).map_err(|e| failed(&path, e))?;
        }
    }
    for name in ["curves.png", "confusion_matrix.png", "history.csv"] {
        let path = folder.join(name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(&path, error)),
            _ => {}
        }
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn force_leaves_nothing_of_the_earlier_run() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        RunFolder::create(Some(&run), false).unwrap();
        for name in ["weights/best.safetensors", "weights/last.safetensors", "curves.png", "confusion_matrix.png"] {
            fs::write(run.join(name), "old").unwrap();
        }
        fs::write(run.join("notes.txt"), "mine").unwrap();
        let message = RunFolder::create(Some(&run), false).err().unwrap().to_string();
        assert!(message.contains("already holds a run") && message.contains("--force"), "{message}");
        assert!(run.join("weights/best.safetensors").exists(), "a refusal removes nothing");

        RunFolder::create(Some(&run), true).unwrap();
        assert_eq!(fs::read_dir(run.join("weights")).unwrap().count(), 0);
        let mut left: Vec<_> = fs::read_dir(&run).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["history.csv", "notes.txt", "weights"]);
    }

    #[test]
    fn weights_without_a_history_are_a_run_too() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("weights")).unwrap();
        RunFolder::check(Some(folder.path()), false).unwrap();
        fs::write(folder.path().join("weights/best.safetensors"), "old").unwrap();
        assert!(RunFolder::check(Some(folder.path()), false).is_err());
        RunFolder::check(Some(folder.path()), true).unwrap();
    }

    #[test]
    fn paths_that_cannot_be_folders_are_refused_before_anything_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "mine").unwrap();
        for path in [file.clone(), file.join("run")] {
            for force in [false, true] {
                let message = RunFolder::check(Some(&path), force).unwrap_err().to_string();
                assert!(message.contains("file: it is no folder; name another folder"), "{message}");
            }
        }
        RunFolder::check(Some(&folder.path().join("a/b/c")), false).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something was left behind");
        // No one, not even root, writes here.
        #[cfg(target_os = "linux")]
        assert!(RunFolder::check(Some(Path::new("/proc/galaxy-gpu/run")), false).is_err());
    }
}
