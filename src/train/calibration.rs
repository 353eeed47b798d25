//! How reliable probabilities are: expected calibration error, and the temperature that reduces it.
//!
//! A network that says 90 % should be right in 90 % of such cases. Most trained networks are too confident; dividing the logits
//! by one number, the temperature, corrects most of that and changes no decision. Guo, Pleiss, Sun and Weinberger, "On calibration
//! of modern neural networks", ICML 2017.
//!
//! A device returns probabilities, and those are enough: with `p = softmax(z)`, `ln p` differs from `z` by a number that is the
//! same for all classes, so `softmax(ln p / T) = softmax(z / T)`.

use super::metrics::most_probable;
use serde::Serialize;

/// Bins of the expected calibration error, all of one width, as in Guo et al.
pub const BINS: usize = 15;

/// The range of temperatures. A network that is always right would have 0, one that has learned nothing infinity.
const TEMPERATURES: (f64, f64) = (0.05, 20.0);

/// Softmax scores and true classes of some images. This file ignores images with a score that is not finite, as they have no
/// confidence.
#[derive(Clone, Copy)]
pub struct Scores<'a> {
    /// Number of classes `C`, at least one.
    pub classes: usize,
    /// True classes, `N`, each below `C`.
    pub labels: &'a [u32],
    /// Probabilities, `N x C`, row by row.
    pub probabilities: &'a [f32],
}

/// Sums over images of about the same confidence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Bin {
    /// Images.
    pub count: usize,
    /// Sum of the probabilities of their most probable classes.
    pub confidence: f64,
    /// Images whose most probable class is the true one.
    pub hits: f64,
}

impl Bin {
    /// Mean probability of the most probable class, and fraction of images that are right; `None` without images.
    pub fn means(self) -> Option<(f64, f64)> {
        let count = self.count as f64;
        (self.count > 0).then(|| (self.confidence / count, self.hits / count))
    }
}

impl<'a> Scores<'a> {
    /// The probabilities and the true class of each image.
    fn rows(self) -> impl Iterator<Item = (&'a [f32], usize)> {
        let rows = self.probabilities.chunks_exact(self.classes).zip(self.labels);
        rows.map(|(row, &label)| (row, label as usize)).filter(|(row, _)| row.iter().all(|p| p.is_finite()))
    }

    /// Number of images with finite scores.
    fn count(self) -> usize {
        self.rows().count()
    }

    /// Expected calibration error of `softmax(ln p / temperature)`. Images are sorted into [`BINS`] bins by the probability of their
    /// most probable class, where bin `m` covers `m / BINS` (exclusive) to `(m + 1) / BINS`. The error is the distance between a bin's
    /// mean probability and accuracy, averaged over bins, weighted by images. From 0, which is good, to 1. 0 without images.
    pub fn expected_calibration_error(self, temperature: f64) -> f64 {
        let gaps = self.bins(temperature).map(|bin| (bin.confidence - bin.hits).abs());
        gaps.iter().sum::<f64>() / self.count().max(1) as f64
    }

    /// The bins of [`Scores::expected_calibration_error`], least confident first.
    pub fn bins(self, temperature: f64) -> [Bin; BINS] {
        let mut bins = [Bin::default(); BINS];
        for (row, label) in self.rows() {
            let argmax = most_probable(row, None);
            let confidence = probability(row, argmax, 1.0 / temperature);
            let place = (confidence * BINS as f64).ceil() as usize;
            let bin = &mut bins[place.clamp(1, BINS) - 1];
            bin.count += 1;
            bin.confidence += confidence;
            bin.hits += f64::from(u8::from(argmax == label));
        }
        bins
    }

    /// Mean negative log-likelihood of the true class under `softmax(ln p / temperature)`, in nats. 0 without images.
    pub fn negative_log_likelihood(self, temperature: f64) -> f64 {
        let loss = |(row, label)| Tilted::new(row, 1.0 / temperature).loss(logarithm(row, label));
        self.rows().map(loss).sum::<f64>() / self.count().max(1) as f64
    }

