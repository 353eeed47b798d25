//! `galaxy-gpu train`: the main job.

use super::assessment;
use super::augmentation::AugmentOptions;
use super::console::Console;
use super::device::note_unused;
use super::identity::{card, identity, same_run};
use super::log;
use super::memory::DeviceMemory;
use super::optimizer::{OptimizerOptions, Span};
use super::options::{DataOptions, DeviceOptions, PrecisionChoice, print_notes};
use super::repeat::Part;
use super::resume::{self, Given};
use super::{config, print_note};
use crate::data::{Dataset, Split, conflicts};
use crate::error::{Error, Result};
use crate::kernels::Precision;
use crate::model::{Model, Network};
use crate::plan::bytes_in_words;
use crate::train::{
    Card, Checkpoint, ClassWeights, MicroBatch, RunFolder, Session, Settings, Setup, Standing, Weights,
    default_per_submit, find_weights,
};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// What `--json` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Json {
    /// One object at the end.
    Object,
    /// An object a line as things happen.
    Events,
}

/// What to train, on what, how and where.
#[derive(Clone, clap::Args, Serialize, Deserialize)]
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

Ctrl-C ends after the running step, with everything saved; a second Ctrl-C ends at once. A run that was stopped, \
killed or cut off goes on with --resume and ends as if nothing had happened, to the bit. A run's folder holds its \
settings as config.toml; paths in such a file are relative to its folder.")]
pub struct Args {
    #[command(flatten)]
    #[serde(flatten)]
    pub data: DataOptions,
    /// Network: conv3, conv4, or a TOML file
    #[arg(long, default_value = "conv4", value_name = "NAME|FILE.toml")]
    pub(super) model: String,
    /// Passes over the training images
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    pub epochs: u32,
    /// End after N epochs without a higher val_accuracy than the best
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) patience: Option<u32>,
    /// Time that training may take, such as 10m or 1h30m: no epoch begins that would go beyond it, and the first ends where it is
    /// over; schedules follow --epochs all the same, and --resume goes on with as much time again
    #[arg(long, value_name = "TIME")]
    time_budget: Option<Span>,
    /// Images in a step
    #[arg(long, default_value_t = 50)]
    pub batch: usize,
    /// Images of a step that are computed at a time, for batches that do not fit into memory: the same result within
    /// rounding, in less memory; auto takes as many as fit
    #[arg(long, value_name = "off|auto|N", default_value = "off")]
    #[serde(default)]
    micro_batch: MicroBatch,
    #[command(flatten)]
    #[serde(flatten)]
    pub optimizer: OptimizerOptions,
    /// Share of the target spread over all classes
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true)]
    label_smoothing: f64,
    /// What an image of each class counts in the loss of training: none (one each), balanced (every class the same in all),
    /// or a number for each class in the order of the labels
    #[arg(long, default_value = "none", value_name = "none|balanced|W1,W2,...", allow_hyphen_values = true)]
    #[serde(default)]
    pub class_weights: ClassWeights,
    /// Share of the training side that is set aside to choose the best epoch and to fit the temperature, so that the test
    /// side is measured once, at the end; with 0 the test side chooses, and accuracy on it is optimistic
    #[arg(long, default_value_t = 0.0, value_name = "FRACTION", allow_negative_numbers = true)]
    #[serde(default)]
    pub validation: f64,
    #[command(flatten)]
    #[serde(flatten)]
    pub augment: AugmentOptions,
    /// Start from trained weights of the same network, of a run (its best epoch) or a file, instead of seeded ones
    #[arg(long, value_name = "RUN|FILE")]
    pub(super) weights: Option<PathBuf>,
    /// Seed of weights, split, order, dropout and augmentation
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Train N times, with the seeds SEED, SEED + 1, ..., each in a folder of its own below that of the run, and say what
    /// the scores vary by: weights, split, order, dropout and augmentation vary, with --split all but the split; with
    /// --resume, a series may be longer than it was
    #[arg(long, value_name = "N")]
    #[serde(skip)]
    pub repeat: Option<u32>,
    /// The series it belongs to.
    #[arg(skip)]
    #[serde(skip)]
    pub part: Option<Part>,
    /// Take settings from a file, such as the config.toml of a run; options on the command line go before it
    #[arg(long, value_name = "FILE.toml", conflicts_with = "resume")]
    #[serde(skip)]
    config: Option<PathBuf>,
    /// Folder of the run; runs/1, runs/2, ... where absent
    #[arg(long, value_name = "FOLDER")]
    #[serde(skip)]
    pub out: Option<PathBuf>,
    /// Replace an earlier run in that folder
    #[arg(long)]
    #[serde(skip)]
    pub force: bool,
    /// Go on with a run from its newest checkpoint, with its own settings; --epochs may be larger
    #[arg(long, value_name = "RUN", conflicts_with_all = ["out", "force"])]
    #[serde(skip)]
    pub resume: Option<PathBuf>,
    /// Write a checkpoint every N steps; at the end of each epoch where neither this nor --checkpoint-minutes is given, and
    /// always at the end and on Ctrl-C
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub checkpoint_every: Option<u32>,
    /// Write a checkpoint every M minutes
    #[arg(long, value_name = "M", allow_negative_numbers = true)]
    pub checkpoint_minutes: Option<f64>,
    /// Steps handed to the device at once; changes no result
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=64))]
    steps_per_submit: Option<u32>,
    /// Write what is measured for TensorBoard, too, into RUN/tensorboard
    #[arg(long)]
    #[serde(default)]
    pub tensorboard: bool,
    /// Print JSON instead of a line an epoch: one object at the end, or, with events, an object a line as things happen
    /// (docs/events.md), the last of which says what the one object says
    #[arg(long, value_enum, value_name = "object|events", num_args = 0..=1, default_missing_value = "object",
          hide_possible_values = true)]
    #[serde(skip)]
    pub json: Option<Json>,
    /// Leave report.html and its pictures out; `galaxy-gpu report` makes them later
    #[arg(long)]
    #[serde(skip)]
    pub no_report: bool,
    #[command(flatten)]
    #[serde(flatten)]
    pub device: DeviceOptions,
}

