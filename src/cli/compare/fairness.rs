//! Where comparing runs is unfair, and why.

use super::rows::{FACTS, Row};
use std::collections::BTreeSet;

/// Why the numbers of these rows do not say which of them is better, a sentence each; none where they may.
pub fn warnings(rows: &[Row]) -> Vec<String> {
    let mut warnings = Vec::new();
    if differ(rows, "data_hash") || differ(rows, "data") {
        warnings.push("these runs were trained on different data: their scores cannot be compared".to_owned());
    } else if differ(rows, "split_hash") {
        let what = "these runs were tested on different images of the data (their splits differ)";
        let how =
            "part of what their scores differ by is that; --split, or the same seed and --validation, makes them one";
        warnings.push(format!("{what}: {how}"));
    }
    if different(rows, classes) {
        warnings.push("these runs know different classes: their scores cannot be compared".to_owned());
    }
    let by_test: Vec<&str> =
        rows.iter().filter(|row| said(row, "chosen_by").contains("test")).map(|row| &row.name[..]).collect();
    if !by_test.is_empty() && differ(rows, "chosen_by") {
        let flattered = by_test.join(", ");
        warnings.push(format!(
            "the test images chose the best epoch of {flattered}, so that its accuracy flatters; those of the others did not"
        ));
    }
    if different(rows, |row| BTreeSet::from([row.runs.iter().all(|run| run.measured.is_some()).to_string()])) {
        warnings.push("not all of these runs have been measured: some have not ended".to_owned());
    }
    warnings
}

/// What the runs of a row say of a fact.
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

/// Whether rows say different things; those that say nothing do not count.
fn different(rows: &[Row], said: impl Fn(&Row) -> BTreeSet<String>) -> bool {
    let mut said = rows.iter().map(said).filter(|said| !said.is_empty());
    said.next().is_some_and(|first| said.any(|other| other != first))
}
