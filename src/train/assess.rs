//! The final scores of trained weights, and their calibration.

use super::calibration::{Calibration, Scores};
use super::classifier::check_answer;
use super::metrics::{Evaluation, most_probable};
use super::session::Session;
use super::weights::Weights;
use crate::data::ChosenBy;
use crate::error::Result;
use serde::Serialize;

/// Images to measure, and images to fit the temperature on.
#[derive(Clone, Copy, Debug)]
pub struct Measured<'a> {
    /// `test`, or `all`.
    pub name: &'static str,
    /// The measured images.
    pub images: &'a [u32],
    /// Images to fit the temperature on; if empty, the measured ones.
    pub validation: &'a [u32],
    /// Whether the measured images chose these weights as the best of several.
    pub have_chosen: bool,
}

/// Scores of trained weights.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Assessment {
    /// Which images: `test`, or `all`.
    pub images: &'static str,
    /// How many images.
    pub count: usize,
    /// Whole epochs that the weights were trained for.
    pub epochs: u32,
    /// Which set chose the best epoch.
    pub chosen_by: ChosenBy,
    /// Why these numbers are optimistic, a sentence for each reason.
    pub caveats: Vec<String>,
    /// The scores.
    #[serde(flatten)]
    pub evaluation: Evaluation,
    /// Confidence against accuracy; `None` if no image has finite scores.
    pub calibration: Option<Calibration>,
}

/// What a network predicts for single images.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// Number of classes `C`.
    pub classes: usize,
    /// Indices of the `N` images in the data set.
    pub images: Vec<u32>,
    /// Their true classes.
    pub labels: Vec<u32>,
    /// Their probabilities, `N x C`, row by row.
    pub probabilities: Vec<f32>,
}

/// The prediction for one image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// Index of the image in the data set.
    pub image: u32,
    /// The true class.
    pub label: usize,
    /// The most probable class, as [`Evaluation::new`] counts it.
    pub predicted: usize,
    /// Its probability; NaN if a probability of the image is not finite.
    pub confidence: f32,
}

impl Scored {
    /// The scores, for calibration.
    pub fn scores(&self) -> Scores<'_> {
        Scores { classes: self.classes, labels: &self.labels, probabilities: &self.probabilities }
    }

    /// A prediction for each image.
    pub fn predictions(&self) -> Vec<Prediction> {
        let rows = self.probabilities.chunks_exact(self.classes).zip(&self.labels).zip(&self.images);
        let prediction = |((row, &label), &image): ((&[f32], &u32), &u32)| {
            let (label, finite) = (label as usize, row.iter().all(|p| p.is_finite()));
            let predicted = most_probable(row, if finite { None } else { Some(label) });
            Prediction { image, label, predicted, confidence: if finite { row[predicted] } else { f32::NAN } }
        };
        rows.map(prediction).collect()
    }
}

/// Puts weights into a session and measures them, in one pass over the images to measure and those to fit the temperature on.
///
/// # Errors
/// The device is lost, there are no images, or fewer than two classes.
pub fn assess(session: &mut Session, weights: &Weights, measured: Measured, per_submit: usize) -> Result<Assessment> {
    assess_each(session, weights, measured, per_submit).map(|(assessment, _)| assessment)
}

/// As [`assess`], with the prediction for each measured image.
///
/// # Errors
/// As [`assess`].
pub fn assess_each(
    session: &mut Session,
    weights: &Weights,
    measured: Measured,
    per_submit: usize,
) -> Result<(Assessment, Scored)> {
    let Measured { name, images, validation, .. } = measured;
    session.set_parameters(&weights.tensors)?;
    let order = [images, validation].concat();
    session.set_order(&order)?;
    session.infer(0, order.len(), per_submit)?;
    let mut probabilities = session.probabilities()?;
    let mut labels: Vec<u32> = order.iter().map(|&image| session.labels()[image as usize]).collect();

    let classes = weights.card.classes.len();
    // a few are counted as wrong; where none has an answer there is nothing to measure
    let mut rows = probabilities.chunks_exact(classes).take(images.len());
    if let Some(first) = rows.next().filter(|first| check_answer(first).is_err())
        && rows.all(|row| check_answer(row).is_err())
    {
        check_answer(first)?;
    }
    probabilities.truncate(order.len() * classes);
    let rest = probabilities.split_off(images.len() * classes);
    let rest_labels = labels.split_off(images.len());
    let own = Scored { classes, images: images.to_vec(), labels, probabilities };
    let (fitted, fitted_on) = match validation.is_empty() {
        true => (own.scores(), name),
        false => (Scores { classes, labels: &rest_labels, probabilities: &rest }, "validation"),
    };
    let assessment = Assessment {
        images: name,
        count: images.len(),
        epochs: weights.card.epochs,
        chosen_by: weights.card.chosen_by,
        caveats: caveats(&measured),
        evaluation: Evaluation::new(&weights.card.classes, &own.labels, &own.probabilities)?,
        calibration: Calibration::new(own.scores(), fitted, fitted_on),
    };
    Ok((assessment, own))
}

/// Why the numbers are optimistic.
fn caveats(measured: &Measured) -> Vec<String> {
    let mut caveats = Vec::new();
    if measured.have_chosen {
        caveats.push("these images also chose the best epoch, so their accuracy is optimistic".to_owned());
    }
    if measured.name == "all" {
        caveats.push("all images are measured: if some of them trained the network, accuracy is optimistic".to_owned());
    }
    if measured.validation.is_empty() {
        caveats.push("the temperature was fitted on the same images, so the scores with it are optimistic".to_owned());
    }
    caveats
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predictions_are_the_most_probable_classes_and_what_is_no_number_is_wrong() {
        let probabilities = vec![0.2, 0.8, 0.6, 0.4, f32::NAN, 0.9];
        let scored = Scored { classes: 2, images: vec![7, 3, 5], labels: vec![1, 1, 1], probabilities };
        let [right, wrong, lost] = scored.predictions()[..] else { panic!("three images") };
        assert_eq!(right, Prediction { image: 7, label: 1, predicted: 1, confidence: 0.8 });
        assert_eq!(wrong, Prediction { image: 3, label: 1, predicted: 0, confidence: 0.6 });
        assert_eq!((lost.image, lost.predicted), (5, 0), "the other class, though its score is no number");
        assert!(lost.confidence.is_nan());
    }
}
