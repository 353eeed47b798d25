//! What is said of trained weights in the end: scores on images that are measured once, and how far they may be believed.

use super::calibration::{Calibration, Scores};
use super::metrics::Evaluation;
use super::session::Session;
use super::weights::Weights;
use crate::data::ChosenBy;
use crate::error::Result;
use serde::Serialize;

/// Images to measure, and those that the temperature is fitted on.
#[derive(Clone, Copy, Debug)]
pub struct Measured<'a> {
    /// `test`, or `all`.
    pub name: &'static str,
    /// The measured images.
    pub images: &'a [u32],
    /// Images to fit the temperature on; the measured ones themselves where empty.
    pub validation: &'a [u32],
    /// Whether the measured images have chosen these weights as the best of several.
    pub have_chosen: bool,
}

/// Scores of trained weights.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Assessment {
    /// Which images: `test`, or `all`.
    pub images: &'static str,
    /// How many.
    pub count: usize,
    /// Whole epochs behind the weights.
    pub epochs: u32,
    /// Which side chose the best epoch.
    pub chosen_by: ChosenBy,
    /// Why these numbers flatter, a sentence each; none where they do not.
    pub caveats: Vec<String>,
    /// The scores.
    #[serde(flatten)]
    pub evaluation: Evaluation,
    /// Confidence against accuracy; `None` where no image has finite scores.
    pub calibration: Option<Calibration>,
}

/// Puts weights into a session, and measures them: one pass over the measured images and those the temperature is fitted on.
///
/// # Errors
/// A lost device; no images, or fewer than two classes.
pub fn assess(session: &mut Session, weights: &Weights, measured: Measured, per_submit: usize) -> Result<Assessment> {
    let Measured { name, images, validation, have_chosen } = measured;
    session.set_parameters(&weights.tensors)?;
    let order = [images, validation].concat();
    session.set_order(&order)?;
    session.infer(0, order.len(), per_submit)?;
    let probabilities = session.probabilities()?;
    let labels: Vec<u32> = order.iter().map(|&image| session.labels()[image as usize]).collect();

    let classes = weights.card.classes.len();
    let (own, rest) = probabilities.split_at(images.len() * classes);
    let (own_labels, rest_labels) = labels.split_at(images.len());
    let measured = Scores { classes, labels: own_labels, probabilities: own };
    let (fitted, fitted_on) = match validation.is_empty() {
        true => (measured, name),
        false => {
            let probabilities = &rest[..validation.len() * classes];
            (Scores { classes, labels: rest_labels, probabilities }, "validation")
        }
    };
    let mut caveats = Vec::new();
    if have_chosen {
        caveats.push("these very images chose the best epoch, so that their accuracy is optimistic".to_owned());
    }
    if name == "all" {
        caveats.push("every image is measured: if some of them trained the network, accuracy is optimistic".to_owned());
    }
    if validation.is_empty() {
        caveats.push("the temperature was fitted on these very images, so that what it gives is optimistic".to_owned());
    }
    Ok(Assessment {
        images: name,
        count: images.len(),
        epochs: weights.card.epochs,
        chosen_by: weights.card.chosen_by,
        caveats,
        evaluation: Evaluation::new(&weights.card.classes, own_labels, own)?,
        calibration: Calibration::new(measured, fitted, fitted_on),
    })
}
