//! The rate that the losses of a search suggest.

use super::{FEWEST, Point, Range};
use serde::Serialize;

/// A slope is measured over this fraction of the range of rates to either side: a tenth of it in all, 0.7 decades of the default's
/// seven.
const REACH: f64 = 0.05;
/// The rule that gave a suggestion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Where the loss falls fastest over the logarithm of the rate.
    Steepest,
    /// A tenth of the rate at which the smoothed loss is lowest.
    TenthOfLowest,
}

/// The rates that the losses suggest, of which the smaller is taken.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Suggestion {
    /// The suggested rate.
    pub rate: f32,
    /// The rule that gave it.
    pub rule: Rule,
    /// Where the loss falls fastest.
    pub steepest: f32,
    /// Where the smoothed loss is lowest.
    pub lowest: f32,
}

/// The rate that these losses suggest. The steepest fall is that of a straight line through the losses themselves, over a tenth of the
/// range; the smoothed losses lag behind and would give too high a rate. Only falls before the lowest smoothed loss count.
pub(super) fn suggest(points: &[Point], range: &Range) -> Option<Suggestion> {
    let lowest = points.iter().enumerate().min_by(|a, b| a.1.smoothed.total_cmp(&b.1.smoothed))?.0;
    let falling = &points[..=lowest];
    let start: Vec<f64> = falling.iter().take(10).map(|point| f64::from(point.loss)).collect();
    let fall = mean(&start) - f64::from(points[lowest].smoothed);
    // Half the mean square of the differences between neighbours is the variance of a single loss, with or without a trend. A mean
    // of ten losses varies by a third of its root, so chance alone needs three standard deviations to lower it by the whole root.
    let differences: Vec<f64> = falling.windows(2).map(|pair| f64::from(pair[1].loss - pair[0].loss)).collect();
    let deviation = (mean(&differences.iter().map(|d| d * d).collect::<Vec<f64>>()) / 2.0).sqrt();
    // Batches are easier or harder by more than a hundredth of the loss, so a smaller fall does not count, however even.
    if falling.len() < FEWEST as usize / 2 || fall <= deviation.max(0.01 * mean(&start)) {
        return None;
    }
    let log = |point: &Point| f64::from(point.rate).ln();
    let reach = REACH * (f64::from(range.to) / f64::from(range.from)).ln();
    let slope = |centre: &Point| {
        let near = falling.iter().filter(|point| (log(point) - log(centre)).abs() <= reach);
        let (x, y): (Vec<f64>, Vec<f64>) = near.map(|point| (log(point), f64::from(point.loss))).unzip();
        let (x_mean, y_mean) = (mean(&x), mean(&y));
        let product: f64 = x.iter().zip(&y).map(|(x, y)| (x - x_mean) * (y - y_mean)).sum();
        let square: f64 = x.iter().map(|x| (x - x_mean) * (x - x_mean)).sum();
        (x.len() > 2).then_some(product / square)
    };
    // a window cut off at either end would have fewer losses, and its slope could be steep by chance
    let whole = |point: &&Point| log(point) - log(&falling[0]) >= reach && log(&falling[lowest]) - log(point) >= reach;
    let slopes = falling.iter().filter(whole).filter_map(|point| Some((slope(point)?, point.rate)));
    let steepest = slopes.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, rate)| rate)?;
    let lowest = points[lowest].rate;
    let (rate, rule) = match steepest <= lowest / 10.0 {
        true => (steepest, Rule::Steepest),
        false => (lowest / 10.0, Rule::TenthOfLowest),
    };
    Some(Suggestion { rate, rule, steepest, lowest })
}

/// 0 for no values.
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::super::tests::{RANGE, points};
    use super::*;

    /// Falls by 1.2 around a rate of 1e-3, and grows beyond 1e-1.
    fn typical(power: f64) -> f64 {
        2.3 - 1.2 / (1.0 + (-3.0 * (power + 3.0)).exp()) + ((power + 1.0).max(0.0) * 9.0).exp_m1()
    }

    #[test]
    fn the_suggestion_is_where_the_loss_was_made_to_fall() {
        let course = points(typical);
        assert!(course.ended && course.points.len() < 200, "it grows beyond all bounds");
        let found = suggest(&course.points, &RANGE).unwrap();
        // the fall is symmetric about 1e-3; neighbouring rates are 8 % apart
        assert!((0.9e-3..1.12e-3).contains(&found.steepest), "{found:?}");
        assert!((5e-2..0.2).contains(&found.lowest), "{found:?}");
        assert_eq!((found.rate, found.rule), (found.steepest, Rule::Steepest));
        // if the loss soon grows again, a tenth of the lowest is the safer of the two
        let narrow = points(|power| typical(power) + ((power + 2.9).max(0.0) * 2.0).exp_m1());
        let found = suggest(&narrow.points, &RANGE).unwrap();
        assert_eq!((found.rate, found.rule), (found.lowest / 10.0, Rule::TenthOfLowest));
    }

    #[test]
    fn noise_suggests_nothing_and_does_not_hide_a_fall() {
        // between -0.5 and 0.5, the same each time
        let noise = |power: f64| (power * 7919.0).sin() / 2.0;
        assert_eq!(suggest(&points(|power| 2.3 + noise(power)).points, &RANGE), None);
        assert_eq!(suggest(&points(|power| 2.3 + 0.1 * power).points[..3], &RANGE), None);
        assert_eq!(suggest(&[], &RANGE), None);
        // however even, a fall by half a percent does not count, and one by five percent does
        let fall = |height: f64| move |power: f64| 2.3 - height * 2.3 / (1.0 + (-3.0 * (power + 3.0)).exp());
        assert_eq!(suggest(&points(fall(0.005)).points, &RANGE), None);
        assert!(suggest(&points(fall(0.05)).points, &RANGE).is_some());
        let found = suggest(&points(|power| typical(power) + noise(power)).points, &RANGE).unwrap();
        assert!((2e-4..5e-3).contains(&found.steepest), "{found:?}");
    }
}
