//! A series: the same training with several seeds, each in a run folder of its own below one folder.
//!
//! `FOLDER/repeat.json` says which seeds there are and with which settings; `FOLDER/seed-0` and so on are run folders like any
//! other. The scores in the file are made of those folders, and the folders are what counts.

use super::observer::Observer;
use super::train::{begin, reopen};
use super::{Changes, Recipe, Target, recipe_of};
use crate::error::{Error, Result};
use crate::files::{read_text, write_whole};
use crate::report::{self, comparison::Curves};
use crate::train::history::History;
use crate::train::summary::{SCORES, Spread, Summary};
use crate::train::{Checkpoint, RunFolder, SERIES, is_out_of_patience};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::cell::Cell;
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
    /// Every setting of the training: a [`Recipe`] as JSON.
    pub settings: Value,
}

/// How far a training of a series has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It has left nothing to resume.
    New,
    /// It was cut off.
    Begun,
    /// It has measured its test set.
    Ended,
}

impl Stage {
    /// Of the run folder of a seed. A run that has ended is resumed where it has fewer than `epochs` epochs and is not out of
    /// patience.
    fn of(run: &Path, epochs: u32, patience: Option<u32>) -> Self {
        let mut checkpoints = std::fs::read_dir(run.join("checkpoint")).into_iter().flatten();
        if checkpoints.next().is_none() {
            return Self::New;
        }
        let is_whole = |run: &Summary| {
            let is_long =
                |history: &History| history.epochs.len() >= epochs as usize || is_out_of_patience(patience, history);
            run.measured.is_some() && run.history.as_ref().is_some_and(is_long)
        };
        if Summary::read(run).is_ok_and(|run| is_whole(&run)) { Self::Ended } else { Self::Begun }
    }
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
    fn epochs(&self, folder: &Path) -> usize {
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
    fn write(&self, folder: &Path, runs: &[(u64, Summary)]) -> Result<()> {
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

/// A series that is over, or was stopped.
pub struct EndedSeries {
    /// Its folder.
    pub folder: PathBuf,
    /// Its seeds.
    pub seeds: Vec<u64>,
    /// What each seed has left.
    pub runs: Vec<(u64, Summary)>,
    /// The seed that failed, and why.
    pub failure: Option<(u64, Error)>,
}

impl EndedSeries {
    /// How many seeds have measured their test set.
    pub fn ended(&self) -> usize {
        self.runs.iter().filter(|(_, run)| run.measured.is_some()).count()
    }
}

/// Trains `count` times, with the recipe's seed and those after it, each in a run folder of its own. The first seed that fails ends the
/// series, and what is done stays.
///
/// # Errors
/// As [`train`](super::train) refuses, before anything is written.
pub fn train_series(recipe: &Recipe, count: u32, target: &Target, observer: &mut dyn Observer) -> Result<EndedSeries> {
    let folder = target.folder.clone().unwrap_or_else(RunFolder::next_free);
    let seeds = seeds(recipe.seed, count)?;
    RunFolder::check(Some(&folder), target.force)?;
    for &seed in &seeds {
        RunFolder::check(Some(&Series::run(&folder, seed)), target.force)?;
    }
    if target.force {
        check_inputs(recipe, &folder)?;
    }
    if let Some(split) = &recipe.split {
        observer.note(format!("every seed has the split of {}: only the training varies", split.display()));
    }
    let series = Series { program: env!("CARGO_PKG_VERSION").into(), seeds, settings: settings(recipe) };
    let plan = SeriesPlan { folder, series, replaces: target.force, changes: Changes::default(), target };
    plan.train(recipe, |_| Stage::New, observer)
}

/// Resumes a series: seeds that have ended are passed over, one that was cut off is resumed, the others follow. `count` may make it longer.
///
/// # Errors
/// As [`train_series`]; a setting that may not change.
pub fn resume_series(
    folder: &Path,
    count: Option<u32>,
    changes: &Changes,
    report: bool,
    observer: &mut dyn Observer,
) -> Result<EndedSeries> {
    let mut series = Series::read(folder)?;
    let first = series.seeds[0];
    if let Some(count) = count {
        if (count as usize) < series.seeds.len() {
            let allowed = format!("left out or at least {}, the seeds of the series", series.seeds.len());
            return Err(Error::setting("--repeat", count, allowed));
        }
        series.seeds = seeds(first, count)?;
    }
    let own = Recipe::from_json(&series.settings, &series.program)?;
    // what `auto` has become in a seed that has begun holds for the others; how long they are trained, and from where the model's path
    // leads, only the series knows
    let begun = series.seeds.iter().find_map(|&seed| Checkpoint::load(&Series::run(folder, seed)).ok());
    let begun = begun.map(|(checkpoint, _)| recipe_of(&checkpoint.identity)).transpose()?;
    let own = Recipe { epochs: own.epochs, patience: own.patience, model: own.model.clone(), ..begun.unwrap_or(own) };
    let recipe = Recipe { seed: first, ..own.resumed(changes, series.epochs(folder))? };
    series.settings = settings(&recipe);
    // what was cut off before its first checkpoint has nothing to lose
    let target = Target { force: true, report, model_of_weights: !changes.give("model"), ..Target::default() };
    let changes = changes.clone().and_length_of(&recipe);
    let plan = SeriesPlan { folder: folder.to_owned(), series, replaces: false, changes, target: &target };
    plan.train(&recipe, |run| Stage::of(run, recipe.epochs, recipe.patience), observer)
}

/// The seeds of a series.
fn seeds(first: u64, count: u32) -> Result<Vec<u64>> {
    if !(1..=MOST_SEEDS).contains(&count) {
        return Err(Error::setting("--repeat", count, format!("from 1 to {MOST_SEEDS}")));
    }
    let last = first.checked_add(u64::from(count) - 1);
    let allowed = format!("small enough for {count} seeds to follow each other");
    Ok((first..=last.ok_or_else(|| Error::setting("--seed", first, allowed))?).collect())
}

/// Every setting, for the file of the series. A seed that has begun knows its network itself; the others read its file, from whatever folder
/// they are trained.
fn settings(recipe: &Recipe) -> Value {
    let file = recipe.model_file().and_then(|file| std::path::absolute(file).ok());
    let model = file.map_or(recipe.model.clone(), |file| file.to_string_lossy().into_owned());
    Recipe { model, ..recipe.clone() }.to_json()
}

/// Refuses a model or weights inside the folder that is replaced: the first seed would remove them before the last one reads them.
fn check_inputs(recipe: &Recipe, folder: &Path) -> Result<()> {
    let inside = |path: &Path| {
        let [path, folder] = [path, folder].map(std::fs::canonicalize);
        path.is_ok_and(|path| folder.is_ok_and(|folder| path.starts_with(folder)))
    };
    for (name, path) in [("--model", recipe.model_file()), ("--weights", recipe.weights.clone())] {
        if let Some(path) = path.filter(|path| inside(path)) {
            let allowed = format!("outside {}, which --force replaces; copy it first", folder.display());
            return Err(Error::setting(name, path.display(), allowed));
        }
    }
    Ok(())
}

/// A series that is about to be trained.
struct SeriesPlan<'t> {
    folder: PathBuf,
    series: Series,
    /// Whether an earlier run or series in the folder is to go.
    replaces: bool,
    /// What changes for seeds that are resumed.
    changes: Changes,
    target: &'t Target,
}

impl SeriesPlan<'_> {
    /// Trains seed after seed, and writes the scores after each.
    fn train(
        self,
        recipe: &Recipe,
        stage: impl Fn(&Path) -> Stage,
        observer: &mut dyn Observer,
    ) -> Result<EndedSeries> {
        let (begun, count) = (Cell::new(false), self.series.seeds.len());
        let mut failure = None;
        for (index, &seed) in self.series.seeds.iter().enumerate() {
            let run = Series::run(&self.folder, seed);
            let stage = stage(&run);
            if stage == Stage::Ended {
                continue;
            }
            let begins = &mut || self.begins(seed, &begun);
            observer.seed(seed, index + 1, count);
            let ended = match stage {
                Stage::Begun => reopen(&run, &self.changes, self.target.report, begins, observer),
                _ => {
                    let target = Target { folder: Some(run), ..self.target.clone() };
                    begin(&Recipe { seed, ..recipe.clone() }, &target, begins, observer)
                }
            };
            match ended {
                // refused before anything was written
                Err(error) if !begun.get() => return Err(error),
                ended => failure = ended.err().map(|error| (seed, error)),
            }
            self.keep(observer)?;
            if failure.is_some() || observer.stop() {
                break;
            }
        }
        let runs = self.series.runs(&self.folder);
        Ok(EndedSeries { folder: self.folder, seeds: self.series.seeds, runs, failure })
    }

    /// Before the first training writes anything, the file that says what follows.
    fn begins(&self, seed: u64, begun: &Cell<bool>) -> Result<()> {
        // after each training it is written again
        if !begun.get() {
            if self.replaces {
                Series::clear(&self.folder, &self.series.seeds, Some(seed))?;
                RunFolder::clear(&self.folder)?;
            }
            self.series.write(&self.folder, &self.series.runs(&self.folder))?;
            begun.set(true);
        }
        Ok(())
    }

    /// Writes the scores and curves of what there is.
    fn keep(&self, observer: &mut dyn Observer) -> Result<()> {
        let runs = self.series.runs(&self.folder);
        self.series.write(&self.folder, &runs)?;
        let curves = runs
            .iter()
            .map(|(seed, run)| Curves { name: format!("seed {seed}"), histories: run.history.iter().collect() });
        let curves: Vec<Curves> = curves.collect();
        let drawn = report::comparison(&curves, &self.folder.join("curves.png"));
        drawn.unwrap_or_else(|error| observer.note(error.to_string()));
        Ok(())
    }
}
