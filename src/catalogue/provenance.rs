//! The provenance of a table's rows, and whether a job may add to them.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What made the rows of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// Version of this program.
    pub program: String,
    /// Hash of the weights' values.
    pub weights_hash: String,
    /// What the network was trained on; empty in old tables.
    #[serde(default)]
    pub data: String,
    /// How FITS images became pictures; empty in old tables.
    #[serde(default)]
    pub fits: String,
    /// The network, with its classes, size and preprocessing.
    pub network: serde_json::Value,
    /// Precision of weights and activations.
    pub precision: String,
    /// Views that were averaged.
    pub views: usize,
    /// Images in a step; another number may change last bits.
    pub batch: usize,
    /// The device; another one may change last bits.
    pub device: String,
}

impl Provenance {
    /// Refuses rows of another provenance; returns notes on what may make last bits differ.
    pub(super) fn check(&self, path: &Path, earlier: &Self) -> Result<Vec<String>> {
        let views = [earlier.views.to_string(), self.views.to_string()];
        let network = ["another network", "this one"].map(str::to_owned);
        let unsaid = earlier.fits.is_empty() || self.fits.is_empty();
        for (what, same, [before, now]) in [
            ("weights", earlier.weights_hash == self.weights_hash, [&earlier.weights_hash, &self.weights_hash]),
            ("a network", earlier.network == self.network, [&network[0], &network[1]]),
            ("a precision", earlier.precision == self.precision, [&earlier.precision, &self.precision]),
            ("--views", earlier.views == self.views, [&views[0], &views[1]]),
            ("FITS settings", unsaid || earlier.fits == self.fits, [&earlier.fits, &self.fits]),
        ] {
            if !same {
                let problem = format!("its rows were made with other {what} ({before}, now {now})")
                    .replace("other a ", "another ");
                return Err(Error::file(path, problem, "name another --out, or replace it with --force"));
            }
        }
        let batch = [earlier.batch.to_string(), self.batch.to_string()];
        let differing = [
            ("device", [&earlier.device, &self.device]),
            ("version of this program", [&earlier.program, &self.program]),
            ("--batch", [&batch[0], &batch[1]]),
        ];
        let note = |(what, [before, now]): (&str, [&String; 2])| {
            format!("earlier rows were made with another {what} ({before}, now {now}): they agree within rounding")
        };
        Ok(differing.into_iter().filter(|(_, [before, now])| before != now).map(note).collect())
    }
}
