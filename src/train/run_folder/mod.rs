//! The folder of a run: history, curves' numbers and weights. It knows the names of a run's files, not who draws them.

use super::Early;
use super::assess::Assessment;
use super::checkpoint::{Checkpoint, places};
use super::history::{EpochRecord, History};
use super::weights::Weights;
use crate::error::{Error, Result};
use crate::files::{Claim, claim, remove_unfinished, unlinked, write_whole};
use std::fs::File;
use std::path::{Path, PathBuf};

/// An open run folder, which no other process may open to write.
pub struct RunFolder {
    path: PathBuf,
    history: History,
    /// Weights of the best epoch that could not be written yet.
    unsaved_best: Option<Weights>,
    /// Held as long as the folder is open.
    lock: Option<File>,
}

impl RunFolder {
    /// Makes the folder; `runs/1`, `runs/2`, ... where no path is given. The files of an earlier run are only removed
    /// with `force`, and then all of them, so that none is taken for this run's.
    ///
    /// # Errors
    /// As [`RunFolder::check`]; another process that writes to it; files of an earlier run that cannot be removed.
    pub fn create(path: Option<&Path>, force: bool) -> Result<Self> {
        let path = path.map_or_else(Self::next_free, Path::to_owned);
        Self::check(Some(&path), force)?;
        std::fs::create_dir_all(path.join("weights")).map_err(|e| Error::file(&path, e, ANOTHER))?;
        let lock = lock(&path)?;
        // another process may have had it, and ended, in between
        Self::check(Some(&path), force)?;
        if force {
            remove_earlier_run(&path)?;
        }
        let folder = Self { path, history: History::default(), unsaved_best: None, lock };
        folder.history.write(&folder.path.join("history.csv"))?;
        Ok(folder)
    }

    /// Opens the folder of a run that was cut off, and changes nothing in it yet.
    ///
    /// # Errors
    /// No checkpoint to resume from (as [`Checkpoint::load`]); another process that writes to it.
    pub fn reopen(path: &Path) -> Result<(Self, Checkpoint, Option<String>)> {
        Checkpoint::load(path)?;
        check_links(path)?;
        let lock = lock(path)?;
        // what another process has written until it ended
        let (checkpoint, note) = Checkpoint::load(path)?;
        let history = checkpoint.state.standing.history.clone();
        Ok((Self { path: path.to_owned(), history, unsaved_best: None, lock }, checkpoint, note))
    }

    /// Opens the folder of a run that has ended, to make something of it anew; no one may train into it meanwhile.
    ///
    /// # Errors
    /// No readable history; another process that writes to it.
    pub fn open(path: &Path) -> Result<Self> {
        Self::history_of(path)?;
        let lock = lock(path)?;
        Ok(Self { path: path.to_owned(), history: Self::history_of(path)?, unsaved_best: None, lock })
    }

    /// The epochs of the run in a folder, without opening it.
    ///
    /// # Errors
    /// No readable history.
    pub fn history_of(path: &Path) -> Result<History> {
        History::read(&path.join("history.csv"))
    }

