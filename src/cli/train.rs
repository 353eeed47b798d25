//! `galaxy-gpu train`: the main job.

use super::options::{DataOptions, DeviceOptions, print_notes};
use super::progress::Bar;
use super::{print_json, print_note, print_text};
use crate::data::{Dataset, Split};
use crate::error::{Error, Result};
use crate::graph::{Augment, FillMode};
use crate::kernels::Precision;
use crate::model::{Model, Network};
use crate::plan::bytes_in_words;
use crate::report;
use crate::train::history::EpochRecord;
use crate::train::{
    Adam, Card, Outcome, PREPROCESSING, Progress, RunFolder, Session, Settings, Setup, Watch, Weights,
    default_per_submit, train,
};
use anyhow::Context;
use clap::ValueEnum;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

/// What to train, on what, how and where.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  galaxy-gpu train
  galaxy-gpu train --data Galaxy10_DECals.h5 --model conv4 --epochs 100 --out runs/decals
  galaxy-gpu train --data F.h5 --split S.csv --epochs 15 --augment off --seed 0

Ctrl-C ends after the running step, with everything saved; a second Ctrl-C ends at once.")]
pub struct Args {
    #[command(flatten)]
    data: DataOptions,
    /// Network: conv3, conv4, or a TOML file
    #[arg(long, default_value = "conv4", value_name = "NAME|FILE.toml")]
    model: String,
    /// Passes over the training images
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    epochs: u32,
    /// Images in a step
    #[arg(long, default_value_t = 50)]
    batch: usize,
    /// Adam's step size
    #[arg(long, default_value_t = 1e-3, allow_negative_numbers = true)]
    learning_rate: f32,
    /// Share of the target spread over all classes
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true)]
    label_smoothing: f64,
    #[command(flatten)]
    augment: AugmentOptions,
    /// Seed of weights, split, order, dropout and augmentation
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Folder of the run; runs/1, runs/2, ... where absent
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Replace an earlier run in that folder
    #[arg(long)]
    force: bool,
    /// Steps handed to the device at once; changes no result
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=64))]
    steps_per_submit: Option<u32>,
    /// Print one JSON object at the end instead of a line an epoch
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceOptions,
}

/// Random affine maps while training, as one composed map with bilinear sampling.
#[derive(clap::Args)]
struct AugmentOptions {
    /// Augment the training images (flips, rotation, zoom, shift)
    #[arg(long, value_enum, default_value = "on", value_name = "on|off", hide_possible_values = true)]
    augment: Switch,
    /// Mirror rows and columns at random
    #[arg(long, value_enum, default_value = "on", value_name = "on|off", hide_possible_values = true)]
    flip: Switch,
    /// Largest rotation either way, as a fraction of a full turn
    #[arg(long, default_value_t = 0.5, allow_negative_numbers = true)]
    rotation: f64,
    /// Zoom factors drawn from 1+LOW to 1+HIGH; below 1 magnifies
    #[arg(long, num_args = 2, value_names = ["LOW", "HIGH"], default_values_t = [-0.5, 0.1], allow_negative_numbers = true)]
    zoom: Vec<f64>,
    /// Largest shift either way, as a fraction of the image
    #[arg(long, default_value_t = 0.08, allow_negative_numbers = true)]
    shift: f64,
    /// What lies outside the image: reflect, wrap, nearest or constant
    #[arg(long, default_value = "reflect", value_parser = fill_mode)]
    fill: FillMode,
}

fn fill_mode(text: &str) -> std::result::Result<FillMode, String> {
    match text {
        "reflect" => Ok(FillMode::Reflect),
        "wrap" => Ok(FillMode::Wrap),
        "nearest" => Ok(FillMode::Nearest),
        "constant" => Ok(FillMode::Constant),
        _ => Err("choose reflect, wrap, nearest or constant".into()),
    }
}

