//! Scores of a classifier: confusion matrix, accuracy and its interval, precision, recall, F1, cross-entropy.
//!
//! Plain arithmetic on plain numbers, without engines, files or pictures.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The cross-entropy raises smaller probabilities to this, so that one confident mistake cannot make it infinite.
pub const SMALLEST_PROBABILITY: f64 = 1e-12;

/// Counts of true against predicted classes.
#[derive(Clone, Debug, PartialEq)]
pub struct Confusion {
    classes: usize,
    counts: Vec<u64>,
}

impl Confusion {
    /// An empty matrix of `classes x classes`.
    pub fn new(classes: usize) -> Self {
        Self { classes, counts: vec![0; classes * classes] }
    }

    /// Counts one image. Both classes are below the number of classes; others panic.
    pub fn add(&mut self, label: usize, predicted: usize) {
        assert!(label < self.classes && predicted < self.classes, "class beyond the confusion matrix");
        self.counts[label * self.classes + predicted] += 1;
    }

    /// Images of class `label` that were classified as `predicted`.
    pub fn count(&self, label: usize, predicted: usize) -> u64 {
        self.counts[label * self.classes + predicted]
    }

    /// The counts: a vector for each true class, with an entry for each predicted class.
    pub fn rows(&self) -> Vec<Vec<u64>> {
        (0..self.classes).map(|label| (0..self.classes).map(|other| self.count(label, other)).collect()).collect()
    }

    /// All images counted.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Fraction of images on the diagonal; 0 without images.
    pub fn accuracy(&self) -> f64 {
        ratio((0..self.classes).map(|class| self.count(class, class)).sum(), self.total())
    }

    /// Images whose true class is `class`.
    pub fn support(&self, class: usize) -> u64 {
        (0..self.classes).map(|predicted| self.count(class, predicted)).sum()
    }

    /// Images classified as `class`, rightly or wrongly.
    pub fn predicted(&self, class: usize) -> u64 {
        (0..self.classes).map(|label| self.count(label, class)).sum()
    }

    /// Of the images classified as `class`, the fraction that belongs to it; 0 without such images.
    pub fn precision(&self, class: usize) -> f64 {
        ratio(self.count(class, class), self.predicted(class))
    }

    /// Of the images of `class`, the fraction that was found; 0 without such images.
    pub fn recall(&self, class: usize) -> f64 {
        ratio(self.count(class, class), self.support(class))
    }

    /// Harmonic mean of precision and recall, `2 hits / (support + predicted)`; 0 if the class neither occurs nor is predicted.
    pub fn f1(&self, class: usize) -> f64 {
        ratio(2 * self.count(class, class), self.support(class) + self.predicted(class))
    }

    /// Mean recall over the classes that occur; 0 if none does.
    pub fn balanced_accuracy(&self) -> f64 {
        let occurring: Vec<usize> = (0..self.classes).filter(|&class| self.support(class) > 0).collect();
        occurring.iter().map(|&class| self.recall(class)).sum::<f64>() / occurring.len().max(1) as f64
    }

    /// Unweighted mean of a score over the classes that occur or are predicted, such as
    /// `confusion.macro_average(Confusion::f1)`; 0 if there are none. A class that neither occurs nor is predicted
    /// says nothing about the classifier and is left out, as scikit-learn does by default.
    pub fn macro_average(&self, score: impl Fn(&Self, usize) -> f64) -> f64 {
        let seen: Vec<usize> = (0..self.classes).filter(|&c| self.support(c) + self.predicted(c) > 0).collect();
        seen.iter().map(|&class| score(self, class)).sum::<f64>() / seen.len().max(1) as f64
    }
}

/// The standard normal distribution has 95 % of its weight between minus and plus this.
const NORMAL_95: f64 = 1.959_963_984_540_054;

