//! When comparing runs is unfair, and why.

use super::rows::{FACTS, Row};
use std::collections::BTreeSet;

/// The reasons why the scores of these rows do not say which is better, a sentence each.
pub fn warnings(rows: &[Row]) -> Vec<String> {
    let mut warnings = Vec::new();
    if differ(rows, "data_hash") || differ(rows, "data") {
        warnings.push("these runs were trained on different data: their scores cannot be compared".to_owned());
    } else if differ(rows, "split_hash") {
        let what = "these runs were tested on different images of the data, as their splits differ";
        let how = "part of the difference in their scores is due to that; \
                   for one split use --split, or the same seed and --validation";
        warnings.push(format!("{what}: {how}"));
    }
    if different(rows, classes) {
        warnings.push("these runs have different classes: their scores cannot be compared".to_owned());
    }
    let by_test: Vec<&str> =
        rows.iter().filter(|row| said(row, "chosen_by").contains("test")).map(|row| &row.name[..]).collect();
    if !by_test.is_empty() && differ(rows, "chosen_by") {
        let optimistic = by_test.join(", ");
        warnings.push(format!(
            "the test set chose the best epoch of {optimistic}, so that accuracy is optimistic; this is not so for the others"
        ));
    }
    if different(rows, |row| BTreeSet::from([row.runs.iter().all(|run| run.measured.is_some()).to_string()])) {
        warnings.push("not all of these runs have been measured: some have not ended".to_owned());
    }
    warnings
}

/// The values that the runs of a row have for a fact.
fn said(row: &Row, name: &str) -> BTreeSet<String> {
    let fact = FACTS.iter().find(|fact| fact.name == name);
    fact.map(|fact| fact.distinct(&row.runs).into_iter().collect()).unwrap_or_default()
}

fn classes(row: &Row) -> BTreeSet<String> {
    row.runs.iter().filter_map(|run| Some(run.card.as_ref()?.classes.join("\n"))).collect()
}

fn differ(rows: &[Row], name: &str) -> bool {
    different(rows, |row| said(row, name))
}

/// Whether rows have different values; rows without a value do not count.
fn different(rows: &[Row], said: impl Fn(&Row) -> BTreeSet<String>) -> bool {
    let mut said = rows.iter().map(said).filter(|said| !said.is_empty());
    said.next().is_some_and(|first| said.any(|other| other != first))
}
