//! What trained weights are worth, in a few lines: for the end of `train` and for `evaluate`.

use crate::data::{ChosenBy, Split};
use crate::train::Assessment;
use serde::Serialize;

/// Accuracy, calibration and why they flatter, in lines of text.
pub fn in_words(found: &Assessment) -> Vec<String> {
    let (scores, (low, high)) = (&found.evaluation, found.evaluation.accuracy_95);
    let which = if found.images == "all" { "" } else { "test " };
    let mut lines = vec![
        format!(
            "accuracy {:.4} (95 % interval {low:.4} to {high:.4}) on {} {which}images",
            scores.accuracy, found.count
        ),
        format!("balanced accuracy {:.4}   macro-F1 {:.4}", scores.balanced_accuracy, scores.macro_f1),
    ];
    match &found.calibration {
        Some(of) => {
            let on = if of.fitted_on == "all" { "these" } else { of.fitted_on };
            lines.push(format!(
                "negative log-likelihood {:.4}   expected calibration error {:.4} ({} bins)",
                of.nll, of.ece, of.bins
            ));
            lines.push(format!(
                "temperature {:.3}, fitted on {} {on} images, makes them {:.4} and {:.4}",
                of.temperature, of.fitted_images, of.nll_after, of.ece_after
            ));
        }
        None => lines.push(format!("negative log-likelihood {:.4}", scores.loss)),
    }
    lines.extend(found.caveats.iter().map(|caveat| format!("note that {caveat}")));
    lines
}

/// A split in numbers.
#[derive(Serialize)]
pub struct Sides<'a> {
    source: &'a str,
    hash: &'a str,
    train: usize,
    validation: usize,
    test: usize,
    /// Which of them chooses the best epoch.
    chosen_by: ChosenBy,
    /// Patches of sky that were kept together, and images that changed sides for it.
    patches: usize,
    moved: usize,
}

/// What JSON says of a split.
pub fn of_split(split: &Split) -> Sides<'_> {
    Sides {
        source: &split.source,
        hash: &split.hash,
        train: split.train.len(),
        validation: split.validation.len(),
        test: split.test.len(),
        chosen_by: split.chosen_by(),
        patches: split.patches,
        moved: split.moved,
    }
}

/// A split in a line: how many images are where, and what the sky moved.
pub fn split_in_words(split: &Split) -> String {
    let [train, validation, test] = [&split.train, &split.validation, &split.test].map(Vec::len);
    let validation = if validation > 0 { format!(", {validation} to validate") } else { String::new() };
    let sky = match (split.patches, split.moved) {
        (0, _) => String::new(),
        (patches, moved) => format!("; {patches} patches of sky are kept together, {moved} images moved for that"),
    };
    format!("{}: {train} to train{validation}, {test} to test{sky}", split.source)
}