/// The interval, at 95 % confidence, of a probability that gave `hits` in `total` independent tries: all `p` with
/// `|hits/total - p| <= z sqrt(p (1 - p) / total)`. Unlike the textbook's `± z sqrt(h (1 - h) / total)` it stays within 0 and 1, and
/// also holds for few tries and for probabilities near 0 or 1. (0, 1) without tries.
///
/// Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927) 209-212; recommended by
/// Brown, Cai and DasGupta, "Interval estimation for a binomial proportion", Statistical Science 16 (2001) 101-133.
pub fn wilson_interval(hits: u64, total: u64) -> (f64, f64) {
    if total == 0 {
        return (0.0, 1.0);
    }
    let (n, share, z2) = (total as f64, ratio(hits, total), NORMAL_95 * NORMAL_95);
    let centre = (share + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = NORMAL_95 / (1.0 + z2 / n) * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
    ((centre - half).max(0.0), (centre + half).min(1.0))
}

/// Quotient of two counts; 0 if the second is 0.
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The scores of one class; undefined ones are 0, see [`Confusion`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassScore {
    /// Name of the class.
    pub name: String,
    /// Of the images classified as this class, the fraction that belongs to it.
    pub precision: f64,
    /// Of the images of this class, the fraction that was found.
    pub recall: f64,
    /// Harmonic mean of precision and recall.
    pub f1: f64,
    /// Images of this class.
    pub support: u64,
}

/// All scores of a model on a set of labelled images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Fraction of images classified correctly, 0 to 1.
    pub accuracy: f64,
    /// Interval of the accuracy on as many other images of the same kind, at 95 % confidence ([`wilson_interval`]). It assumes
    /// independent images: if galaxies are in the set twice, it is too narrow.
    pub accuracy_95: (f64, f64),
    /// Mean recall over the classes that occur: the accuracy if all classes were equally frequent (Brodersen et al., "The
    /// balanced accuracy and its posterior distribution", ICPR 2010).
    pub balanced_accuracy: f64,
    /// Negative log-likelihood, the mean cross-entropy in nats, see [`Evaluation::new`].
    pub loss: f64,
    /// Mean precision over the classes, see [`Confusion::macro_average`].
    pub macro_precision: f64,
    /// Mean recall over the classes, see [`Confusion::macro_average`].
    pub macro_recall: f64,
    /// Mean F1 over the classes, see [`Confusion::macro_average`].
    pub macro_f1: f64,
    /// Images with a probability that is not finite; all of them count as wrong.
    pub non_finite: u64,
    /// One entry per class, in the order of the labels.
    pub per_class: Vec<ClassScore>,
    /// Counts: rows are true classes, columns predicted ones.
    pub confusion: Vec<Vec<u64>>,
}

impl Evaluation {
    /// Scores `probabilities` (`N x C`, row by row, of softmax) against `labels` (`N`) over `classes` (`C`).
    ///
    /// The predicted class is the most probable one, the first of equals. The loss is the mean over images of
    /// `-ln(p)` of the true class, in f64, with `p` kept within [[`SMALLEST_PROBABILITY`], 1]. It can differ slightly
    /// from a loss computed from logits in the log domain: a probability that underflowed in f32 has lost its exponent.
    ///
    /// An image with a probability that is not finite always counts as wrong: it is predicted as the most probable
    /// class *other than* its own, NaN taken as the smallest number there is, and a non-finite `p` enters the loss as
    /// [`SMALLEST_PROBABILITY`].
    ///
    /// # Errors
    /// [`Error::Data`] when there are no images or fewer than two classes, when the lengths do not match, or when a
    /// label is not below `C`.
    pub fn new(classes: &[String], labels: &[u32], probabilities: &[f32]) -> Result<Self> {
        check(classes, labels, probabilities)?;
        let mut confusion = Confusion::new(classes.len());
        let (mut loss, mut non_finite) = (0.0, 0);
        for (&label, row) in labels.iter().zip(probabilities.chunks_exact(classes.len())) {
            let label = label as usize;
            let finite = row.iter().all(|probability| probability.is_finite());
            non_finite += u64::from(!finite);
            confusion.add(label, most_probable(row, if finite { None } else { Some(label) }));
            let own = if row[label].is_finite() { f64::from(row[label]) } else { 0.0 };
            loss -= own.clamp(SMALLEST_PROBABILITY, 1.0).ln();
        }
        let score = |(class, name): (usize, &String)| ClassScore {
            name: name.clone(),
            precision: confusion.precision(class),
            recall: confusion.recall(class),
            f1: confusion.f1(class),
            support: confusion.support(class),
        };
        let hits = (0..classes.len()).map(|class| confusion.count(class, class)).sum();
        Ok(Self {
            accuracy: confusion.accuracy(),
            accuracy_95: wilson_interval(hits, confusion.total()),
            balanced_accuracy: confusion.balanced_accuracy(),
            loss: loss / labels.len() as f64,
            macro_precision: confusion.macro_average(Confusion::precision),
            macro_recall: confusion.macro_average(Confusion::recall),
            macro_f1: confusion.macro_average(Confusion::f1),
            non_finite,
            per_class: classes.iter().enumerate().map(score).collect(),
            confusion: confusion.rows(),
        })
    }
}

/// Index of the largest entry, the first of equals, with NaN smallest; skips `without`.
pub(super) fn most_probable(row: &[f32], without: Option<usize>) -> usize {
    let rank = |class: usize| if row[class].is_nan() { f32::NEG_INFINITY } else { row[class] };
    let candidates = (0..row.len()).filter(|&class| Some(class) != without);
    candidates.reduce(|best, class| if rank(class) > rank(best) { class } else { best }).unwrap_or(0)
}

fn check(classes: &[String], labels: &[u32], probabilities: &[f32]) -> Result<()> {
    let (images, count) = (labels.len(), classes.len());
    let remedy = "evaluate a model on the images and classes of its own data set";
    if images == 0 || count < 2 {
        let problem = format!("there are {images} images of {count} classes");
        return Err(Error::data("evaluation", problem, "give at least one image and two classes"));
    }
    if probabilities.len() != images * count {
        let got = probabilities.len();
        let problem = format!("{images} images of {count} classes need {} probabilities, got {got}", images * count);
        return Err(Error::data("evaluation", problem, remedy));
    }
    match labels.iter().position(|&label| label as usize >= count) {
        Some(image) => {
            let problem = format!("image {image} has label {}, but there are {count} classes", labels[image]);
            Err(Error::data("evaluation", problem, remedy))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|class| format!("class {class}")).collect()
    }

    /// Six images of three classes, scored by hand:
    /// predictions 0 1 | 1 1 | 2 0, so counts are [[1 1 0] [0 2 0] [1 0 1]].
    #[test]
    fn three_classes_by_hand() {
        let probabilities = [
            0.5, 0.25, 0.25, /**/ 0.2, 0.6, 0.2, //
            0.25, 0.5, 0.25, /**/ 0.0, 1.0, 0.0, //
            0.125, 0.125, 0.75, /**/ 0.5, 0.25, 0.25,
        ];
        let got = Evaluation::new(&names(3), &[0, 0, 1, 1, 2, 2], &probabilities).unwrap();
        assert_eq!(got.confusion, [[1, 1, 0], [0, 2, 0], [1, 0, 1]]);
        assert_relative_eq!(got.accuracy, 4.0 / 6.0);
        // -(ln 0.5 + ln 0.2 + ln 0.5 + ln 1 + ln 0.75 + ln 0.25) / 6
        assert_relative_eq!(got.loss, 0.778_284_78, epsilon = 1e-7);
        let scores: Vec<_> = got.per_class.iter().map(|c| (c.precision, c.recall, c.f1, c.support)).collect();
        assert_eq!(scores, [(0.5, 0.5, 0.5, 2), (2.0 / 3.0, 1.0, 0.8, 2), (1.0, 0.5, 2.0 / 3.0, 2)]);
        assert_relative_eq!(got.macro_precision, 0.722_222_222, epsilon = 1e-9);
        assert_relative_eq!(got.macro_recall, 0.666_666_667, epsilon = 1e-9);
        assert_relative_eq!(got.balanced_accuracy, (0.5 + 1.0 + 0.5) / 3.0);
        // 4 of 6: (2/3 + z2/12 -+ z sqrt(2/54 + z2/144)) / (1 + z2/6) with z2 = 3.841459
        assert_relative_eq!(got.accuracy_95.0, 0.299_993_3, epsilon = 1e-6);
        assert_relative_eq!(got.accuracy_95.1, 0.903_228_6, epsilon = 1e-6);
        assert_relative_eq!(got.macro_f1, 0.655_555_556, epsilon = 1e-9);
        assert_eq!(got.per_class[2].name, "class 2");
        assert_eq!(got.non_finite, 0);
    }

    /// Class 1 occurs but is never predicted, class 2 is predicted but never occurs, class 3 does neither.
    #[test]
    fn undefined_scores_are_zero_and_an_unseen_class_leaves_the_average() {
        let mut confusion = Confusion::new(4);
        confusion.add(0, 0);
        confusion.add(1, 2);
        assert_eq!((confusion.precision(1), confusion.recall(1), confusion.f1(1)), (0.0, 0.0, 0.0));
        assert_eq!((confusion.precision(2), confusion.recall(2), confusion.f1(2)), (0.0, 0.0, 0.0));
        assert_eq!((confusion.precision(3), confusion.recall(3), confusion.f1(3)), (0.0, 0.0, 0.0));
        assert_relative_eq!(confusion.macro_average(Confusion::f1), 1.0 / 3.0);
        // of the classes that occur, 0 is always found and 1 never
        assert_relative_eq!(confusion.balanced_accuracy(), 0.5);
        assert_eq!(Confusion::new(3).balanced_accuracy(), 0.0);
        assert_eq!(Confusion::new(3).accuracy(), 0.0);
        assert_eq!(Confusion::new(3).macro_average(Confusion::recall), 0.0);
    }

    #[test]
    fn the_interval_is_wilsons() {
        // 8 of 10 is the example of many a textbook: 49.0 % to 94.3 %
        let (low, high) = wilson_interval(8, 10);
        assert_relative_eq!(low, 0.490_162, epsilon = 1e-6);
        assert_relative_eq!(high, 0.943_318, epsilon = 1e-6);
        // What defines it: a probability at a bound is as far from the observed fraction as 95 % allows.
        for (hits, total) in [(1, 2), (3, 50), (49, 50), (2881, 3548)] {
            let (seen, bounds) = (hits as f64 / total as f64, wilson_interval(hits, total));
            for bound in [bounds.0, bounds.1] {
                let allowed = NORMAL_95 * (bound * (1.0 - bound) / total as f64).sqrt();
                assert_relative_eq!((seen - bound).abs(), allowed, epsilon = 1e-12);
            }
        }
        // Nothing and everything have a bound in closed form: z2 / (n + z2) from their end.
        let z2 = NORMAL_95 * NORMAL_95;
        let ends = (wilson_interval(0, 20), wilson_interval(20, 20));
        assert_relative_eq!(ends.0.1, z2 / (20.0 + z2), epsilon = 1e-12);
        assert_relative_eq!(ends.1.0, 20.0 / (20.0 + z2), epsilon = 1e-12);
        assert!(ends.0.0.abs() < 1e-12 && (ends.1.1 - 1.0).abs() < 1e-12);
        assert_eq!(wilson_interval(0, 0), (0.0, 1.0));
    }

    #[test]
    fn images_with_non_finite_probabilities_are_wrong() {
        let nan = f32::NAN;
        let probabilities =
            [nan, nan, nan, /**/ 0.1, nan, 0.9, /**/ 0.1, 0.2, f32::INFINITY, /**/ 0.5, 0.5, 0.0];
        let got = Evaluation::new(&names(3), &[0, 2, 2, 0], &probabilities).unwrap();
        assert_eq!(got.confusion, [[1, 1, 0], [0, 0, 0], [1, 1, 0]]);
        assert_eq!(got.non_finite, 3);
        assert_eq!(got.accuracy, 0.25);
        // Two unknown probabilities at 1e-12, then 0.9 and 0.5.
        let expected = (2.0 * 27.631_021_116 + 0.105_360_516 + std::f64::consts::LN_2) / 4.0;
        assert_relative_eq!(got.loss, expected, epsilon = 1e-7);
    }

    #[test]
    fn the_loss_of_an_impossible_truth_is_finite() {
        let got = Evaluation::new(&names(2), &[1], &[1.0, 0.0]).unwrap();
        assert_relative_eq!(got.loss, 27.631_021_115_928_547, epsilon = 1e-9);
    }

    #[test]
    fn mismatched_input_is_refused() {
        let refused = |classes, labels: &[u32], probabilities: &[f32]| {
            let error = Evaluation::new(&names(classes), labels, probabilities).unwrap_err();
            assert!(matches!(error, Error::Data { .. }));
            error.to_string()
        };
        assert!(refused(2, &[0, 2], &[0.5; 4]).contains("image 1 has label 2"));
        assert!(refused(2, &[0, 1], &[0.5; 3]).contains("need 4 probabilities, got 3"));
        refused(2, &[], &[]);
        refused(1, &[0], &[1.0]);
    }
}
