//! `galaxy-gpu find-rate`: which learning rate a training should have.

use super::augmentation::AugmentOptions;
use super::options::{DataOptions, DeviceOptions, check_output, print_notes};
use super::voice;
use super::{print_json, print_text};
use crate::data::{Dataset, Split};
use crate::error::{Error, Result};
use crate::files::write_whole;
use crate::model::Model;
use crate::plan::Profile;
use crate::report;
use crate::train::rate_finder::{Found, Point, Range, Rule, Steps, find_rate};
use crate::train::{ClassWeights, MicroBatch, Session, Settings, Setup, default_per_submit};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

/// What to try rates for, and which.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  galaxy-gpu find-rate
  galaxy-gpu find-rate --data Galaxy10_DECals.h5 --model conv4 --out rates.png
  galaxy-gpu find-rate --model net.toml --from 1e-6 --to 0.1 --steps epoch --csv rates.csv

Give it the data, network, batch and augmentation of the training to come. The suggestion is the smaller of two rates: \
where the loss falls fastest (measured on the losses themselves, over a tenth of the range), and a tenth of the rate \
at which the smoothed loss is lowest. It is a place to start from: look at the picture. See Smith, arXiv:1506.01186.")]
pub struct Args {
    #[command(flatten)]
    data: DataOptions,
    /// Network: conv3, conv4, or a TOML file
    #[arg(long, default_value = "conv4", value_name = "NAME|FILE.toml")]
    model: String,
    /// Rate of the first step
    #[arg(long, default_value_t = 1e-7, value_name = "RATE", allow_negative_numbers = true)]
    from: f32,
    /// Rate of the last step; the search ends before it where the loss grows to four times its lowest
    #[arg(long, default_value_t = 1.0, value_name = "RATE", allow_negative_numbers = true)]
    to: f32,
    /// Steps from one to the other, the rate growing by the same factor in each; epoch takes as many as there are whole
    /// batches
    #[arg(long, default_value_t = Steps::Count(200), value_name = "N|epoch")]
    steps: Steps,
    /// Images in a step
    #[arg(long, default_value_t = 50)]
    batch: usize,
    /// Images of a step that are computed at a time, as for train
    #[arg(long, value_name = "off|auto|N", default_value = "off")]
    micro_batch: MicroBatch,
    /// Share of the target spread over all classes
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true)]
    label_smoothing: f64,
    /// What an image of each class counts in the loss, as for train
    #[arg(long, default_value = "none", value_name = "none|balanced|W1,W2,...", allow_hyphen_values = true)]
    class_weights: ClassWeights,
    /// Share of the training side that is set aside, as for train, and not trained on here either
    #[arg(long, default_value_t = 0.0, value_name = "FRACTION", allow_negative_numbers = true)]
    validation: f64,
    #[command(flatten)]
    augment: AugmentOptions,
    /// Seed of weights, split, order, dropout and augmentation
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Picture of the losses, with the suggestion marked
    #[arg(long, default_value = "rates.png", value_name = "FILE.png|svg|pdf")]
    out: PathBuf,
    /// Table of the steps: step, rate, loss, smoothed
    #[arg(long, value_name = "FILE.csv")]
    csv: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceOptions,
}

/// What JSON says.
#[derive(Serialize)]
struct Report<'a> {
    model: &'a str,
    data: &'a str,
    seed: u64,
    batch: usize,
    from: f32,
    to: f32,
    picture: &'a PathBuf,
    #[serde(flatten)]
    found: &'a Found,
}

