//! The provenance of a table's rows, as the headers of tables carry it.

use crate::catalogue::{Columns, Provenance};
use chrono::DateTime;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// One fact about a table.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::catalogue) struct Fact {
    /// Its name.
    pub name: &'static str,
    /// Its name in a FITS header: at most eight characters.
    pub keyword: &'static str,
    /// The fact.
    pub value: String,
    /// What it means, in words.
    pub about: &'static str,
}

/// All facts about a table.
pub(in crate::catalogue) fn facts(provenance: &Provenance, columns: &Columns) -> Vec<Fact> {
    let network = |name: &str| provenance.network[name].to_string();
    let model = provenance.network["model"]["name"].as_str().unwrap_or_default().to_owned();
    let classes = serde_json::Value::from(columns.classes.clone()).to_string();
    [
        ("program", "PROGRAM", format!("galaxy-gpu {}", provenance.program), "what classified the items"),
        ("date", "DATE", now(), "when this table was written, UTC"),
        ("weights_hash", "WEIGHTS", provenance.weights_hash.clone(), "hash of the weights' values"),
        ("model", "MODEL", model, "the network"),
        ("image_size", "IMGSIZE", format!("{} x {}", network("height"), network("width")), "rows x columns, pixels"),
        ("data", "TRAINSET", provenance.data.clone(), "what the network was trained on"),
        ("fits", "FITSREAD", provenance.fits.clone(), "how FITS images became pictures"),
        ("classes", "CLASSES", classes, "as a JSON list"),
        ("precision", "PRECISN", provenance.precision.clone(), "of weights and activations"),
        ("views", "VIEWS", provenance.views.to_string(), "turns and mirror images averaged"),
        ("min_confidence", "MINCONF", columns.min_confidence.to_string(), "below it no class is named"),
        ("batch", "BATCH", provenance.batch.to_string(), "images in a step"),
        ("device", "DEVICE", provenance.device.clone(), "where it ran"),
    ]
    .map(|(name, keyword, value, about)| Fact { name, keyword, value, about })
    .into()
}

/// Now, or the time in `SOURCE_DATE_EPOCH` (reproducible-builds.org), which makes tables byte-for-byte reproducible.
fn now() -> String {
    let given = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|seconds| seconds.parse().ok());
    let since = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    date(given.unwrap_or_else(since))
}

/// A date of ISO 8601 from seconds since 1970.
fn date(seconds: u64) -> String {
    // beyond the year 9999 there is no such date
    let seconds = seconds.min(253_402_300_799) as i64;
    DateTime::from_timestamp(seconds, 0).unwrap_or_default().format("%Y-%m-%dT%H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, wanted) in [
            (0, "1970-01-01T00:00:00"),
            (951_782_399, "2000-02-28T23:59:59"),
            (951_782_400, "2000-02-29T00:00:00"),
            (1_709_251_200, "2024-03-01T00:00:00"),
            (u64::MAX, "9999-12-31T23:59:59"),
        ] {
            assert_eq!(date(seconds), wanted);
        }
    }
}
