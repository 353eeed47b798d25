//! `galaxy-gpu compare`: compares runs by what their folders hold.

mod fairness;
mod rows;

use super::options::check_output;
use super::{print_json, print_note, print_text};
use crate::files::write_whole;
use crate::report::{self, comparison::Curves};
use fairness::warnings;
use rows::{Row, in_csv, in_words};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `compare`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  galaxy-gpu compare runs/1 runs/2
  galaxy-gpu compare runs/* --out compare.png --csv compare.csv
  galaxy-gpu compare runs/conv3 runs/conv4 --json

A folder of `train --repeat` is one row: the mean over its seeds, plus or minus the standard deviation. An interval in \
parentheses holds the accuracy on as many other images with 95 % confidence. Runs that were tested on different images, \
or whose best epoch the test set chose, are compared with a warning.")]
pub struct Args {
    /// Run folders, and folders of train --repeat
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Picture of all curves: accuracy and loss, a colour for each run
    #[arg(long, value_name = "FILE.png|svg|pdf")]
    out: Option<PathBuf>,
    /// Table with a line for each run
    #[arg(long, value_name = "FILE.csv")]
    csv: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Reads the runs, prints the table, warns if comparing them is unfair, and draws their curves.
///
/// # Errors
/// A folder holds no run, or the picture or table cannot be written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    args.out.as_deref().map_or(Ok(()), |path| check_output("--out", path, report::FORMATS))?;
    args.csv.as_deref().map_or(Ok(()), |path| check_output("--csv", path, &["csv"]))?;
    let rows = args.runs.iter().map(|path| Row::read(path)).collect::<crate::Result<Vec<Row>>>()?;
    let warnings = warnings(&rows);
    let missing: Vec<&String> = rows.iter().flat_map(|row| &row.missing).collect();
    if let Some(path) = &args.csv {
        write_whole(path, &in_csv(&rows)?)?;
    }
    if let Some(path) = &args.out {
        draw(&rows, path)?;
    }
    if args.json {
        let rows: Vec<serde_json::Value> = rows.iter().map(Row::in_json).collect();
        print_json(&json!({ "runs": rows, "warnings": warnings, "missing": missing }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = in_words(&rows);
    for (what, path) in [("curves", &args.out), ("table", &args.csv)] {
        text += &path.as_ref().map_or(String::new(), |path| format!("{what} in {}\n", path.display()));
    }
    print_text(text)?;
    missing.into_iter().for_each(print_note);
    warnings.iter().for_each(print_note);
    Ok(ExitCode::SUCCESS)
}

/// Draws the curves of all runs that have a history.
fn draw(rows: &[Row], path: &Path) -> crate::Result<()> {
    let curves = rows.iter().map(|row| Curves {
        name: row.name.clone(),
        histories: row.runs.iter().filter_map(|run| run.history.as_ref()).collect(),
    });
    report::comparison(&curves.collect::<Vec<Curves>>(), path)
}