/// Tries the rates, prints the suggestion, and draws what it follows from. Nothing is written before the end.
///
/// # Errors
/// Bad input; a device that fails; a picture or table that cannot be written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    check_output("--out", &args.out, report::FORMATS)?;
    args.csv.as_deref().map_or(Ok(()), |path| check_output("--csv", path, &["csv"]))?;
    let range = Range { from: args.from, to: args.to, steps: args.steps };
    range.check()?;
    let setup = args.setup()?;
    let model = Model::load(&args.model)?;
    let dataset = args.data.load()?;
    print_notes(&dataset);
    let split = args.data.split(&dataset, args.seed)?.set_aside(&dataset, args.validation, args.seed)?;
    let steps = range.count(split.train.len(), args.batch)?;
    let network = model.build(dataset.height, dataset.width, dataset.classes.len())?;
    let device = args.device.open()?;
    let (precision, profile) = device.precision(args.device.precision)?;
    let setup = Setup { precision, class_weights: args.class_weights.weights(&dataset, &split)?, ..setup };
    let make_engine = |plan| device.engine(plan, args.device.checked);
    let mut session = Session::new(&network, &dataset, &setup, &profile, make_engine)?;
    if !args.json {
        print_text(args.introduction(&session, &dataset, &split))?;
    }
    let bar = bar(steps);
    let found = find_rate(&mut session, &network, &split, &args.settings(&profile), &range, &mut |point: &Point| {
        bar.set_position(u64::from(point.step) + 1);
        bar.set_message(format!("rate {:.1e}  loss {:.4}", point.rate, point.smoothed));
    });
    bar.finish_and_clear();
    voice::set_bar(None);
    let found = found?;
    args.write(&found)?;
    if args.json {
        let Args { seed, batch, from, to, .. } = *args;
        let (model, data, picture) = (&network.name, &dataset.name, &args.out);
        print_json(&Report { model, data, seed, batch, from, to, picture, found: &found })?;
    } else {
        print_text(args.in_words(&found))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn bar(steps: u32) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(steps.into()), voice::draw_target());
    voice::set_bar(Some(bar.clone()));
    let style = ProgressStyle::with_template("step {pos}/{len} [{bar:30}] {msg}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

impl Args {
    fn setup(&self) -> Result<Setup> {
        if !(0.0..1.0).contains(&self.label_smoothing) {
            return Err(Error::setting("--label-smoothing", self.label_smoothing, "at least 0 and below 1"));
        }
        Ok(Setup {
            training: true,
            micro_batch: self.micro_batch,
            augment: self.augment.ranges()?,
            label_smoothing: self.label_smoothing,
            fuse: !self.device.no_fuse,
            choices: self.device.choices.clone(),
            data_memory: self.device.data_memory.0,
            shaders: self.device.shaders()?,
            ..Setup::inference(self.batch)
        })
    }

    fn settings(&self, profile: &Profile) -> Settings {
        Settings { epochs: 1, seed: self.seed, per_submit: default_per_submit(profile.kind), ..Settings::default() }
    }

    fn introduction(&self, session: &Session, dataset: &Dataset, split: &Split) -> String {
        let (count, height, width) = (split.train.len(), dataset.height, dataset.width);
        [
            format!("data      {}: {count} of {} images of {width}x{height} to train", dataset.name, dataset.len()),
            format!("model     {}, batch {}, seed {}", self.model, self.batch, self.seed),
            format!("device    {}, {}\n", session.engine().device(), session.precision()),
        ]
        .join("\n")
    }

    fn write(&self, found: &Found) -> anyhow::Result<()> {
        if let Some(path) = &self.csv {
            let mut writer = csv::Writer::from_writer(Vec::new());
            found.points.iter().try_for_each(|point| writer.serialize(point))?;
            write_whole(path, &writer.into_inner().map_err(csv::IntoInnerError::into_error)?)?;
        }
        Ok(report::rates(found, &self.out)?)
    }

    fn in_words(&self, found: &Found) -> String {
        let last = found.points.last().map_or(self.from, |point| point.rate);
        let taken = found.points.len();
        let end = if found.diverged { ", where the loss diverged" } else { "" };
        let mut lines =
            vec![format!("steps     {taken} of {}, rates {:.1e} to {last:.1e}{end}", found.steps, self.from)];
        match &found.suggestion {
            Some(suggestion) => {
                let (steepest, lowest) = (suggestion.steepest, suggestion.lowest);
                lines.push(format!("losses    fall fastest at {steepest:.1e} and are lowest at {lowest:.1e}"));
                let rule = match suggestion.rule {
                    Rule::Steepest => "where they fall fastest, which is less than a tenth of where they are lowest",
                    Rule::TenthOfLowest => {
                        "a tenth of where they are lowest, which is less than where they fall fastest"
                    }
                };
                lines.push(format!("suggested --learning-rate {:.1e}: {rule}", suggestion.rate));
            }
            None => lines.push(
                "no rate is suggested, as the losses fall nowhere by more than they vary from batch to batch; \
                 try more --steps, a larger --batch or other rates"
                    .to_owned(),
            ),
        }
        let table = self.csv.as_ref().map_or(String::new(), |path| format!(", table {}", path.display()));
        lines.push(format!("picture   {}{table}\n", self.out.display()));
        lines.join("\n")
    }
}