/// A run folder with what a run in it goes on from.
struct Resumed {
    folder: RunFolder,
    checkpoint: Checkpoint,
}

/// Loads, plans, trains, and leaves a run folder.
///
/// # Errors
/// Bad input, before anything is written; a device or a disk that fails.
pub fn run(args: Args, given: &[Given]) -> anyhow::Result<ExitCode> {
    let (mut args, resumed) = match args.resume.clone() {
        Some(run) => reopen(&run, args, given)?,
        None => (args, None),
    };
    if resumed.is_none() {
        RunFolder::check(args.out.as_deref(), args.force)?;
    }
    let (settings, setup) = (args.settings()?, args.setup()?);
    // what goes on has its own weights
    let start =
        args.weights.as_deref().filter(|_| resumed.is_none()).map(|run| find_weights(run, false)).transpose()?;
    let own = resumed.as_ref().map(|resumed| &resumed.checkpoint.identity.card);
    let model = match own.or(start.as_ref().map(|start| &start.card)) {
        Some(card) if !given.iter().any(|option| option.id == "model") => card.model.clone(),
        _ => Model::load(&args.model)?,
    };
    let dataset = args.data.load()?;
    print_notes(&dataset);
    note_conflicts(&args, &dataset);
    let split = args.data.split(&dataset, args.seed)?.set_aside(&dataset, args.validation, args.seed)?;
    if let Some(Resumed { checkpoint, .. }) = &resumed {
        checkpoint.identity.check(&model, &dataset, &split)?;
    }
    let network = model.build(dataset.height, dataset.width, dataset.classes.len())?;
    let start = start.map(|start| tensors_of(start, &network)).transpose()?.map(Arc::new);
    let device = args.device.open()?;
    let (precision, profile) = device.precision(args.device.precision)?;
    let setup = Setup { precision, class_weights: args.class_weights.weights(&dataset, &split)?, ..setup };
    // what `auto` has become, for a run that goes on elsewhere
    args.device.precision = if precision == Precision::F32 { PrecisionChoice::F32 } else { PrecisionChoice::Mixed };
    let make_engine = |plan| device.engine(plan, args.device.checked);
    let mut session = Session::new(&network, &dataset, &setup, &profile, make_engine)?;
    note_unused(session.engine().plan(), &setup.choices);

    // as above
    args.micro_batch = MicroBatch::of(session.engine().plan());

    let per_submit = args.steps_per_submit.map_or(default_per_submit(profile.kind), |steps| steps as usize);
    let settings = Settings { per_submit, start, ..settings };
    let card = Card { precision, shaders: setup.shaders.hash(), ..card(&args, model, &dataset, &split) };
    let identity = identity(&args, &profile, &dataset, card)?;
    let (folder, identity, state) = match resumed {
        Some(Resumed { folder, checkpoint: Checkpoint { identity: own, state } }) => {
            folder.rewind()?.into_iter().for_each(print_note);
            (folder, same_run(own, identity), Some(state))
        }
        None => (RunFolder::create(args.out.as_deref(), args.force)?, identity, None),
    };
    log::keep_in(folder.path());
    folder.settings(&config::of_run(&identity.options), &identity.card.model.to_toml())?;
    if let Some(part) = &args.part {
        part.begins(args.seed, args.json.is_some())?;
    }
    let memory = DeviceMemory::of(&device);
    let mut console = Console::new(&args, folder, identity, state.as_ref(), memory, &split)?;
    console.start(&args, &session, &dataset, &network, &split);
    console.tell(introduction(&args, &session, &dataset, &split, &network))?;
    state.as_ref().map_or(Ok(()), |state| console.tell(goes_on_from(&state.standing)))?;
    console.train(&mut session, &network, &split, &settings, state.as_ref())?;
    Ok(ExitCode::SUCCESS)
}

