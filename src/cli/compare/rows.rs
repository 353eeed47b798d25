//! A row of the comparison: a run, or a series as one, and what its cells say in words, JSON and CSV.

use crate::Result;
use crate::error::Error;
use crate::report::Table;
use crate::run::series::Series;
use crate::train::summary::{SCORES, Score, Spread, Summary};
use serde_json::{Map, Value, json};
use std::path::Path;

/// A run folder, or a series.
pub struct Row {
    /// The folder, as it was given.
    pub name: String,
    /// One run, or one for each seed that has begun.
    pub runs: Vec<Summary>,
    /// Trainings of the series; `None` for a run of its own.
    pub seeds: Option<usize>,
    /// What is missing, a sentence each.
    pub missing: Vec<String>,
}

/// Something that is the same for all runs of a fair comparison, or says what is compared.
pub struct Fact {
    /// Its name in files.
    pub name: &'static str,
    /// Its name in tables.
    pub title: &'static str,
    /// What a run says.
    pub of: fn(&Summary) -> Option<String>,
}

/// What stands before the scores.
pub const FACTS: [Fact; 9] = [
    Fact { name: "model", title: "model", of: |run| Some(run.card.as_ref()?.model.name.clone()) },
    Fact { name: "parameters", title: "parameters", of: |run| run.parameters.map(|count| count.to_string()) },
    Fact { name: "data", title: "data", of: |run| Some(run.card.as_ref()?.data.clone()) },
    Fact { name: "data_hash", title: "data hash", of: |run| Some(run.data.as_ref()?.1.clone()) },
    Fact { name: "split_hash", title: "split", of: |run| Some(run.card.as_ref()?.split_hash.clone()) },
    Fact { name: "chosen_by", title: "chosen by", of: chosen_by },
    Fact { name: "precision", title: "precision", of: |run| Some(run.card.as_ref()?.precision.to_string()) },
    Fact { name: "epochs", title: "epochs", of: |run| Some(run.history.as_ref()?.epochs.len().to_string()) },
    Fact { name: "seed", title: "seed", of: |run| Some(run.card.as_ref()?.seed.to_string()) },
];

/// What stands behind them: the last weights, whose hash `train` prints.
const WEIGHTS: Fact = Fact { name: "weights_hash", title: "weights", of: |run| run.last.clone() };

/// Facts that are a column even where they are the same in all rows.
const ALWAYS: [&str; 2] = ["seed", "epochs"];

fn chosen_by(run: &Summary) -> Option<String> {
    let value = serde_json::to_value(run.card.as_ref()?.chosen_by).ok()?;
    value.as_str().map(str::to_owned)
}

impl Fact {
    /// The different things that runs say, in order.
    pub fn distinct(&self, runs: &[Summary]) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for value in runs.iter().filter_map(self.of) {
            if !found.contains(&value) {
                found.push(value);
            }
        }
        found
    }

    /// The cell of a table.
    fn cell(&self, row: &Row) -> String {
        match &self.distinct(&row.runs)[..] {
            [] => "-".into(),
            [one] => one.clone(),
            seeds if self.name == "seed" => match (seeds.first(), seeds.last()) {
                (Some(first), Some(last)) => format!("{first} to {last}"),
                _ => seeds.join(" "),
            },
            several => format!("{} different", several.len()),
        }
    }

    /// The value in JSON: a list where runs of a series differ.
    fn json(&self, row: &Row) -> Value {
        match &self.distinct(&row.runs)[..] {
            [] => Value::Null,
            [one] => json!(one),
            several => json!(several),
        }
    }
}

impl Row {
    /// Reads a run folder or a series.
    ///
    /// # Errors
    /// A folder that holds neither, or a series of which nothing is there.
    pub fn read(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        if !Series::is_in(path) {
            let run = Summary::read(path)?;
            return Ok(Self { name, missing: run.missing.clone(), runs: vec![run], seeds: None });
        }
        let series = Series::read(path)?;
        let runs: Vec<Summary> = series.runs(path).into_iter().map(|(_, run)| run).collect();
        if runs.is_empty() {
            return Err(Error::file(path, "none of its seeds has a run", "resume it: `train --resume`"));
        }
        let mut missing: Vec<String> = runs.iter().flat_map(|run| run.missing.clone()).collect();
        let (found, wanted) = (runs.len(), series.seeds.len());
        if found < wanted {
            missing.push(format!("{name}: {found} of {wanted} seeds have a run; `train --resume {name}` continues it"));
        }
        Ok(Self { name, runs, seeds: Some(wanted), missing })
    }