    /// The epochs of the run.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Brings the files of a reopened folder to where its checkpoint stands; says what is dropped.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn rewind(&self) -> Result<Option<String>> {
        for folder in ["", "weights", "checkpoint"] {
            remove_unfinished(&self.path.join(folder));
        }
        let place = self.path.join("history.csv");
        let found = std::fs::read(&place).unwrap_or_default();
        let kept = self.history.epochs.len();
        self.history.write(&place)?;
        // it is measured again at the end
        for name in MEASURED {
            let _ = std::fs::remove_file(self.path.join(name));
        }
        let lines = found.iter().filter(|&&byte| byte == b'\n').count().saturating_sub(1);
        let torn = if found.last().is_some_and(|&byte| byte != b'\n') { ", and half a line" } else { "" };
        Ok((lines > kept || !torn.is_empty()).then(|| {
            let epochs = lines.saturating_sub(kept);
            let dropped = format!("epochs after the checkpoint dropped: {epochs}{torn}; they are trained again");
            format!("{}: {dropped}", place.display())
        }))
    }

    /// Refuses a folder that already holds a run, and a path where none can be written; to ask before work begins, as it
    /// leaves nothing behind.
    ///
    /// # Errors
    /// A folder that already holds a run (without `force`), a path that is a file, a folder that cannot be made or
    /// written to.
    pub fn check(path: Option<&Path>, force: bool) -> Result<()> {
        let path = path.map_or_else(Self::next_free, Path::to_owned);
        let [current, previous] = places(&path);
        let weights = ["best", "last"].map(|name| path.join(format!("weights/{name}.safetensors")));
        check_links(&path)?;
        let names = MEASURED.into_iter().chain(ALONG_THE_WAY).chain([SERIES]).map(|name| path.join(name));
        let mut taken = weights.into_iter().chain(names).chain([current, previous]);
        if let Some(file) = taken.find(|file| !force && file.symlink_metadata().is_ok_and(|about| !about.is_dir())) {
            if !is_run(&path) {
                let remedy = format!("{ANOTHER}, or move the file");
                return Err(Error::file(&file, "a run would replace it, and no run has left it", remedy));
            }
            let remedy = format!("{ANOTHER}, resume it (--resume), or give --force");
            return Err(Error::file(&path, "it already holds a run", remedy));
        }
        writable(&path)?;
        writable(&path.join("weights"))
    }

    /// Removes all that a run or series has left in a folder, and the folder where nothing else is in it.
    ///
    /// # Errors
    /// Another process that writes to it; files that cannot be removed.
    pub fn clear(path: &Path) -> Result<()> {
        if !path.is_dir() {
            return Ok(());
        }
        let lock = lock(path)?;
        remove_earlier_run(path)?;
        drop(lock);
        // what is not empty holds something of the user's
        let _ = std::fs::remove_file(path.join(".lock"));
        for folder in ["weights", "checkpoint", "tensorboard", ""].map(|name| path.join(name)) {
            let _ = std::fs::remove_dir(folder);
        }
        Ok(())
    }

    /// The folder of a run whose user names none: `runs/1`, `runs/2`, ..., the first that is not there.
    pub fn next_free() -> PathBuf {
        let mut numbered = (1..).map(|number| Path::new("runs").join(number.to_string()));
        numbered.find(|path| !path.exists()).unwrap_or_else(|| PathBuf::from("runs/1"))
    }

    /// Writes down the settings of the run and its model, from which it can be trained again.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn settings(&self, settings: &str, model: &str) -> Result<()> {
        let texts = SETTINGS.iter().zip([settings, model]);
        texts.into_iter().try_for_each(|(name, text)| write_whole(&self.path.join(name), text.as_bytes()))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file system can keep a second process away.
    pub fn is_locked(&self) -> bool {
        self.lock.is_some()
    }

    /// Writes an epoch down: the history, the last weights, and the best where it is the best so far (by accuracy on the
    /// side of the split that chooses it, the first of equals). All of it is tried; what cannot be written is tried again
    /// by the next call, and what was there before stays.
    ///
    /// # Errors
    /// The first file that could not be written.
    pub fn epoch(&mut self, record: &EpochRecord, weights: &Weights) -> Result<()> {
        self.history.epochs.push(record.clone());
        if self.is_best(record) {
            self.unsaved_best = Some(weights.clone());
        }
        self.finish(weights)
    }

    /// Whether this epoch is the best so far.
    pub fn is_best(&self, record: &EpochRecord) -> bool {
        self.history.best().is_some_and(|best| best.epoch == record.epoch)
    }

    /// Forgets the epochs beyond these, which have been undone; the file follows with the next epoch. The best weights stay, even
    /// if they are those of an epoch that was undone, until an epoch is the best of the history.
    pub fn undo(&mut self, history: &History) {
        self.history = history.clone();
    }

    /// Writes the last weights, and whatever could not be written before. A folder that has vanished is made again.
    ///
    /// # Errors
    /// The first file that could not be written.
    pub fn finish(&mut self, last: &Weights) -> Result<()> {
        let folder = self.path.join("weights");
        // if it cannot be made, the files say why
        let _ = std::fs::create_dir_all(&folder);
        let history = self.history.write(&self.path.join("history.csv"));
        let best = self.unsaved_best.as_ref().map_or(Ok(()), |best| best.save(&folder.join("best.safetensors")));
        if best.is_ok() {
            self.unsaved_best = None;
        }
        history.and(last.save(&folder.join("last.safetensors"))).and(best)
    }

    /// Writes down what the finished run measured, and why it ended before its last epoch, where it did.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn metrics(&self, assessment: &Assessment, ended_early: Option<Early>) -> Result<()> {
        let path = self.path.join(METRICS);
        let text = serde_json::to_string_pretty(&Finished { assessment, ended_early })
            .map_err(|e| Error::file(&path, e, "please report this"))?;
        write_whole(&path, (text + "\n").as_bytes())
    }
}

