//! `train --repeat N`: the same training with seed after seed, and what its scores vary by.
//!
//! Each seed is a training like any other in a run folder of its own. This file knows which seeds there are and what has
//! become of them, and nothing of how one is trained.

use super::console::{INTERRUPTED, end_series, listen_for_interrupts};
use super::resume::{self, Given};
use super::train::{self, Args, Json};
use super::{print_note, print_text, voice};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::report::{self, Table, comparison::Curves};
use crate::train::series::{MOST_SEEDS, Series, Standing, scores};
use crate::train::summary::{SCORES, Spread, Summary};
use crate::train::{Checkpoint, RunFolder};
use anyhow::Context;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The settings that say how long each seed is trained, which a series that goes on may change.
const LENGTH: [&str; 2] = ["epochs", "patience"];

/// A series under way, which each of its trainings belongs to.
#[derive(Clone)]
pub struct Part {
    folder: PathBuf,
    series: Series,
    /// Whether an earlier run or series in the folder is to go.
    replaces: bool,
    /// Whether one of its trainings has begun in this process.
    begun: Arc<AtomicBool>,
}

/// Runs `train`: a series where --repeat asks for one or --resume names one, else a single training.
///
/// # Errors
/// As [`train::run`]; the first seed that fails ends a series, and what is done stays.
pub fn run(args: Args, given: &[Given]) -> anyhow::Result<ExitCode> {
    match (&args.resume, args.repeat) {
        (Some(folder), _) if Series::is_in(folder) => go_on(folder.clone(), args, given),
        (Some(_), Some(count)) => {
            let allowed = "left out with --resume of a run, or used with --resume of a series";
            Err(Error::setting("--repeat", count, allowed).into())
        }
        (None, Some(count)) => begin(args, count, given),
        (_, None) => train::run(args, given),
    }
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

/// The file of a network that is no preset.
fn model_file(args: &Args) -> Option<&Path> {
    Model::preset(&args.model).is_none().then(|| Path::new(&args.model))
}

/// Every setting, for the file of the series. A seed that has begun knows its network itself; the others read its file, from
/// whatever folder they are trained.
fn settings(args: &Args) -> Result<Value> {
    let mut settings = resume::stored(args)?;
    if let Some(Ok(file)) = model_file(args).map(std::path::absolute) {
        settings["model"] = file.to_string_lossy().into();
    }
    Ok(settings)
}

/// Refuses what every seed begins with where it lies in the folder that is replaced: it would be gone, or trained anew, before
/// the last seed.
fn outlives(args: &Args, folder: &Path) -> Result<()> {
    let inside = |path: &Path| {
        let [path, folder] = [path, folder].map(std::fs::canonicalize);
        path.is_ok_and(|path| folder.is_ok_and(|folder| path.starts_with(folder)))
    };
    for (name, path) in [("--model", model_file(args)), ("--weights", args.weights.as_deref())] {
        if let Some(path) = path.filter(|path| inside(path)) {
            let allowed = format!("outside {}, which --force replaces; copy it first", folder.display());
            return Err(Error::setting(name, path.display(), allowed));
        }
    }
    Ok(())
}

fn begin(args: Args, count: u32, given: &[Given]) -> anyhow::Result<ExitCode> {
    let folder = args.out.clone().unwrap_or_else(RunFolder::next_free);
    let seeds = seeds(args.seed, count)?;
    RunFolder::check(Some(&folder), args.force)?;
    for &seed in &seeds {
        RunFolder::check(Some(&Series::run(&folder, seed)), args.force)?;
    }
    if args.force {
        outlives(&args, &folder)?;
    }
    if let Some(split) = &args.data.split {
        print_note(format!("every seed has the split of {}: only the training varies", split.display()));
    }
    let series = Series { program: env!("CARGO_PKG_VERSION").into(), seeds, settings: settings(&args)? };
    let part = Part { folder, series, replaces: args.force, begun: Arc::default() };
    part.train(&args, given, |_| Standing::New)
}

/// Goes on with a series: seeds that have ended are passed over, one that was cut off goes on, the others follow.
fn go_on(folder: PathBuf, args: Args, given: &[Given]) -> anyhow::Result<ExitCode> {
    let mut series = Series::read(&folder)?;
    let first = series.seeds[0];
    if let Some(count) = args.repeat {
        if (count as usize) < series.seeds.len() {
            let allowed = format!("left out or at least {}, the seeds of the series", series.seeds.len());
            return Err(Error::setting("--repeat", count, allowed).into());
        }
        series.seeds = seeds(first, count)?;
    }
    // what `auto` has become in the seeds that have begun holds for the others
    let begun = series.seeds.iter().find_map(|&seed| Checkpoint::load(&Series::run(&folder, seed)).ok());
    let mut settings = begun.map_or(series.settings.clone(), |(checkpoint, _)| checkpoint.identity.options);
    // the seeds may not have all been told yet how long the series is now, and none says from where its model's path leads
    for name in LENGTH.into_iter().chain(["model"]) {
        if let (Value::Object(settings), Some(value)) = (&mut settings, series.settings.get(name)) {
            settings.insert(name.into(), value.clone());
        }
    }
    let mut args = resume::merged_settings(args, given, &settings, &series.program, series.epochs(&folder))?;
    // what was cut off before its first checkpoint has nothing to lose
    (args.seed, args.resume, args.force) = (first, None, true);
    series.settings = self::settings(&args)?;
    let length = LENGTH.map(|id| Given { id: id.into(), option: format!("--{id}") });
    let given: Vec<Given> = given.iter().cloned().chain(length).collect();
    let part = Part { folder: folder.clone(), series, replaces: false, begun: Arc::default() };
    part.train(&args, &given, |seed| Standing::of(&Series::run(&folder, seed), args.epochs, args.patience))
}

impl Part {
    /// A training of the series has passed all refusals and begins: before the first one writes anything, the file that
    /// says what follows.
    ///
    /// # Errors
    /// A file that cannot be written or removed.
    pub fn begins(&self, seed: u64, quiet: bool) -> anyhow::Result<()> {
        let seeds = &self.series.seeds;
        let number = seeds.iter().position(|&other| other == seed).unwrap_or(0) + 1;
        // after each training it is written again
        if !self.begun.load(Ordering::Relaxed) {
            if self.replaces {
                Series::clear(&self.folder, seeds, Some(seed))?;
                RunFolder::clear(&self.folder)?;
            }
            self.series.write(&self.folder, &self.series.runs(&self.folder))?;
            self.begun.store(true, Ordering::Relaxed);
        }
        if quiet {
            return Ok(());
        }
        let gap = if number == 1 { "" } else { "\n" };
        print_text(format!("{gap}seed     {seed}, {number} of {}\n", seeds.len()))
    }

    /// Trains seed after seed, keeps the scores after each, and says what they are.
    fn train(self, args: &Args, given: &[Given], standing: impl Fn(u64) -> Standing) -> anyhow::Result<ExitCode> {
        let interrupted = listen_for_interrupts(INTERRUPTED)?;
        let mut failure = None;
        for &seed in &self.series.seeds {
            let run = Series::run(&self.folder, seed);
            let mut own = args.clone();
            (own.seed, own.repeat, own.part) = (seed, None, Some(self.clone()));
            match standing(seed) {
                Standing::Ended => continue,
                Standing::Begun => own.resume = Some(run),
                Standing::New => own.out = Some(run),
            }
            voice::forget_listeners();
            let ended = train::run(own, given);
            if !self.begun.load(Ordering::Relaxed) {
                // refused before anything was written
                return ended;
            }
            self.keep()?;
            failure = ended.with_context(|| format!("seed {seed}")).err();
            if failure.is_some() || interrupted.load(Ordering::Relaxed) {
                break;
            }
        }
        self.conclude(args.json, failure)
    }

    /// Writes the scores and curves of what there is.
    fn keep(&self) -> Result<()> {
        let runs = self.series.runs(&self.folder);
        self.series.write(&self.folder, &runs)?;
        let curves = runs
            .iter()
            .map(|(seed, run)| Curves { name: format!("seed {seed}"), histories: run.history.iter().collect() });
        let curves: Vec<Curves> = curves.collect();
        report::comparison(&curves, &self.folder.join("curves.png")).unwrap_or_else(print_note);
        Ok(())
    }

    /// Says what the seeds have come to.
    fn conclude(&self, json: Option<Json>, failure: Option<anyhow::Error>) -> anyhow::Result<ExitCode> {
        let runs = self.series.runs(&self.folder);
        let ended = runs.iter().filter(|(_, run)| run.measured.is_some()).count();
        let (count, folder) = (self.series.seeds.len(), self.folder.display());
        if json.is_none() && failure.is_none() {
            // the log of the last seed is not the series'; that of one that failed is still to hear why
            voice::forget_listeners();
        }
        if ended < count {
            print_note(format!("{ended} of {count} seeds have ended; `train --resume {folder}` goes on"));
        }
        if let Some(json) = json {
            let failure = failure.as_ref().map(|error| format!("{error:#}"));
            let mut about =
                json!({ "run": self.folder, "seeds": self.series.seeds, "ended": ended, "failure": failure });
            if let (Value::Object(about), Value::Object(scores)) = (&mut about, scores(&runs)) {
                about.extend(scores);
            }
            end_series(json, &about)?;
        } else {
            print_text(format!("\n{}\n", in_words(&runs)))?;
            print_text(format!("series   {folder} (repeat.json, curves.png, seed-.../)\n"))?;
        }
        failure.map_or(Ok(ExitCode::SUCCESS), Err)
    }
}

/// A row a seed, then mean and standard deviation.
fn in_words(runs: &[(u64, Summary)]) -> Table {
    let titles = SCORES.iter().map(|score| score.title);
    let titles: Vec<&str> = std::iter::once("seed").chain(titles).chain(["weights"]).collect();
    let mut table = Table::new(&titles).right(0..titles.len() - 1);
    let number = |value: Option<f64>, digits: usize| value.map_or("-".into(), |value| format!("{value:.digits$}"));
    for (seed, run) in runs {
        let scores = SCORES.iter().map(|score| number((score.of)(run), score.digits));
        let mut cells = vec![seed.to_string()];
        cells.extend(scores);
        cells.push(run.last.clone().unwrap_or_else(|| "-".into()));
        table.row(&cells);
    }
    let summaries: Vec<Summary> = runs.iter().map(|(_, run)| run.clone()).collect();
    let spreads: Vec<Option<Spread>> = SCORES.iter().map(|score| score.spread(&summaries)).collect();
    let row = |name: &str, of: fn(&Spread) -> Option<f64>| {
        let values = spreads.iter().zip(&SCORES);
        let values = values.map(|(spread, score)| number(spread.as_ref().and_then(of), score.digits.max(1)));
        std::iter::once(name.to_owned()).chain(values).collect::<Vec<String>>()
    };
    table.row(&row("mean", |spread| Some(spread.mean)));
    table.row(&row("deviation", |spread| spread.deviation));
    table
}
