//! The end of `train --repeat N`: what the scores of the seeds vary by.

use super::display::{Display, Json};
use super::interrupt::INCOMPLETE;
use super::{print_note, print_text, voice};
use crate::report::Table;
use crate::run::EndedSeries;
use crate::run::resume_command;
use crate::run::series::scores;
use crate::train::summary::{SCORES, Spread, Summary};
use serde_json::{Value, json};
use std::process::ExitCode;

/// Says what the seeds have come to.
///
/// # Errors
/// That a seed failed; standard output cannot be written.
pub fn conclude(series: EndedSeries, json: Option<Json>) -> anyhow::Result<ExitCode> {
    let EndedSeries { folder, seeds, runs, .. } = &series;
    let failure = series.failure.as_ref().map(|(seed, error)| format!("seed {seed}: {error}"));
    if json.is_none() && failure.is_none() {
        // the log of the last seed is not the series'; that of one that failed is still to hear why
        voice::forget_listeners();
    }
    let (ended, count) = (series.ended(), seeds.len());
    if ended < count {
        print_note(format!(
            "{ended} of {count} seeds have ended; `{}` continues the series",
            resume_command(folder, None)
        ));
    }
    if let Some(json) = json {
        let mut about = json!({ "run": folder, "seeds": seeds, "ended": ended, "failure": failure });
        if let (Value::Object(about), Value::Object(scores)) = (&mut about, scores(runs)) {
            about.extend(scores);
        }
        Display::end_series(json, &about)?;
    } else {
        print_text(format!("\n{}\n", in_words(runs)))?;
        print_text(format!("series   {} (repeat.json, curves.png, seed-.../)\n", folder.display()))?;
    }
    match series.failure {
        Some((seed, error)) => Err(anyhow::Error::from(error).context(format!("seed {seed}"))),
        None if ended < count => Ok(ExitCode::from(INCOMPLETE)),
        None => Ok(ExitCode::SUCCESS),
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
