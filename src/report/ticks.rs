//! Axes with round numbers: which values get a tick, and how they are written.

use std::ops::Range;

/// A linear axis with chosen ticks.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    /// From left to right, or bottom to top; never empty.
    pub range: Range<f64>,
    /// The values with a tick, and how each is written.
    pub ticks: Vec<(f64, String)>,
}

impl Axis {
    /// An axis with these ticks.
    pub fn new(range: Range<f64>, ticks: &[f64]) -> Self {
        Self { range, ticks: ticks.iter().map(|&tick| (tick, label(tick, ticks))).collect() }
    }

    /// Of epochs: ticks at whole numbers from 1 on.
    pub fn epochs(epochs: impl Iterator<Item = f64>) -> Self {
        let range = around(epochs, 0.02, 0.2);
        let ticks = whole(range.start.max(0.5), range.end, 8);
        Self::new(range, &ticks)
    }

    /// Of some quantity. A flat curve still has a range that its ticks can name.
    pub fn values(values: impl Iterator<Item = f64>) -> Self {
        let range = around(values, 0.06, 0.02);
        let ticks = round(range.start, range.end, 8);
        Self::new(range, &ticks)
    }
}

/// A range of these values with a fraction of it as margin, but at least `least` to either side; 0 to 1 where none is finite.
pub(super) fn around(values: impl Iterator<Item = f64>, fraction: f64, least: f64) -> Range<f64> {
    let finite = values.filter(|value| value.is_finite());
    let (low, high) =
        finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    if low > high {
        return 0.0..1.0;
    }
    let margin = ((high - low) * fraction).max(least).max(high.abs() * 1e-6);
    low - margin..high + margin
}

/// Multiples of 1, 2, 2.5 or 5 times a power of ten within `[low, high]`, at most about `count` of them.
fn round(low: f64, high: f64, count: usize) -> Vec<f64> {
    let least = (high - low) / count.max(1) as f64;
    if !(least.is_finite() && least > 0.0) {
        return Vec::new();
    }
    let power = 10f64.powf(least.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|&step| step >= least * 0.999);
    multiples(low, high, step.unwrap_or(10.0 * power))
}

/// As [`round`], of whole numbers only.
fn whole(low: f64, high: f64, count: usize) -> Vec<f64> {
    let least = (high - low) / count.max(1) as f64;
    let step = (0..10).flat_map(|power| [1.0, 2.0, 5.0].map(|factor| factor * 10f64.powi(power)));
    multiples(low, high, step.into_iter().find(|&step| step >= least).unwrap_or(1e10))
}

fn multiples(low: f64, high: f64, step: f64) -> Vec<f64> {
    let (first, last) = ((low / step).ceil(), (high / step).floor());
    // Counting keeps 0.1 + 0.1 + 0.1 from drifting; the cap keeps absurd ranges finite.
    (0..=((last - first).clamp(-1.0, 1000.0) as i64)).map(|index| (first + index as f64) * step).collect()
}

/// Writes one of `ticks` with just as many decimals as tell it from its neighbours.
fn label(value: f64, ticks: &[f64]) -> String {
    let step = ticks.windows(2).map(|pair| pair[1] - pair[0]).fold(f64::INFINITY, f64::min);
    let largest = ticks.iter().fold(0.0, |largest: f64, tick| largest.max(tick.abs()));
    if largest >= 1e5 || step < 1e-5 {
        return if value == 0.0 { "0".into() } else { format!("{value:.1e}") };
    }
    let is_whole = |decimals: &usize| {
        let scaled = step * 10f64.powi(*decimals as i32);
        (scaled - scaled.round()).abs() < 1e-6 && scaled >= 0.999
    };
    let decimals = (0..6).find(is_whole).unwrap_or(2);
    // Adding zero turns -0 into 0.
    format!("{:.decimals$}", value + 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(ticks: &[f64]) -> Vec<String> {
        ticks.iter().map(|&tick| label(tick, ticks)).collect()
    }

    #[test]
    fn ticks_are_round_and_tell_apart() {
        assert_eq!(labels(&round(0.18, 0.83, 7)), ["0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8"]);
        assert_eq!(labels(&round(-0.04, 1.62, 7)), ["0.00", "0.25", "0.50", "0.75", "1.00", "1.25", "1.50"]);
        assert_eq!(labels(&round(0.995, 1.005, 5)), ["0.996", "0.998", "1.000", "1.002", "1.004"]);
        assert_eq!(labels(&round(0.0, 4e8, 4)), ["0", "1.0e8", "2.0e8", "3.0e8", "4.0e8"]);
    }

    #[test]
    fn epochs_are_whole() {
        assert_eq!(whole(0.8, 1.2, 8), [1.0]);
        assert_eq!(whole(0.8, 5.2, 8), [1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(whole(-0.98, 101.98, 8), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
    }

    #[test]
    fn empty_and_endless_ranges_have_no_ticks() {
        assert!(round(1.0, 1.0, 5).is_empty());
        assert!(round(0.0, f64::INFINITY, 5).is_empty());
        assert!(round(f64::NAN, 1.0, 5).is_empty());
    }
}