    /// The temperature between 0.05 and 20 with the smallest negative log-likelihood; `None` without images.
    ///
    /// In `b = 1 / T` that likelihood is convex: its slope is the mean of `E[ln p] - ln p[label]`, its curvature the mean of
    /// `Var[ln p]`, both under the tilted probabilities. Newton's method finds where the slope is zero; a step that leaves the
    /// bracket is halved instead, so that it always ends there.
    pub fn temperature(self) -> Option<f64> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let slope = |b: f64| {
            let tilted = self.rows().map(|(row, label)| (Tilted::new(row, b), logarithm(row, label)));
            tilted.fold((0.0, 0.0), |(slope, curvature), (t, own)| (slope + t.mean - own, curvature + t.variance))
        };
        if slope(1.0) == (0.0, 0.0) {
            // all classes are equally probable in every image, and no temperature changes that
            return Some(1.0);
        }
        let (mut low, mut high) = (1.0 / TEMPERATURES.1, 1.0 / TEMPERATURES.0);
        if slope(low).0 >= 0.0 {
            return Some(TEMPERATURES.1);
        }
        if slope(high).0 <= 0.0 {
            return Some(TEMPERATURES.0);
        }
        let mut b = 1.0;
        for _ in 0..100 {
            let (slope, curvature) = slope(b);
            if slope > 0.0 {
                high = b
            } else {
                low = b
            }
            let newton = b - slope / curvature;
            let next = if newton > low && newton < high { newton } else { f64::midpoint(low, high) };
            if (next - b).abs() <= 1e-12 * b {
                break;
            }
            b = next;
        }
        Some(1.0 / b)
    }
}

/// `ln p` of a class. An underflowed probability counts as the smallest normal number of f32.
fn logarithm(row: &[f32], class: usize) -> f64 {
    f64::from(row[class].max(f32::MIN_POSITIVE)).ln()
}

/// Probability of a class under `softmax(b * ln p)`.
fn probability(row: &[f32], class: usize, b: f64) -> f64 {
    (-Tilted::new(row, b).loss(logarithm(row, class))).exp()
}

/// A row under `softmax(b * ln p)`.
struct Tilted {
    b: f64,
    /// Logarithm of the sum of `p^b`.
    log_sum: f64,
    /// Mean and variance of `ln p`.
    mean: f64,
    variance: f64,
}

impl Tilted {
    fn new(row: &[f32], b: f64) -> Self {
        let largest = logarithm(row, most_probable(row, None));
        // relative to the largest one, which saves digits and keeps exponentials finite
        let terms = (0..row.len()).map(|class| {
            let distance = logarithm(row, class) - largest;
            ((b * distance).exp(), distance)
        });
        let sums = terms.fold([0.0; 3], |[s, s1, s2], (w, d)| [s + w, s1 + w * d, s2 + w * d * d]);
        let [sum, mean, square] = [sums[0], sums[1] / sums[0], sums[2] / sums[0]];
        let variance = (square - mean * mean).max(0.0);
        Self { b, log_sum: b * largest + sum.ln(), mean: largest + mean, variance }
    }

    /// Negative logarithm of the probability of a class whose `ln p` was `own`.
    fn loss(&self, own: f64) -> f64 {
        self.log_sum - self.b * own
    }
}

/// How well the confidence of a network matches its accuracy, before and after a temperature.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Calibration {
    /// Expected calibration error ([`Scores::expected_calibration_error`]) without a temperature.
    pub ece: f64,
    /// Number of bins.
    pub bins: usize,
    /// Mean negative log-likelihood in nats, without a temperature.
    pub nll: f64,
    /// Number to divide logits by ([`Scores::temperature`]): above 1 if the network is too confident.
    pub temperature: f64,
    /// Which images the temperature was fitted on: `validation`, or the measured ones themselves, `test` or `all`.
    pub fitted_on: &'static str,
    /// Number of those images.
    pub fitted_images: usize,
    /// Expected calibration error with the temperature.
    pub ece_after: f64,
    /// Mean negative log-likelihood with the temperature.
    pub nll_after: f64,
}