impl AugmentOptions {
    fn ranges(&self) -> Result<Option<Augment>> {
        let [low, high] = self.zoom[..] else {
            return Err(Error::setting("--zoom", format!("{:?}", self.zoom), "two numbers"));
        };
        let within = |name, value: f64, range: std::ops::RangeInclusive<f64>| match range.contains(&value) {
            true => Ok(()),
            false => Err(Error::setting(name, value, format!("from {} to {}", range.start(), range.end()))),
        };
        within("--rotation", self.rotation, 0.0..=0.5)?;
        within("--shift", self.shift, 0.0..=1.0)?;
        within("--zoom LOW", low, -0.9..=high.max(-0.9))?;
        within("--zoom HIGH", high, low..=3.0)?;
        let (flip, rotation, shift, fill) = (self.flip == Switch::On, self.rotation, self.shift, self.fill);
        Ok((self.augment == Switch::On).then_some(Augment { flip, rotation, zoom: (low, high), shift, fill }))
    }
}

/// Loads, plans, trains, and leaves a run folder.
///
/// # Errors
/// Bad input, before anything is written; a device or a disk that fails.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    RunFolder::check(args.out.as_deref(), args.force)?;
    let (settings, setup) = (args.settings()?, args.setup()?);
    let model = Model::load(&args.model)?;
    let dataset = args.data.load()?;
    print_notes(&dataset);
    let split = args.data.split(&dataset, args.seed)?;
    let network = model.build(dataset.height, dataset.width, dataset.classes.len())?;
    let device = args.device.open()?;
    let (precision, profile) = device.precision(args.device.precision)?;
    let setup = Setup { precision, ..setup };
    let make_engine = |plan| device.engine(plan, args.device.checked);
    let mut session = Session::new(&network, &dataset, &setup, &profile, make_engine)?;

    let per_submit = args.steps_per_submit.map_or(default_per_submit(&profile.kind), |steps| steps as usize);
    let settings = Settings { per_submit, ..settings };
    let folder = RunFolder::create(args.out.as_deref(), args.force)?;
    if !args.json {
        print_text(introduction(args, &session, &dataset, &split, &network))?;
    }
    let card = card(args, model, &dataset, &split);
    let bar = Bar::new(settings.epochs, split.train.len());
    let steps_per_epoch = split.train.len().div_ceil(setup.batch) as u32;
    let interrupted = listen_for_interrupts()?;
    let mut watch = Console { folder, card, bar, quiet: args.json, steps_per_epoch, interrupted };
    let outcome = train(&mut session, &network, &split, &settings, &mut watch)?;
    watch.bar.finish();
    conclude(&watch, &outcome, args.json)?;
    Ok(ExitCode::SUCCESS)
}

impl Args {
    fn settings(&self) -> Result<Settings> {
        if !(self.learning_rate > 0.0 && self.learning_rate <= 1.0) {
            return Err(Error::setting("--learning-rate", self.learning_rate, "above 0 and at most 1"));
        }
        let adam = Adam { learning_rate: self.learning_rate, ..Adam::default() };
        Ok(Settings { epochs: self.epochs, seed: self.seed, adam, per_submit: 1 })
    }

    fn setup(&self) -> Result<Setup> {
        if !(0.0..1.0).contains(&self.label_smoothing) {
            return Err(Error::setting("--label-smoothing", self.label_smoothing, "at least 0 and below 1"));
        }
        Ok(Setup {
            training: true,
            batch: self.batch,
            augment: self.augment.ranges()?,
            label_smoothing: self.label_smoothing,
            fuse: !self.device.no_fuse,
            precision: Precision::F32,
            choices: self.device.choices.clone(),
            data_memory: self.device.data_memory.0,
        })
    }
}

fn card(args: &Args, model: Model, dataset: &Dataset, split: &Split) -> Card {
    Card {
        model,
        classes: dataset.classes.clone(),
        height: dataset.height,
        width: dataset.width,
        preprocessing: PREPROCESSING.to_owned(),
        data: dataset.name.clone(),
        seed: args.seed,
        split_hash: split.hash.clone(),
        epochs: 0,
        step: 0,
        val_accuracy: None,
    }
}

