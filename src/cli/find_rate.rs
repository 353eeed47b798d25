//! `galaxy-gpu find-rate`: which learning rate a training should have.

use super::display::why;
use super::flags::{DeviceFlags, StepFlags, recipe};
use super::options::check_output;
use super::voice;
use super::{note, print_json, print_text};
use crate::files::write_whole;
use crate::report;
use crate::run::{Opened, Recipe};
use crate::train::rate_finder::{Found, Point, Range, Rule, Steps, find_rate};
use crate::train::{Session, Settings, default_per_submit};
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
    training: Training,
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
    /// Picture of the losses, with the suggestion marked
    #[arg(long, default_value = "rates.png", value_name = "FILE.png|svg|pdf")]
    out: PathBuf,
    /// Table of the steps: step, rate, loss, smoothed
    #[arg(long, value_name = "FILE.csv")]
    csv: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The settings of the training to come.
#[derive(clap::Args, Serialize)]
struct Training {
    #[command(flatten)]
    #[serde(flatten)]
    step: StepFlags,
    #[command(flatten)]
    #[serde(flatten)]
    device: DeviceFlags,
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
    let recipe = recipe(&args.training)?;
    let mut steps = 0;
    let check = |_: &_, split: &crate::data::Split, _: &_| {
        steps = range.count(split.train.len(), recipe.batch)?;
        Ok(())
    };
    let opened = Opened::new(&recipe, None, None, check, &mut note)?;
    let mut session = opened.session()?;
    if !args.json {
        print_text(introduction(&recipe, &opened, &session))?;
    }
    let bar = bar(steps);
    let per_submit = default_per_submit(opened.device.profile.kind);
    let settings = Settings { epochs: 1, seed: recipe.seed, per_submit, ..Settings::default() };
    let found = find_rate(&mut session, &opened.network, &opened.split, &settings, &range, &mut |point: &Point| {
        bar.set_position(u64::from(point.step) + 1);
        bar.set_message(format!("rate {:.1e}  loss {:.4}", point.rate, point.smoothed));
    });
    bar.finish_and_clear();
    voice::set_bar(None);
    let found = found?;
    args.write(&found)?;
    if args.json {
        let (Args { from, to, .. }, Recipe { seed, batch, .. }) = (args, recipe);
        let (from, to) = (*from, *to);
        let (model, data, picture) = (&opened.network.name, &opened.dataset.name, &args.out);
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

fn introduction(recipe: &Recipe, opened: &Opened, session: &Session) -> String {
    let (dataset, count) = (&opened.dataset, opened.split.train.len());
    let (all, height, width) = (dataset.len(), dataset.height, dataset.width);
    [
        format!("data      {}: {count} of {all} images of {width}x{height} to train", dataset.name),
        format!("model     {}, batch {}, seed {}", recipe.model, recipe.batch, recipe.seed),
        format!("device    {}, {}{}\n", session.engine().device(), session.precision(), why(opened.device.why)),
    ]
    .join("\n")
}

impl Args {
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