/// The file that says which runs of a series are in a folder.
pub const SERIES: &str = "repeat.json";
/// The settings of a run, and its model, which those name.
const SETTINGS: [&str; 2] = ["config.toml", "model.toml"];
/// What a finished run has measured at its end.
const METRICS: &str = "metrics.json";
/// What is made of those measurements, and of the data.
const MEASURED: [&str; 13] = [
    METRICS,
    "confusion_matrix.png",
    "confusion_matrix.svg",
    "confusion_matrix.pdf",
    "reliability.png",
    "reliability.svg",
    "reliability.pdf",
    "mistakes.png",
    "samples.png",
    "augmented.png",
    "curves.svg",
    "curves.pdf",
    "report.html",
];
/// What else a run leaves behind beside checkpoints and weights; the history last.
const ALONG_THE_WAY: [&str; 5] = ["curves.png", "log.txt", SETTINGS[0], SETTINGS[1], "history.csv"];
/// The files of tensors in them.
const TENSORS: [&str; 5] = ["best", "last", "current", "previous", "next"];
/// The folders within a run's.
const FOLDERS: [&str; 3] = ["checkpoint", "weights", "tensorboard"];
/// What to do about a folder that will not do.
const ANOTHER: &str = "name another folder with --out";

/// What a run that has come to its end leaves to be read.
#[derive(serde::Serialize)]
struct Finished<'a> {
    #[serde(flatten)]
    assessment: &'a Assessment,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_early: Option<Early>,
}

/// Whether a folder holds what only a run or a series leaves.
fn is_run(folder: &Path) -> bool {
    let weights = ["best", "last"].map(|name| format!("weights/{name}.safetensors"));
    let names = weights.iter().map(String::as_str).chain(["history.csv", SETTINGS[0], SERIES]);
    places(folder).iter().any(|file| file.exists()) || names.into_iter().any(|name| folder.join(name).exists())
}

/// Refuses links in place of the folders of a run: what they lead to belongs to someone else.
fn check_links(run: &Path) -> Result<()> {
    let folders = FOLDERS.map(|name| run.join(name));
    match folders.iter().find(|folder| folder.is_symlink()) {
        Some(link) => {
            Err(Error::file(link, "it is a link, which no run follows", format!("remove the link, or {ANOTHER}")))
        }
        None => Ok(()),
    }
}

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

/// Keeps other processes from writing to a run folder, as long as the file is open. `None` on a file system that has no
/// locks. The file stays, as removing it would let two processes lock two files of one name.
fn lock(folder: &Path) -> Result<Option<File>> {
    let path = folder.join(".lock");
    let file = unlinked().create(true).append(true).open(&path);
    let file = file.map_err(|e| Error::file(&path, format!("it cannot be written ({e})"), ANOTHER))?;
    match claim(&file) {
        Claim::Locked => Ok(Some(file)),
        Claim::Taken => {
            Err(Error::file(folder, "another process is training into it", format!("wait for its end, or {ANOTHER}")))
        }
        Claim::NoLocks => Ok(None),
    }
}

/// Removes the files that a run leaves behind, the history last: what is cut off in between is still a run's folder.
fn remove_earlier_run(folder: &Path) -> Result<()> {
    let failed = |path: &Path, error| Error::file(path, format!("it cannot be removed ({error})"), ANOTHER);
    check_links(folder)?;
    remove_unfinished(folder);
    for below in FOLDERS.map(|name| folder.join(name)) {
        remove_unfinished(&below);
        if !below.is_dir() {
            continue;
        }
        for entry in std::fs::read_dir(&below).map_err(|e| failed(&below, e))? {
            let entry = entry.map_err(|e| failed(&below, e))?;
            let path = entry.path();
            let name = entry.file_name();
            let name = name.to_string_lossy();
            // the user's own networks may lie beside the run's
            let stem = name.strip_suffix(".safetensors");
            if name.ends_with(".galaxy-gpu") || stem.is_some_and(|stem| TENSORS.contains(&stem)) {
                std::fs::remove_file(&path).map_err(|e| failed(&path, e))?;
            }
        }
    }
    for name in MEASURED.into_iter().chain(ALONG_THE_WAY) {
        let path = folder.join(name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(&path, error)),
            _ => {}
        }
    }
    Ok(())
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
mod tests;
