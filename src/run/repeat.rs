//! Trains a recipe with seed after seed, and resumes such a series.

use super::observer::Observer;
use super::series::{MOST_SEEDS, Series};
use super::train::{begin, reopen};
use super::{Changes, Recipe, Target, recipe_of};
use crate::error::{Error, Result};
use crate::report::{self, comparison::Curves};
use crate::train::history::History;
use crate::train::summary::Summary;
use crate::train::{Checkpoint, RunFolder, is_out_of_patience};
use serde_json::Value;
use std::cell::Cell;
use std::path::{Path, PathBuf};

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