impl Calibration {
    /// Fits a temperature on some images and measures it on others, or on the same ones; `None` if either have no finite scores.
    pub fn new(measured: Scores, fitted: Scores, fitted_on: &'static str) -> Option<Self> {
        let temperature = fitted.temperature().filter(|_| measured.count() > 0)?;
        Some(Self {
            ece: measured.expected_calibration_error(1.0),
            bins: BINS,
            nll: measured.negative_log_likelihood(1.0),
            temperature,
            fitted_on,
            fitted_images: fitted.count(),
            ece_after: measured.expected_calibration_error(temperature),
            nll_after: measured.negative_log_likelihood(temperature),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;

    fn scores<'a>(classes: usize, labels: &'a [u32], probabilities: &'a [f32]) -> Scores<'a> {
        Scores { classes, labels, probabilities }
    }

    /// Two classes. Confidences 0.75, 0.75, 0.75, 0.75 (bin 12 of 15: 11.25), three right; 0.625 (bin 10: 9.375), wrong;
    /// 1.0 (bin 15), right; 0.5 (bin 8), right as the first of equals.
    #[test]
    fn the_calibration_error_by_hand() {
        let probabilities = [0.75, 0.25, 0.25, 0.75, 0.75, 0.25, 0.75, 0.25, 0.375, 0.625, 0.0, 1.0, 0.5, 0.5];
        let got = scores(2, &[0, 1, 0, 1, 0, 1, 0], &probabilities).expected_calibration_error(1.0);
        // 4 |0.75 - 3/4| + 1 |0.625 - 0| + 1 |1 - 1| + 1 |0.5 - 1|, over 7
        assert_relative_eq!(got, (0.625 + 0.5) / 7.0, epsilon = 1e-12);
        // within a bin errors of both signs cancel, between bins they do not: 0.7 and 0.72 share one, 0.7 and 0.8 do not
        let pair = |a: f32, b: f32| scores(2, &[0, 1], &[a, 1.0 - a, b, 1.0 - b]).expected_calibration_error(1.0);
        assert_relative_eq!(pair(0.7, 0.72), (0.42 - 0.0) / 2.0, epsilon = 1e-6);
        assert_relative_eq!(pair(0.7, 0.8), (0.3 + 0.8) / 2.0, epsilon = 1e-6);
        assert_eq!(scores(2, &[], &[]).expected_calibration_error(1.0), 0.0);
        // bins 8, 10, 12 and 15, counted from 1
        let bins = scores(2, &[0, 1, 0, 1, 0, 1, 0], &probabilities).bins(1.0);
        let counts = bins.map(|bin| bin.count);
        assert_eq!([counts[7], counts[9], counts[11], counts[14]], [1, 1, 4, 1]);
        assert_eq!((counts.iter().sum::<usize>(), bins[0].means()), (7, None));
        let (confidence, accuracy) = bins[11].means().unwrap();
        assert_relative_eq!(confidence, 0.75, epsilon = 1e-12);
        assert_eq!(accuracy, 0.75);
    }

    /// Three classes with random logits, and labels as frequent as softmax(logits / true temperature) says: each row occurs with
    /// each class, in proportion to that class's probability, 4000 times in all.
    fn synthetic(truth: f64) -> (Vec<u32>, Vec<f32>) {
        let (mut labels, mut probabilities) = (Vec::new(), Vec::new());
        for row in 0..40 {
            let logits = [0.0, f64::from(row % 8) - 3.5, f64::from(row / 8) - 2.0].map(|z| 1.5 * z);
            let softmax = |t: f64| {
                let powers = logits.map(|z| (z / t).exp());
                powers.map(|power| power / powers.iter().sum::<f64>())
            };
            for (class, share) in softmax(truth).into_iter().enumerate() {
                for _ in 0..(4000.0 * share).round() as usize {
                    labels.push(class as u32);
                    probabilities.extend(softmax(1.0).map(|p| p as f32));
                }
            }
        }
        (labels, probabilities)
    }

    #[test]
    fn a_known_temperature_is_recovered() {
        for truth in [0.4, 1.0, 2.5, 7.0] {
            let (labels, probabilities) = synthetic(truth);
            let scores = scores(3, &labels, &probabilities);
            let found = scores.temperature().unwrap();
            // fractions are rounded to whole images, by up to 1/8000 each
            assert!((found / truth - 1.0).abs() < 5e-3, "{found} for {truth}");
            // it is the smallest: no other temperature is better, near or far
            let best = scores.negative_log_likelihood(found);
            for factor in [0.3, 0.9, 0.999, 1.001, 1.1, 3.0] {
                assert!(scores.negative_log_likelihood(found * factor) > best, "{truth}: {factor}");
            }
            assert!(scores.expected_calibration_error(found) < 5e-3, "{truth}: frequencies are as they say");
        }
    }

    #[test]
    fn too_sure_a_network_is_told_and_mended() {
        let (labels, probabilities) = synthetic(2.5);
        let measured = scores(3, &labels, &probabilities);
        let found = Calibration::new(measured, measured, "test").unwrap();
        assert!(found.ece > 0.1 && found.ece_after < 5e-3 && found.nll_after < found.nll, "{found:?}");
        assert_eq!((found.bins, found.fitted_on, found.fitted_images), (15, "test", labels.len()));
        // fitted on other images, on which the network is not too confident: the measured ones stay as they are
        let (calm, calm_scores) = synthetic(1.0);
        let kept = Calibration::new(measured, scores(3, &calm, &calm_scores), "validation").unwrap();
        assert!((kept.temperature - 1.0).abs() < 2e-3 && (kept.ece_after - found.ece).abs() < 2e-3, "{kept:?}");
    }

    /// Scores are probabilities, but the temperature is that of logits.
    #[test]
    fn the_likelihood_is_that_of_scaled_logits() {
        let logits = [1.0f64, -2.0, 0.5];
        let sum: f64 = logits.iter().map(|z| z.exp()).sum();
        let row = logits.map(|z| (z.exp() / sum) as f32);
        for temperature in [0.5, 1.0, 3.0] {
            let sum: f64 = logits.iter().map(|z| (z / temperature).exp()).sum();
            let wanted = sum.ln() - logits[1] / temperature;
            let got = scores(3, &[1], &row).negative_log_likelihood(temperature);
            assert_relative_eq!(got, wanted, epsilon = 1e-6);
        }
    }

    #[test]
    fn extremes_end_at_the_bounds_and_nothing_is_nothing() {
        // always right: the more confident the better; always wrong: the less confident the better
        let row = [0.9, 0.1];
        assert_eq!(scores(2, &[0], &row).temperature(), Some(0.05));
        assert_eq!(scores(2, &[1], &row).temperature(), Some(20.0));
        // a truth that has underflowed, and a network without an opinion
        let found = scores(2, &[1, 0, 0], &[1.0, 0.0, 1.0, 0.0, 0.5, 0.5]);
        assert!(found.negative_log_likelihood(1.0).is_finite() && found.temperature().unwrap().is_finite());
        assert_eq!(scores(2, &[0], &[0.5, 0.5]).temperature(), Some(1.0));
        let none = scores(2, &[0], &[f32::NAN, 0.5]);
        assert_eq!(none.temperature(), None);
        assert_eq!(Calibration::new(none, scores(2, &[0], &row), "validation"), None);
        // and one such image among others does not count
        let two = scores(2, &[0, 0], &[f32::NAN, 0.5, 0.75, 0.25]);
        assert_relative_eq!(two.expected_calibration_error(1.0), 0.25, epsilon = 1e-12);
        assert_relative_eq!(two.negative_log_likelihood(1.0), -(0.75f64.ln()), epsilon = 1e-12);
    }
}