    /// A score with what is known of its spread.
    fn score(&self, score: &Score) -> String {
        let Some(Spread { mean, deviation, .. }) = score.spread(&self.runs) else { return "-".into() };
        let digits = score.digits;
        // an epoch is whole, a mean of epochs is not
        let mean = if deviation.is_some() && digits == 0 { format!("{mean:.1}") } else { format!("{mean:.digits$}") };
        match (deviation, self.interval(score)) {
            (Some(deviation), _) => format!("{mean} ± {deviation:.*}", digits.max(1)),
            (None, Some((low, high))) => format!("{mean} ({low:.digits$} to {high:.digits$})"),
            _ => mean,
        }
    }

    /// The interval of a single run's accuracy.
    fn interval(&self, score: &Score) -> Option<(f64, f64)> {
        let [run] = &self.runs[..] else { return None };
        run.measured.as_ref().filter(|_| score.name == "test_accuracy").map(|measured| measured.accuracy_95)
    }

    /// Everything about it, as JSON.
    pub fn in_json(&self) -> Value {
        let mut fields = Map::from_iter([("run".to_owned(), json!(self.name))]);
        fields.extend([("repeated".to_owned(), json!(self.seeds))]);
        fields.extend(FACTS.iter().chain([&WEIGHTS]).map(|fact| (fact.name.to_owned(), fact.json(self))));
        for score in &SCORES {
            let mut value = json!(score.spread(&self.runs));
            if let (Some(interval), Value::Object(fields)) = (self.interval(score), &mut value) {
                fields.insert("interval_95".into(), json!(interval));
            }
            fields.insert(score.name.into(), value);
        }
        Value::Object(fields)
    }
}

/// What is the same in all rows, then a table of the rest.
pub fn in_words(rows: &[Row]) -> String {
    let shared = |fact: &&Fact| {
        let first = rows.first().map(|row| fact.cell(row));
        let same = rows.len() > 1 && rows.iter().all(|row| Some(fact.cell(row)) == first);
        same && !ALWAYS.contains(&fact.name) && rows.iter().all(|row| fact.distinct(&row.runs).len() == 1)
    };
    let (common, own): (Vec<&Fact>, Vec<&Fact>) = FACTS.iter().partition(shared);
    let mut text = String::new();
    if let (Some(row), false) = (rows.first(), common.is_empty()) {
        let facts: Vec<String> = common.iter().map(|fact| format!("{} {}", fact.title, fact.cell(row))).collect();
        text = format!("all have {}\n\n", facts.join(", "));
    }
    let titles = own.iter().map(|fact| fact.title).chain(SCORES.iter().map(|score| score.title));
    let titles: Vec<&str> = std::iter::once("run").chain(titles).chain([WEIGHTS.title]).collect();
    let numbers = own.len() + 1..titles.len() - 1;
    let mut table = Table::new(&titles).right(numbers);
    for row in rows {
        let mut cells = vec![row.name.clone()];
        cells.extend(own.iter().map(|fact| fact.cell(row)));
        cells.extend(SCORES.iter().map(|score| row.score(score)));
        cells.push(WEIGHTS.cell(row));
        table.row(&cells);
    }
    text + &table.to_string()
}

/// A line a row; numbers in full, deviations in columns of their own, empty where there is nothing.
///
/// # Errors
/// None that is known: memory does not fail.
pub fn in_csv(rows: &[Row]) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut header = vec!["run".to_owned(), "repeated".into()];
    header.extend(FACTS.iter().map(|fact| fact.name.to_owned()));
    header.extend(SCORES.iter().flat_map(|score| [score.name.to_owned(), format!("{}_deviation", score.name)]));
    header.extend(["test_accuracy_low", "test_accuracy_high", WEIGHTS.name].map(str::to_owned));
    writer.write_record(&header)?;
    let number = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
    for row in rows {
        let mut cells = vec![row.name.clone(), row.seeds.map_or(String::new(), |seeds| seeds.to_string())];
        cells.extend(FACTS.iter().map(|fact| fact.distinct(&row.runs).join(" ")));
        for score in &SCORES {
            let spread = score.spread(&row.runs);
            let deviation = spread.as_ref().and_then(|spread| spread.deviation);
            cells.extend([number(spread.map(|spread| spread.mean)), number(deviation)]);
        }
        let interval = SCORES.iter().find_map(|score| row.interval(score));
        cells.extend([number(interval.map(|of| of.0)), number(interval.map(|of| of.1))]);
        cells.push(WEIGHTS.distinct(&row.runs).join(" "));
        writer.write_record(&cells)?;
    }
    Ok(writer.into_inner().map_err(csv::IntoInnerError::into_error)?)
}
