//! A run folder in a few numbers, for comparison with other runs.
//!
//! It reads the files that a training leaves. What is missing or cannot be read is absent from the summary, with a sentence that
//! says so.

use super::checkpoint::Checkpoint;
use super::history::History;
use super::weights::{Card, Weights};
use crate::error::{Error, Result};
use crate::files::read_text;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The largest metrics file that is read, in bytes.
const LARGEST_METRICS: u64 = 64 << 20;

/// A run in numbers. What its folder does not hold is `None`.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The folder.
    pub folder: PathBuf,
    /// Card of the best weights, or of the last if there are no best.
    pub card: Option<Card>,
    /// The epochs that have ended.
    pub history: Option<History>,
    /// The scores at the end.
    pub measured: Option<Measured>,
    /// Number of images in the data set, and their hash.
    pub data: Option<(usize, String)>,
    /// Trainable values.
    pub parameters: Option<usize>,
    /// Hash of the best weights, which the scores are of.
    pub best: Option<String>,
    /// Hash of the last weights, which `train` prints.
    pub last: Option<String>,
    /// What is missing, a sentence each.
    pub missing: Vec<String>,
}

/// The scores of `metrics.json` that runs are compared by.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Measured {
    /// Test images.
    pub count: u64,
    /// Fraction of them classified correctly.
    pub accuracy: f64,
    /// Its interval at 95 % confidence.
    pub accuracy_95: (f64, f64),
    /// Mean recall over the classes.
    pub balanced_accuracy: f64,
    /// Mean F1 over the classes.
    pub macro_f1: f64,
    /// Mean cross-entropy in nats.
    pub loss: f64,
    /// Calibration of the probabilities.
    pub calibration: Option<Believed>,
}

/// Calibration, without a temperature.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Believed {
    /// Expected calibration error.
    pub ece: f64,
    /// Negative log-likelihood in nats.
    pub nll: f64,
}

/// A score to compare runs by.
#[derive(Clone, Copy)]
pub struct Score {
    /// Its name in files.
    pub name: &'static str,
    /// Its name in tables.
    pub title: &'static str,
    /// Decimals in tables.
    pub digits: usize,
    /// The score, if the run has it.
    pub of: fn(&Summary) -> Option<f64>,
}

/// All scores, in the order of tables.
pub const SCORES: [Score; 8] = [
    Score {
        name: "best_epoch",
        title: "best epoch",
        digits: 0,
        of: |run| Some(f64::from(run.history.as_ref()?.best()?.epoch)),
    },
    Score {
        name: "val_accuracy",
        title: "val accuracy",
        digits: 4,
        of: |run| Some(f64::from(run.history.as_ref()?.best()?.val_accuracy)),
    },
    Score { name: "test_accuracy", title: "test accuracy", digits: 4, of: |run| Some(run.measured.as_ref()?.accuracy) },
    Score {
        name: "balanced_accuracy",
        title: "balanced",
        digits: 4,
        of: |run| Some(run.measured.as_ref()?.balanced_accuracy),
    },
    Score { name: "macro_f1", title: "macro-F1", digits: 4, of: |run| Some(run.measured.as_ref()?.macro_f1) },
    Score { name: "nll", title: "nll", digits: 4, of: |run| Some(run.measured.as_ref()?.nll()) },
    Score { name: "ece", title: "ece", digits: 4, of: |run| Some(run.measured.as_ref()?.calibration.as_ref()?.ece) },
    Score { name: "seconds_per_epoch", title: "s/epoch", digits: 2, of: Summary::seconds_per_epoch },
];

/// The mean and spread of a score over runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Mean of the values.
    pub mean: f64,
    /// Standard deviation of the values, with `n - 1`; `None` for a single value.
    pub deviation: Option<f64>,
    /// The values, in the order of the runs that have one.
    pub values: Vec<f64>,
}

impl Spread {
    /// The spread of these values; `None` if there are none.
    pub fn of(values: Vec<f64>) -> Option<Self> {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt());
        (!values.is_empty()).then_some(Self { mean, deviation, values })
    }
}

impl Score {
    /// The spread over the runs that have this score.
    pub fn spread(&self, runs: &[Summary]) -> Option<Spread> {
        Spread::of(runs.iter().filter_map(self.of).filter(|value| value.is_finite()).collect())
    }
}

impl Measured {
    /// Negative log-likelihood in nats.
    fn nll(&self) -> f64 {
        self.calibration.as_ref().map_or(self.loss, |of| of.nll)
    }
}

impl Summary {
    /// Reads a run folder. Takes twice the memory of the largest of its weights and checkpoints.
    ///
    /// # Errors
    /// [`Error::File`]: the folder holds nothing of a run.
    pub fn read(folder: &Path) -> Result<Self> {
        let place = |name: &str| folder.join(name);
        let mut missing = Vec::new();
        let mut note = |error: Error| missing.push(error.to_string());
        let history = History::read(&place("history.csv")).map_err(&mut note).ok();
        let [best, last] = ["best", "last"].map(|name| {
            let path = place(&format!("weights/{name}.safetensors"));
            path.exists().then(|| Weights::load(&path).map_err(&mut note).ok()).flatten()
        });
        let [best_hash, last_hash] = [&best, &last].map(|weights| weights.as_ref().map(Weights::hash));
        let card = best.or(last).map(|weights| weights.card);
        let measured = read_metrics(&place("metrics.json")).map_err(&mut note).ok().flatten();
        if history.is_none() && card.is_none() && measured.is_none() {
            let remedy = "name run folders that `galaxy-gpu train` has written";
            return Err(Error::file(folder, "it holds no run", remedy));
        }
        let shown = folder.display();
        if card.is_none() {
            missing.push(format!("{shown}: there are no weights that say what was trained"));
        }
        if measured.is_none() {
            let remedy = "the run has not ended, or its test set could not be measured";
            missing.push(format!("{shown}: there is no metrics.json: {remedy}"));
        }
        let network = card.as_ref().and_then(|card| card.model.build(card.height, card.width, card.classes.len()).ok());
        let checkpoint = Checkpoint::load(folder).ok();
        Ok(Self {
            folder: folder.to_owned(),
            parameters: network.map(|network| network.parameter_count()),
            data: checkpoint.map(|(checkpoint, _)| (checkpoint.identity.images, checkpoint.identity.data_hash)),
            best: best_hash,
            last: last_hash,
            card,
            history,
            measured,
            missing,
        })
    }

    /// Median over the epochs, as the first also compiles.
    fn seconds_per_epoch(&self) -> Option<f64> {
        let mut seconds: Vec<f32> = self.history.as_ref()?.epochs.iter().map(|epoch| epoch.seconds).collect();
        seconds.sort_by(f32::total_cmp);
        let middle = seconds.len() / 2;
        match seconds.len() {
            0 => None,
            count if count.is_multiple_of(2) => Some(f64::midpoint(seconds[middle - 1].into(), seconds[middle].into())),
            _ => Some(seconds[middle].into()),
        }
    }
}

/// The scores of a run; `None` if it has not ended.
fn read_metrics(path: &Path) -> Result<Option<Measured>> {
    if !path.exists() {
        return Ok(None);
    }
    let text = read_text(path, LARGEST_METRICS)?;
    let refuse = |error| {
        Error::file(path, format!("these are no scores of a run ({error})"), "use `galaxy-gpu evaluate` instead")
    };
    serde_json::from_str(&text).map(Some).map_err(refuse)
}
