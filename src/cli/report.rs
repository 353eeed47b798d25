//! `galaxy-gpu report`: the pictures and the page of a run, made anew.

use super::flags::{DeviceFlags, recipe};
use super::{note, print_text};
use crate::report::FORMATS;
use crate::run::{Changes, page};
use clap::builder::PossibleValuesParser;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

/// Which run.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  galaxy-gpu report runs/1
  galaxy-gpu report runs/decals --data /elsewhere/Galaxy10_DECals.h5
  galaxy-gpu report runs/decals --format pdf

Measures the best weights on the test set again and draws report.html, curves.png, confusion_matrix.png, \
reliability.png, mistakes.png, samples.png and augmented.png into the run folder. Data, split and settings are those \
of the run, which its checkpoint knows; data that has moved is named with --data, and refused where it is not the \
run's own.")]
pub struct Args {
    /// Run folder
    run: PathBuf,
    /// Draw curves, confusion matrix and reliability diagram in this format, too
    #[arg(long, value_name = "png|svg|pdf", default_value = "png", value_parser = PossibleValuesParser::new(FORMATS), hide_possible_values = true)]
    format: String,
    #[command(flatten)]
    moved: Moved,
    #[command(flatten)]
    device: DeviceFlags,
}

/// Where the run's files are now.
#[derive(clap::Args, Serialize)]
struct Moved {
    /// The run's data, where it has moved
    #[arg(long, value_name = "FILE|FOLDER")]
    data: Option<PathBuf>,
    /// The run's split, where it has moved
    #[arg(long, value_name = "FILE.csv")]
    split: Option<PathBuf>,
}

/// Makes the report of a run anew.
///
/// # Errors
/// As [`page::remake`].
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (changes, device) = (Changes::given(&args.moved)?, recipe(&args.device)?);
    page::remake(&args.run, &changes, &device, &args.format, &mut note)?;
    print_text(format!("report   {}\n", args.run.join("report.html").display()))?;
    Ok(ExitCode::SUCCESS)
}