fn introduction(args: &Args, session: &Session, dataset: &Dataset, split: &Split, network: &Network) -> String {
    let (all, data) = session.engine().plan().bytes();
    let moved = match split.moved {
        0 => String::new(),
        moved => format!(", {moved} moved to keep patches of sky together"),
    };
    let streamed = if session.streams() { " at a time, streamed" } else { "" };
    let augment = if args.augment.augment == Switch::On { "on" } else { "off" };
    [
        format!("data     {}: {} images of {}x{}", dataset.name, dataset.len(), dataset.width, dataset.height),
        format!("split    {}: {} to train, {} to test{moved}", split.source, split.train.len(), split.test.len()),
        format!("model    {}: {} parameters", network.name, network.parameter_count()),
        format!("device   {}, {}", session.engine().device(), session.precision()),
        format!("memory   {} and {} of images{streamed}", bytes_in_words(all - data), bytes_in_words(data)),
        format!("training {} epochs, batch {}, augmentation {augment}\n", args.epochs, args.batch),
    ]
    .join("\n")
}

/// Shows the training on the terminal and writes it to the run folder.
struct Console {
    folder: RunFolder,
    card: Card,
    bar: Bar,
    quiet: bool,
    steps_per_epoch: u32,
    interrupted: Arc<AtomicBool>,
}

/// A flag that the first Ctrl-C sets. The second one ends the program at once, with the exit code that a shell gives to
/// what SIGINT has ended.
fn listen_for_interrupts() -> anyhow::Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = interrupted.clone();
    let listen = move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    };
    ctrlc::set_handler(listen).context("cannot listen for Ctrl-C")?;
    Ok(interrupted)
}

impl Console {
    /// The card of the weights that a run ends with. Where it was stopped, they are not those that the last epoch
    /// measured, unless no step has been made since.
    fn last_card(&self, outcome: &Outcome) -> Card {
        match outcome.steps == self.card.step {
            true => self.card.clone(),
            false => self.card.after(outcome.steps / self.steps_per_epoch.max(1), outcome.steps, None),
        }
    }
}

impl Watch for Console {
    fn progress(&mut self, progress: Progress) {
        self.bar.progress(progress);
    }

    fn epoch(&mut self, record: &EpochRecord, weights: &mut dyn FnMut() -> Result<Vec<Vec<f32>>>) -> Result<()> {
        self.card = self.card.after(record.epoch, record.epoch * self.steps_per_epoch, Some(record.val_accuracy));
        self.folder.epoch(record, &Weights { card: self.card.clone(), tensors: weights()? })?;
        if !self.quiet {
            self.bar.epoch(record);
        }
        Ok(())
    }

    fn stop(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }
}

/// Leaves the last weights and the curves, and says where.
fn conclude(watch: &Console, outcome: &Outcome, json: bool) -> anyhow::Result<()> {
    let folder = watch.folder.path();
    let weights = Weights { card: watch.last_card(outcome), tensors: outcome.parameters.clone() };
    watch.folder.last(&weights)?;
    report::curves(&outcome.history, &folder.join("curves.png"))?;
    let best = outcome.history.best();
    if outcome.refused > 0 {
        print_note(format!(
            "{} of {} steps changed nothing, as their loss or gradient was not finite; try a smaller --learning-rate",
            outcome.refused, outcome.steps
        ));
    }
    if json {
        return print_json(&serde_json::json!({
            "run": folder,
            "stopped": outcome.stopped,
            "epochs": outcome.history.epochs,
            "steps": outcome.steps,
            "refused_steps": outcome.refused,
            "best": best,
            "weights_hash": weights.hash(),
        }));
    }
    let mut text = String::new();
    if outcome.stopped {
        text += "stopped by Ctrl-C; the weights of this moment are saved\n";
    }
    if let Some(best) = best {
        text += &format!("best     epoch {}, val_accuracy {:.4}\n", best.epoch, best.val_accuracy);
    }
    text += &format!("weights  hash {}\n", weights.hash());
    text += &format!("run      {} (history.csv, curves.png, weights/)\n", folder.display());
    print_text(text)
}
