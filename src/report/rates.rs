//! The figure of a search for a learning rate: loss and smoothed loss over the rate, with the suggestion marked.
//!
//! It reads a search's numbers and knows nothing of how they came about.

use std::path::Path;

use plotters::prelude::*;

use super::canvas::{self, Drawn};
use super::chart::{self, Axes, Plot, Sample, Stroke};
use super::ticks::{self, Axis};
use crate::error::Result;
use crate::train::rate_finder::{Found, Point, Rule};

/// Width and height of the figure in pixels.
pub const RATES_SIZE: (u32, u32) = (1100, 700);

/// The colours of the curves of a run: Paul Tol's (<https://personal.sron.nl/~pault/>), and his pale blue for single losses.
const SMOOTHED: RGBColor = RGBColor(0, 68, 136);
const SINGLE: RGBColor = RGBColor(153, 187, 221);
const SUGGESTED: RGBColor = RGBColor(238, 119, 51);

/// Draws a search as a PNG of [`RATES_SIZE`]. Losses far above those before the lowest are beyond its upper edge.
///
/// # Errors
/// [`crate::Error::File`] when the picture cannot be saved.
pub fn rates(found: &Found, path: &Path) -> Result<()> {
    let (width, height) = RATES_SIZE;
    canvas::picture(width, height, path, |area| draw(area, found))
}

fn draw(area: &canvas::Area, found: &Found) -> Drawn {
    let log = |rate: f32| f64::from(rate).log10();
    let of = |value: fn(&Point) -> f32| -> Vec<(f64, f64)> {
        found.points.iter().map(|point| (log(point.rate), f64::from(value(point)))).collect()
    };
    let (single, smoothed) = (of(|point| point.loss), of(|point| point.smoothed));
    let x = chart::range(smoothed.iter().map(|point| point.0), 0.02, 0.1);
    let y = heights(found);
    let decades: Vec<f64> = (x.start.ceil() as i32..=x.end.floor() as i32).map(f64::from).collect();
    let x = Axis { ticks: decades, range: x };
    let y = Axis { ticks: ticks::round(y.start, y.end, 8), range: y };
    let y_ticks = y.ticks.clone();
    let axes = Axes {
        title: "Loss over the Learning Rate",
        x: ("Learning rate", x),
        y: ("Loss (cross-entropy)", y),
        labels: (&|power| decade(*power), &|value| ticks::label(*value, &y_ticks)),
    };
    let plot = Plot::new(area, &axes)?;
    let line = Stroke { color: SMOOTHED, width: 2.6, dashed: false };
    single.iter().try_for_each(|&point| plot.dot(point, SINGLE, 2.2))?;
    plot.curve(&smoothed, line)?;
    let mut names = vec![
        ("Loss of a batch".to_owned(), Sample::Dot(SINGLE)),
        ("Smoothed, over about 10 steps".to_owned(), Sample::Line(line)),
    ];
    if let Some(suggestion) = found.suggestion {
        let rule = match suggestion.rule {
            Rule::Steepest => "steepest",
            Rule::TenthOfLowest => "a tenth of the lowest",
        };
        let upright = Stroke { color: SUGGESTED, width: 2.0, dashed: true };
        plot.upright(log(suggestion.rate), upright)?;
        let marks = [
            (suggestion.steepest, SMOOTHED, format!("Steepest: {:.1e}", suggestion.steepest)),
            (suggestion.lowest, WHITE, format!("Lowest: {:.1e}", suggestion.lowest)),
        ];
        for (rate, color, name) in marks {
            if let Some(point) = found.points.iter().find(|point| point.rate >= rate) {
                plot.ring((log(point.rate), f64::from(point.smoothed)), color)?;
                names.push((name, Sample::Ring(color)));
            }
        }
        names.push((format!("Suggested: {:.1e} ({rule})", suggestion.rate), Sample::Line(upright)));
    }
    plot.legend(&names, &[&smoothed], false)
}

/// From the lowest loss to as far above the highest before it as the smoothed loss fell, but at least 15 %: what grew beyond that
/// on its way to infinity would flatten the rest.
fn heights(found: &Found) -> std::ops::Range<f64> {
    let lowest = found.points.iter().enumerate().min_by(|a, b| a.1.smoothed.total_cmp(&b.1.smoothed));
    let before =
        found.points.iter().take(lowest.map_or(0, |(place, _)| place + 1)).map(|point| f64::from(point.smoothed));
    let (low, high) =
        before.fold((f64::INFINITY, 0.0), |(low, high): (f64, f64), loss| (low.min(loss), high.max(loss)));
    let top = high + (high - low).max(0.15 * high);
    let losses = found.points.iter().flat_map(|point| [point.loss, point.smoothed]).map(f64::from);
    chart::range(losses.map(|loss| loss.min(top)), 0.06, 0.02)
}

/// A power of ten, as rates are written.
fn decade(power: f64) -> String {
    match power.round() as i32 {
        0 => "1".to_owned(),
        power => format!("1e{power}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::rate_finder::Suggestion;

    /// A loss that falls from 1e-4 on and grows beyond all bounds from 1e-1 on.
    fn found(suggestion: Option<Suggestion>) -> Found {
        let point = |step: u32| {
            let power = -7.0 + 7.0 * step as f32 / 199.0;
            let fall = 1.0 / (1.0 + (-3.0 * (power + 3.0)).exp());
            let smoothed = 2.3 - 1.2 * fall + ((power + 0.8).max(0.0) * 9.0).exp_m1();
            let noise = 0.2 * (((step * 7919) % 13) as f32 / 13.0 - 0.5);
            Point { step, rate: 10f32.powf(power), loss: smoothed + noise, smoothed }
        };
        Found { steps: 200, diverged: true, suggestion, points: (0..200).map(point).collect() }
    }

    fn drawn(found: &Found) -> image::RgbImage {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rates.png");
        rates(found, &path).unwrap();
        let picture = image::open(&path).unwrap().to_rgb8();
        assert_eq!(picture.dimensions(), RATES_SIZE);
        picture
    }

    fn count(picture: &image::RgbImage, color: RGBColor) -> usize {
        picture.pixels().filter(|pixel| pixel.0 == [color.0, color.1, color.2]).count()
    }

    #[test]
    fn the_suggestion_is_marked_where_there_is_one() {
        let suggestion = Suggestion { rate: 1e-3, rule: Rule::Steepest, steepest: 1e-3, lowest: 6e-2 };
        let (with, without) = (drawn(&found(Some(suggestion))), drawn(&found(None)));
        assert_eq!(count(&without, SUGGESTED), 0);
        assert!(count(&with, SUGGESTED) > 300);
        assert!(count(&without, SMOOTHED) > 1000 && count(&without, SINGLE) > 500);
    }

    #[test]
    fn what_diverged_does_not_flatten_the_fall() {
        // falls from 2.3 to about 1.1, and ends beyond 1000
        let heights = heights(&found(None));
        assert!(heights.start > 0.8 && (3.2..3.8).contains(&heights.end), "{heights:?}");
    }

    #[test]
    fn few_points_and_none_are_drawn() {
        for points in [0, 1, 3] {
            let mut few = found(None);
            few.points.truncate(points);
            drawn(&few);
        }
    }

    #[test]
    fn decades_are_written_as_rates_are() {
        assert_eq!([-7.0, -1.0, 0.0, 1.0].map(decade), ["1e-7", "1e-1", "1", "1e1"]);
    }
}
