//! The figure of a search for a learning rate: loss and smoothed loss over the rate, with the suggestion marked.
//!
//! It reads a search's numbers and knows nothing of how they came about.

use super::chart::{Entry, Plot, Sample};
use super::svg::Point;
use super::ticks::{self, Axis};
use crate::error::Result;
use crate::train::rate_finder::{self, Found, Rule};
use std::path::Path;

/// Width and height of the chart in units.
const SIZE: (f64, f64) = (660.0, 420.0);

/// Single losses, in Paul Tol's pale blue (<https://personal.sron.nl/~pault/>); smoothed ones and the suggestion.
const SINGLE: &str = r##"color="#99bbdd""##;
const SMOOTHED: &str = r#"class="train""#;
const SUGGESTED: &str = r#"class="val""#;
/// A ring without a dot in it.
const EMPTY: &str = r##"color="#ffffff""##;

/// Draws a search as what the path ends in. Losses far above those before the lowest are beyond its upper edge.
///
/// # Errors
/// [`crate::Error::File`] when the picture cannot be saved.
pub fn rates(found: &Found, path: &Path) -> Result<()> {
    chart(found).drawing().save(path)
}

fn chart(found: &Found) -> Plot {
    let log = |rate: f32| f64::from(rate).log10();
    let of = |value: fn(&rate_finder::Point) -> f32| -> Vec<Point> {
        found.points.iter().map(|point| (log(point.rate), f64::from(value(point)))).collect()
    };
    let (single, smoothed) = (of(|point| point.loss), of(|point| point.smoothed));
    let range = ticks::around(smoothed.iter().map(|point| point.0), 0.02, 0.1);
    let decades = (range.start.ceil() as i32..=range.end.floor() as i32).map(|power| (power.into(), decade(power)));
    let x = Axis { ticks: decades.collect(), range };
    let mut plot =
        Plot::new(SIZE, "Loss over the Learning Rate", ("Learning rate", x), ("Loss (cross-entropy)", losses(found)));
    plot.group(SINGLE, |plot| single.iter().for_each(|&point| plot.dot(point, 1.3)));
    plot.group(SMOOTHED, |plot| plot.curve("", &smoothed));
    let entry = |look: &str, sample, name| Entry { look: look.to_owned(), sample, name };
    let mut entries = vec![
        entry(SINGLE, Sample::Dot, "Loss of a batch".to_owned()),
        entry(SMOOTHED, Sample::Line(""), "Smoothed, over about 10 steps".to_owned()),
    ];
    if let Some(suggestion) = found.suggestion {
        let rule = match suggestion.rule {
            Rule::Steepest => "steepest",
            Rule::TenthOfLowest => "a tenth of the lowest",
        };
        plot.group(SUGGESTED, |plot| plot.upright(log(suggestion.rate)));
        let marks = [("Steepest", suggestion.steepest, SMOOTHED), ("Lowest", suggestion.lowest, EMPTY)];
        for (name, rate, look) in marks {
            if let Some(point) = found.points.iter().find(|point| point.rate >= rate) {
                plot.group(look, |plot| plot.ring((log(point.rate), f64::from(point.smoothed))));
                entries.push(entry(look, Sample::Ring, format!("{name}: {rate:.1e}")));
            }
        }
        let name = format!("Suggested: {:.1e} ({rule})", suggestion.rate);
        entries.push(entry(SUGGESTED, Sample::Line(" dashed"), name));
    }
    plot.legend(&entries, &[&smoothed], false);
    plot
}

/// From the lowest loss to as far above the highest before it as the smoothed loss fell, but at least 15 %: what grew beyond that
/// on its way to infinity would flatten the rest.
fn losses(found: &Found) -> Axis {
    let lowest = found.points.iter().enumerate().min_by(|a, b| a.1.smoothed.total_cmp(&b.1.smoothed));
    let before =
        found.points.iter().take(lowest.map_or(0, |(place, _)| place + 1)).map(|point| f64::from(point.smoothed));
    let (low, high) =
        before.fold((f64::INFINITY, 0.0), |(low, high): (f64, f64), loss| (low.min(loss), high.max(loss)));
    let top = high + (high - low).max(0.15 * high);
    let losses = found.points.iter().flat_map(|point| [point.loss, point.smoothed]).map(f64::from);
    Axis::values(losses.map(|loss| loss.min(top)))
}

/// A power of ten, as rates are written.
fn decade(power: i32) -> String {
    match power {
        0 => "1".to_owned(),
        power => format!("1e{power}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::drawing::tests::{count, picture};
    use crate::train::rate_finder::{Point, Suggestion};

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
        let picture = picture(|path| rates(found, path));
        assert_eq!(picture.dimensions(), (1100, 700));
        picture
    }

    #[test]
    fn the_suggestion_is_marked_where_there_is_one() {
        let suggestion = Suggestion { rate: 1e-3, rule: Rule::Steepest, steepest: 1e-3, lowest: 6e-2 };
        let (with, without) = (drawn(&found(Some(suggestion))), drawn(&found(None)));
        let (smoothed, single, suggested) = ([0, 68, 136], [153, 187, 221], [238, 119, 51]);
        assert_eq!(count(&without, suggested), 0);
        assert!(count(&with, suggested) > 300);
        assert!(count(&without, smoothed) > 1000 && count(&without, single) > 500);
    }

    #[test]
    fn what_diverged_does_not_flatten_the_fall() {
        // falls from 2.3 to about 1.1, and ends beyond 1000
        let heights = losses(&found(None)).range;
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
        assert_eq!([-7, -1, 0, 1].map(decade), ["1e-7", "1e-1", "1", "1e1"]);
    }
}
