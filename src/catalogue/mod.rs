//! Catalogues: what a trained network predicts for many items, the files that hold it, and the job that fills them.
//!
//! An item that cannot be classified becomes a row with the reason. A job can be killed at any moment: it appends rows in whole
//! lines, in the order of the items, and the next job continues after them. Binary and XML tables are written from these lines at
//! the end. This room knows nothing of the terminal.

mod earlier;
mod feed;
mod finish;
mod formats;
mod job;
mod locks;
mod provenance;
mod table;
pub mod views;

pub use formats::Format;
pub use job::{Monitor, Scorer, Task, run};
pub use provenance::Provenance;
pub use table::{Mode, TableFile};

use crate::data::ItemInfo;

/// One item and its result.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The item.
    pub about: ItemInfo,
    /// The probability of each class in the network's order, all finite; or one sentence that says why there are none.
    pub outcome: Result<Vec<f32>, String>,
}

/// The class that the probabilities of a row name, and how sure they are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// The most probable class, the first of equals.
    pub class: usize,
    /// Its probability.
    pub confidence: f32,
    /// `-sum of p ln p`, in nats: from 0 to ln(number of classes).
    pub entropy: f32,
}

impl Verdict {
    /// The verdict of the probabilities of one class or more.
    pub fn of(probabilities: &[f32]) -> Self {
        let best = |best, class| if probabilities[class] > probabilities[best] { class } else { best };
        let class = (0..probabilities.len()).fold(0, best);
        let terms = probabilities.iter().map(|&p| f64::from(p)).filter(|&p| p > 0.0).map(|p| -p * p.ln());
        // a sum of -0 is shown as it is
        let entropy = terms.sum::<f64>().max(0.0) as f32;
        Self { class, confidence: probabilities[class], entropy }
    }
}

/// The columns of a table.
#[derive(Clone, Debug)]
pub struct Columns {
    /// Names of the classes, in the network's order.
    pub classes: Vec<String>,
    /// Below this confidence a row names no class.
    pub min_confidence: f32,
}

impl Columns {
    /// Names of all columns: `id path index ra dec p_<class>... class confidence entropy status`.
    pub fn names(&self) -> Vec<String> {
        let probabilities = self.classes.iter().map(|class| format!("p_{class}").replace(char::is_control, " "));
        let (before, after) = (["id", "path", "index", "ra", "dec"], ["class", "confidence", "entropy", "status"]);
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        own(&before).into_iter().chain(probabilities).chain(own(&after)).collect()
    }

    /// The name of the class that a row is given; `None` where the network abstains.
    pub fn class(&self, verdict: Verdict) -> Option<&str> {
        (verdict.confidence >= self.min_confidence).then(|| &self.classes[verdict.class][..])
    }
}

/// Counts of the rows that are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Rows with probabilities.
    pub classified: u64,
    /// Classified rows below the confidence at which a class is named.
    pub uncertain: u64,
    /// Rows with a reason instead of probabilities.
    pub failed: u64,
    /// Rows of either kind that an earlier job wrote.
    pub kept: u64,
    /// Whether the monitor stopped the job.
    pub stopped: bool,
}

impl Summary {
    /// All rows.
    pub fn rows(&self) -> u64 {
        self.classified + self.failed
    }

    fn add(&mut self, row: &Row, columns: &Columns, kept: bool) {
        match &row.outcome {
            Ok(probabilities) => {
                self.classified += 1;
                self.uncertain += u64::from(columns.class(Verdict::of(probabilities)).is_none());
            }
            Err(_) => self.failed += 1,
        }
        self.kept += u64::from(kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_the_first_largest_and_its_doubt() {
        let verdict = Verdict::of(&[0.25, 0.25, 0.25, 0.25]);
        assert_eq!((verdict.class, verdict.confidence), (0, 0.25));
        assert!((f64::from(verdict.entropy) - 4f64.ln()).abs() < 1e-6);
        assert_eq!(Verdict::of(&[0.0, 1.0]), Verdict { class: 1, confidence: 1.0, entropy: 0.0 });
        let columns = Columns { classes: vec!["a".into(), "b".into()], min_confidence: 0.6 };
        assert_eq!(columns.class(Verdict::of(&[0.4, 0.6])), Some("b"));
        assert_eq!(columns.class(Verdict::of(&[0.5, 0.5])), None);
    }
}
