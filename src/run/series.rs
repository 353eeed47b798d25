//! A series: the same training with several seeds, each in a run folder of its own below one folder.
//!
//! `FOLDER/repeat.json` says which seeds there are and with which settings; `FOLDER/seed-0` and so on are run folders like any
//! other. The scores in the file are made of those folders, and the folders are what counts.

use crate::error::{Error, Result};
use crate::files::{read_text, write_whole};
use crate::train::summary::{SCORES, Spread, Summary};
use crate::train::{RunFolder, SERIES};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// Largest file that is read, in bytes.
const LARGEST_FILE: u64 = 64 << 20;
/// Most trainings of a series.
pub const MOST_SEEDS: u32 = 1000;

/// The same training with several seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Version of the program that began it.
    pub program: String,
    /// The seeds, in the order they are trained.
    pub seeds: Vec<u64>,
    /// Every setting of the training: a [`Recipe`](super::Recipe) as JSON.
    pub settings: Value,
}

impl Series {
    /// Whether a folder holds a series.
    pub fn is_in(folder: &Path) -> bool {
        folder.join(SERIES).is_file()
    }

    /// Reads the file of a folder.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be read or is none.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(SERIES);
        let refuse =
            |problem: String| Error::file(&path, problem, "name the folder of a series as `train --repeat` left it");
        let text = read_text(&path, LARGEST_FILE)?;
        let series: Self = serde_json::from_str(&text).map_err(|error| refuse(format!("no series ({error})")))?;
        match series.seeds.len() {
            count if (1..=MOST_SEEDS as usize).contains(&count) => Ok(series),
            count => Err(refuse(format!("it has {count} seeds, not 1 to {MOST_SEEDS}"))),
        }
    }

    /// The run folder of a seed.
    pub fn run(folder: &Path, seed: u64) -> PathBuf {
        folder.join(format!("seed-{seed}"))
    }

    /// The runs that have left something, in the order of the seeds.
    pub fn runs(&self, folder: &Path) -> Vec<(u64, Summary)> {
        let read = |&seed: &u64| Summary::read(&Self::run(folder, seed)).ok().map(|run| (seed, run));
        self.seeds.iter().filter_map(read).collect()
    }

    /// The most epochs that a run has behind it.
    pub(super) fn epochs(&self, folder: &Path) -> usize {
        let histories = self.seeds.iter().filter_map(|&seed| RunFolder::history_of(&Self::run(folder, seed)).ok());
        histories.map(|history| history.epochs.len()).max().unwrap_or(0)
    }

    /// Removes the runs of these seeds and of those that the folder's own file names, but for one, and then that file.
    ///
    /// # Errors
    /// As [`RunFolder::clear`].
    pub fn clear(folder: &Path, seeds: &[u64], but: Option<u64>) -> Result<()> {
        // a file that cannot be read names none
        let own = Self::read(folder).map_or(Vec::new(), |series| series.seeds);
        for &seed in own.iter().chain(seeds).filter(|&&seed| Some(seed) != but) {
            RunFolder::clear(&Self::run(folder, seed))?;
        }
        let path = folder.join(SERIES);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::file(&path, format!("it cannot be removed ({error})"), "name another folder with --out"))
            }
            _ => Ok(()),
        }
    }

    /// Writes the file with the scores of these runs.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be written.
    pub(super) fn write(&self, folder: &Path, runs: &[(u64, Summary)]) -> Result<()> {
        let path = folder.join(SERIES);
        let failed = |error| Error::file(&path, error, "please report this");
        let mut value = serde_json::to_value(self).map_err(failed)?;
        if let (Value::Object(fields), Value::Object(scores)) = (&mut value, scores(runs)) {
            fields.extend(scores);
        }
        let text = serde_json::to_string_pretty(&value).map_err(failed)?;
        write_whole(&path, (text + "\n").as_bytes())
    }
}

/// `runs`: the scores of each run; `scores`: their means, deviations and values. What a run lacks is null.
pub fn scores(runs: &[(u64, Summary)]) -> Value {
    let summaries: Vec<Summary> = runs.iter().map(|(_, run)| run.clone()).collect();
    let of_runs = runs.iter().map(|(seed, run)| {
        let mut fields = Map::from_iter([("seed".to_owned(), json!(seed)), ("run".to_owned(), json!(run.folder))]);
        fields.extend(SCORES.iter().map(|score| (score.name.to_owned(), json!((score.of)(run)))));
        fields.extend([("split_hash".to_owned(), json!(run.card.as_ref().map(|card| &card.split_hash)))]);
        fields.extend([("weights_hash".to_owned(), json!(run.last))]);
        Value::Object(fields)
    });
    let spreads = SCORES.iter().map(|score| {
        let spread: Option<Spread> = score.spread(&summaries);
        (score.name.to_owned(), json!(spread))
    });
    json!({ "runs": of_runs.collect::<Vec<Value>>(), "scores": spreads.collect::<Map<String, Value>>() })
}