/// Says how many galaxies have more than one label, as no training can be right about those.
fn note_conflicts(args: &Args, dataset: &Dataset) {
    let found = conflicts(dataset);
    if let (false, Some(data)) = (found.is_empty(), &args.data.data) {
        let images: usize = found.iter().map(|conflict| conflict.images.len()).sum();
        print_note(format!(
            "{} galaxies have different labels, in {images} images; `galaxy-gpu data inspect {}` lists them",
            found.len(),
            data.display()
        ));
    }
}

/// Opens the folder of a run to go on with, and settles with which settings.
fn reopen(run: &Path, args: Args, given: &[Given]) -> anyhow::Result<(Args, Option<Resumed>)> {
    let (folder, checkpoint, note) = RunFolder::reopen(run)?;
    let epochs = checkpoint.state.standing.history.epochs.len();
    let args = resume::merged(args, given, &checkpoint.identity, epochs)?;
    note.into_iter().for_each(print_note);
    let before = &checkpoint.identity.options["epochs"];
    if args.optimizer.follows_epochs() && *before != args.epochs {
        print_note(format!(
            "the learning rate follows the cosine of {} epochs from here on; until here it followed that of {before}",
            args.epochs
        ));
    }
    Ok((args, Some(Resumed { folder, checkpoint })))
}

/// The parameters of trained weights to start a network from.
///
/// # Errors
/// [`Error::Setting`] for those of another network: another layer, another size of images or number of classes.
fn tensors_of(weights: Weights, network: &Network) -> Result<Vec<Vec<f32>>> {
    let theirs = weights.network()?;
    let list = |network: &Network| -> Vec<String> {
        network.parameters().map(|parameter| format!("{} of {}", parameter.name, parameter.shape)).collect()
    };
    let (found, wanted) = (list(&theirs), list(network));
    let differs = (0..found.len().max(wanted.len())).find(|&index| found.get(index) != wanted.get(index));
    match differs {
        None => Ok(weights.tensors),
        Some(index) => {
            let name = |list: &[String]| list.get(index).cloned().unwrap_or_else(|| "no more parameters".into());
            let got = format!("those of {}, with {}", weights.card.model.name, name(&found));
            let allowed = format!("those of the network that is trained, {}, with {}", network.name, name(&wanted));
            Err(Error::setting("--weights", got, allowed))
        }
    }
}

impl Args {
    fn settings(&self) -> Result<Settings> {
        if let Some(minutes) = self.checkpoint_minutes.filter(|minutes| !(*minutes > 0.0 && minutes.is_finite())) {
            return Err(Error::setting("--checkpoint-minutes", minutes, "a number above 0"));
        }
        Ok(Settings {
            epochs: self.epochs,
            seed: self.seed,
            adam: self.optimizer.adam()?,
            schedule: self.optimizer.schedule(self.epochs)?,
            patience: self.patience,
            time_budget: self.time_budget.map(|span| span.0),
            start: None,
            per_submit: 1,
        })
    }

    /// How the session of these settings computes, but for precision and class weights, which need a device and data.
    ///
    /// # Errors
    /// A setting out of bounds.
    pub fn setup(&self) -> Result<Setup> {
        if !(0.0..1.0).contains(&self.label_smoothing) {
            return Err(Error::setting("--label-smoothing", self.label_smoothing, "at least 0 and below 1"));
        }
        Ok(Setup {
            training: true,
            batch: self.batch,
            micro_batch: self.micro_batch,
            augment: self.augment.ranges()?,
            label_smoothing: self.label_smoothing,
            class_weights: None,
            fuse: !self.device.no_fuse,
            precision: Precision::F32,
            choices: self.device.choices.clone(),
            average: self.optimizer.adam()?.average.is_some(),
            shaders: self.device.shaders()?,
            data_memory: self.device.data_memory.0,
        })
    }
}

fn goes_on_from(standing: &Standing) -> String {
    let epoch = standing.history.epochs.len() + 1;
    format!("resumed  in epoch {epoch}, {} images in, step {}\n", standing.position, standing.steps)
}

fn introduction(args: &Args, session: &Session, dataset: &Dataset, split: &Split, network: &Network) -> String {
    let (all, data) = session.engine().plan().bytes();
    let micro = match args.micro_batch {
        MicroBatch::Images(images) => format!(" in micro-batches of {images}"),
        _ => String::new(),
    };
    let streamed = if session.streams() { " at a time, streamed" } else { "" };
    let augment = if args.augment.is_on() { "on" } else { "off" };
    let weights = match &args.class_weights {
        ClassWeights::None => String::new(),
        weights => format!(", class weights {weights}"),
    };
    let optimizer = args.optimizer.in_words();
    [
        format!("data     {}: {} images of {}x{}", dataset.name, dataset.len(), dataset.width, dataset.height),
        format!("split    {}", assessment::split_in_words(split)),
        format!("model    {}: {} parameters", network.name, network.parameter_count()),
        format!("device   {}, {}", session.engine().device(), session.precision()),
        format!("memory   {} and {} of images{streamed}", bytes_in_words(all - data), bytes_in_words(data)),
        format!(
            "training {} epochs, batch {}{micro}, augmentation {augment}{weights}{optimizer}\n",
            args.epochs, args.batch
        ),
    ]
    .join("\n")
}
