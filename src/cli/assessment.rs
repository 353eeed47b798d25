//! What trained weights are worth, in a few lines: for the end of `train` and for `evaluate`.

use crate::train::Assessment;

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
