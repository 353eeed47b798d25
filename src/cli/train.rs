//! `galaxy-gpu train`: the main job.

use super::display::{Display, Json};
use super::flags::TrainFlags;
use super::repeat;
use crate::error::{Error, Result};
use crate::files::read_text;
use crate::run::series::Series;
use crate::run::{Changes, Recipe, Target, resume, resume_series, train, train_series};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What to train, on what, how and where.
#[derive(Clone, clap::Args)]
#[command(after_help = "Examples:
  galaxy-gpu train
  galaxy-gpu train --data Galaxy10_DECals.h5 --model conv4 --epochs 100 --out runs/decals
  galaxy-gpu train --data F.h5 --split S.csv --epochs 15 --augment off --seed 0
  galaxy-gpu train --data F.h5 --validation 0.1 --class-weights balanced
  galaxy-gpu train --data F.h5 --epochs 100 --schedule cosine --warm-up 3 --ema 0.999
  galaxy-gpu train --repeat 5 --validation 0.1 --out runs/five
  galaxy-gpu train --resume runs/decals
  galaxy-gpu train --config runs/decals/config.toml --seed 1 --out runs/again
  galaxy-gpu train --tensorboard --out runs/a && tensorboard --logdir runs
  galaxy-gpu train --json events --quiet > events.jsonl

Ctrl-C, SIGTERM, SIGHUP, SIGUSR1 and SIGUSR2 end after the running step, with everything saved, the command that resumes it printed, and exit code 75; a second Ctrl-C ends at once. A run that was stopped, \
killed or cut off is resumed with --resume and ends as if nothing had happened, to the bit. A run's folder holds its \
settings as config.toml; paths in such a file are relative to its folder.")]
pub struct Args {
    #[command(flatten)]
    flags: TrainFlags,
    /// Train N times, with the seeds SEED, SEED + 1, ..., each in a folder of its own below that of the run, and say what
    /// the scores vary by: weights, split, order, dropout and augmentation vary, with --split all but the split; with
    /// --resume, a series may be longer than it was
    #[arg(long, value_name = "N")]
    repeat: Option<u32>,
    /// Take settings from a file, such as the config.toml of a run; options on the command line go before it
    #[arg(long, value_name = "FILE.toml", conflicts_with = "resume")]
    config: Option<PathBuf>,
    /// Folder of the run; runs/1, runs/2, ... where absent
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Replace an earlier run in that folder
    #[arg(long)]
    force: bool,
    /// Resume a run from its newest checkpoint, with its own settings; --epochs may be larger
    #[arg(long, value_name = "RUN", conflicts_with_all = ["out", "force"])]
    resume: Option<PathBuf>,
    /// Print JSON instead of a line an epoch: one object at the end, or, with events, an object a line as things happen
    /// (docs/events.md), the last of which says what the one object says
    #[arg(long, value_enum, value_name = "object|events", num_args = 0..=1, default_missing_value = "object", hide_possible_values = true)]
    json: Option<Json>,
    /// Leave report.html and its pictures out; `galaxy-gpu report` makes them later
    #[arg(long)]
    no_report: bool,
}

/// Largest settings file that is read, in bytes.
const LARGEST_FILE: u64 = 1 << 20;
/// Options that a settings file may hold beside the settings of a recipe, and those that only a command line may.
const IN_FILES: [&str; 2] = ["repeat", "no-report"];
const NOT_IN_FILES: [&str; 6] = ["config", "resume", "out", "force", "json", "threads"];

/// Trains, and leaves a run folder or a series of them.
///
/// # Errors
/// Bad input, before anything is written; a device or a disk that fails.
pub fn run(mut args: Args) -> anyhow::Result<ExitCode> {
    let mut changes = Changes::given(&args.flags)?;
    if let Some(file) = args.config.take() {
        changes = changes.after(args.read(&file)?);
    }
    let mut display = Display::new(args.json)?;
    let report = !args.no_report;
    let target = Target {
        folder: args.out,
        force: args.force,
        report,
        // a network that nobody names is that of the weights
        model_of_weights: !changes.give("model"),
    };
    let ended = match (&args.resume, args.repeat) {
        (Some(folder), count) if Series::is_in(folder) => {
            let ended = resume_series(folder, count, &changes, report, &mut display)?;
            return repeat::conclude(ended, args.json);
        }
        (Some(_), Some(count)) => {
            let allowed = "left out with --resume of a run, or used with --resume of a series";
            Err(Error::setting("--repeat", count, allowed))
        }
        (Some(folder), None) => resume(folder, &changes, report, &mut display).map(drop),
        (None, Some(count)) => {
            let recipe = Recipe::default().with(&changes)?;
            return repeat::conclude(train_series(&recipe, count, &target, &mut display)?, args.json);
        }
        (None, None) => train(&Recipe::default().with(&changes)?, &target, &mut display).map(drop),
    };
    display.close(ended)
}

impl Args {
    /// Reads a settings file.
    ///
    /// # Errors
    /// As [`Changes::from_toml`]; options that only a command line may give.
    fn read(&mut self, file: &Path) -> Result<Changes> {
        let text = read_text(file, LARGEST_FILE)?;
        Changes::from_toml(&text, file, |table| {
            let option = |key: &str| key.replace('_', "-");
            if let Some(key) = table.keys().find(|key| NOT_IN_FILES.contains(&&option(key)[..])) {
                return Err(format!("{key} is no setting of a training; give --{} on the command line", option(key)));
            }
            let own: Vec<String> = table.keys().filter(|key| IN_FILES.contains(&&option(key)[..])).cloned().collect();
            for key in own {
                match (&option(&key)[..], table.remove(&key)) {
                    ("repeat", Some(toml::Value::Integer(count))) if u32::try_from(count).is_ok() => {
                        self.repeat = self.repeat.or(u32::try_from(count).ok());
                    }
                    ("no-report", Some(toml::Value::Boolean(leave_out))) => self.no_report |= leave_out,
                    (_, value) => {
                        let allowed = if key == "repeat" { "a whole number" } else { "true or false" };
                        let got = value.map_or(String::new(), |value| value.to_string());
                        return Err(format!("{key} is {got}, but must be {allowed}"));
                    }
                }
            }
            Ok(())
        })
    }
}
