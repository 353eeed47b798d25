//! `data split`: writes the split that a training draws, or finds in the data.

use super::Source;
use crate::cli::options::check_output;
use crate::data::Split;
use crate::error::Error;
use crate::run::{SIMULATED, SplitSizes, TEST_FRACTION, split_in_words};
use std::path::PathBuf;

/// Arguments of `data split`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  galaxy-gpu data split Galaxy10_DECals.h5 --seed 3 --validation 0.1
  galaxy-gpu data split Galaxy10_DECals.h5 --out split.csv
  galaxy-gpu train --data Galaxy10_DECals.h5 --split split.csv")]
pub struct Args {
    #[command(flatten)]
    source: Source,
    /// Seed of the split, as in train
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Fraction of the training set that is set aside to choose the best epoch
    #[arg(long, default_value_t = 0.0, value_name = "FRACTION", allow_negative_numbers = true)]
    validation: f64,
    /// CSV file to write, with the columns index, ans and split
    #[arg(long, value_name = "FILE.csv")]
    out: Option<PathBuf>,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Draws the split, prints its sizes and what moved to keep patches of sky together, and writes it.
///
/// # Errors
/// The data cannot be read or split, or the file exists or cannot be written.
pub fn run(args: &Args) -> anyhow::Result<()> {
    if let Some(path) = &args.out {
        check_output("--out", path, &["csv"])?;
        if !args.force && path.symlink_metadata().is_ok() {
            let remedy = "choose another --out, or replace it with --force";
            return Err(Error::file(path, "it exists already", remedy).into());
        }
    }
    let dataset = args.source.load(SIMULATED)?;
    let split = Split::of(&dataset, TEST_FRACTION, args.seed)?;
    let split = split.set_aside(&dataset, args.validation, args.seed)?;
    if let Some(path) = &args.out {
        split.write_csv(path, &dataset)?;
    }
    if args.json {
        return crate::cli::print_json(&SplitSizes::of(&split));
    }
    crate::cli::print_text(format!("{}\nhash {}\n", split_in_words(&split), split.hash))
}
