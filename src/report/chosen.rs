//! Which images a report shows: the mistakes that a network is surest of, and some behind each cell of the confusion matrix.
//!
//! It reads predictions and knows no pixels.

use crate::train::Prediction;
use serde::Serialize;
use std::collections::BTreeMap;

/// Most mistakes that are shown on their own.
pub const MISTAKES: usize = 24;
/// Most images behind one cell of the confusion matrix.
pub const PER_CELL: usize = 12;
/// Most images behind all cells.
pub const IN_ALL: usize = 480;

/// A mistake, in words.
#[derive(Clone, Debug, Serialize)]
pub struct Mistake {
    /// Place of the image in the data set.
    pub image: u32,
    /// Name of the true class.
    pub label: String,
    /// Name of the class it is taken for.
    pub predicted: String,
    /// How sure the network is, as percent.
    pub confidence: String,
}

/// A share as percent.
pub fn percent(share: f64) -> String {
    // the number and its sign stay together
    format!("{:.1}\u{a0}%", 100.0 * share)
}

/// A probability as percent, as long as it is one.
pub fn confidence(probability: f32) -> String {
    if probability.is_finite() { percent(f64::from(probability)) } else { "not a number".into() }
}

/// The most confident first; of equals, and of those without a confidence, which come last, the first in the data set.
fn surest_first(predictions: impl Iterator<Item = Prediction>) -> Vec<Prediction> {
    let mut sorted: Vec<Prediction> = predictions.collect();
    let rank = |p: &Prediction| if p.confidence.is_finite() { p.confidence } else { f32::NEG_INFINITY };
    sorted.sort_by(|a, b| rank(b).total_cmp(&rank(a)).then(a.image.cmp(&b.image)));
    sorted
}

/// The most confident mistakes, [`MISTAKES`] at most, with the names of these classes.
pub fn mistakes(predictions: &[Prediction], classes: &[String]) -> Vec<Mistake> {
    let wrong = predictions.iter().copied().filter(|prediction| prediction.label != prediction.predicted);
    let name = |class: usize| classes.get(class).cloned().unwrap_or_default();
    let mistake = |wrong: Prediction| Mistake {
        image: wrong.image,
        label: name(wrong.label),
        predicted: name(wrong.predicted),
        confidence: confidence(wrong.confidence),
    };
    surest_first(wrong).into_iter().take(MISTAKES).map(mistake).collect()
}

/// The most confident images of each cell, [`PER_CELL`] of one and [`IN_ALL`] at most: the first of every cell, then the second of
/// every cell and so on, and mistakes before what is right. Whoever has less room takes them from the front.
pub fn behind_cells(predictions: &[Prediction]) -> Vec<Prediction> {
    let mut in_cell: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    let ranked = surest_first(predictions.iter().copied()).into_iter().map(|prediction| {
        let rank = in_cell.entry((prediction.label, prediction.predicted)).or_default();
        *rank += 1;
        (*rank, prediction)
    });
    let mut ranked: Vec<(usize, Prediction)> = ranked.filter(|(rank, _)| *rank <= PER_CELL).collect();
    // stable, so that the surest stay first
    ranked.sort_by_key(|(rank, prediction)| (*rank, prediction.label == prediction.predicted));
    ranked.into_iter().map(|(_, prediction)| prediction).take(IN_ALL).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prediction(image: u32, label: usize, predicted: usize, confidence: f32) -> Prediction {
        Prediction { image, label, predicted, confidence }
    }

    fn images(predictions: &[Prediction]) -> Vec<u32> {
        predictions.iter().map(|prediction| prediction.image).collect()
    }

    #[test]
    fn the_surest_mistakes_come_first_and_what_has_no_confidence_last() {
        let all = [(0, 0, 0, 1.0), (1, 0, 1, 0.5), (2, 1, 0, f32::NAN), (3, 1, 0, 0.9), (4, 0, 1, 0.5)];
        let all = all.map(|(image, label, predicted, sure)| prediction(image, label, predicted, sure));
        let found = mistakes(&all, &["a".into(), "b".into()]);
        let places = |found: &[Mistake]| found.iter().map(|mistake| mistake.image).collect::<Vec<u32>>();
        assert_eq!(places(&found), [3, 1, 4, 2]);
        assert_eq!((&found[0].label[..], &found[0].predicted[..], &found[0].confidence[..]), ("b", "a", "90.0\u{a0}%"));
        assert_eq!(found[3].confidence, "not a number");
        assert!(mistakes(&all[..1], &[]).is_empty());
        let many: Vec<Prediction> = (0..100).map(|image| prediction(image, 0, 1, 0.7)).collect();
        assert_eq!(places(&mistakes(&many, &[])), (0..MISTAKES as u32).collect::<Vec<_>>());
    }

    #[test]
    fn every_cell_has_its_turn_and_none_takes_too_many() {
        // cell (0, 0): images 0 to 19, surer and surer; cell (0, 1): 20 and 21; cell (1, 1): 22
        let mut all: Vec<Prediction> =
            (0..20).map(|image| prediction(image, 0, 0, 0.5 + image as f32 / 100.0)).collect();
        all.extend([prediction(20, 0, 1, 0.6), prediction(21, 0, 1, 0.7), prediction(22, 1, 1, 0.55)]);
        let shown = images(&behind_cells(&all));
        assert_eq!(shown[..6], [21, 19, 22, 20, 18, 17]);
        assert_eq!(shown.len(), PER_CELL + 3);
        let crowd = (0..40 * 40 * 3).map(|image| prediction(image, image as usize % 40, image as usize / 40 % 40, 0.5));
        assert_eq!(behind_cells(&crowd.collect::<Vec<_>>()).len(), IN_ALL);
        assert!(behind_cells(&[]).is_empty());
    }
}
