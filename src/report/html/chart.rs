//! Where the marks of a curve stand in an SVG, so that the page shows it also without its script.
//!
//! It reads numbers and knows neither the page nor what the numbers are.

use super::super::{chart::range, ticks};
use serde::Serialize;
use std::fmt::Write;
use std::ops::Range;

/// Size of a chart in the units of its `viewBox`.
const SIZE: (f64, f64) = (440.0, 270.0);
/// Room left, above, right and below of the plot.
const ROOM: [f64; 4] = [50.0, 12.0, 12.0, 34.0];
/// Up to this many epochs every value gets a mark.
const MARKED: usize = 40;

/// A number of an axis and its place.
#[derive(Serialize)]
pub struct Tick {
    at: f64,
    label: String,
}

/// One line.
#[derive(Serialize)]
pub struct Series {
    /// `train` or `val`: its colour, and what a button shows and hides.
    key: &'static str,
    name: String,
    /// SVG path data.
    path: String,
    marks: Vec<(f64, f64)>,
    /// Place of each epoch's value, and the value; null where it is no finite number.
    y: Vec<Option<f64>>,
    values: Vec<Option<f64>>,
    /// Place of the value to point out.
    best: Option<(f64, f64)>,
}

/// A plot of some quantity over the epochs.
#[derive(Serialize)]
pub struct Chart {
    key: &'static str,
    title: &'static str,
    size: (f64, f64),
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
    x_ticks: Vec<Tick>,
    y_ticks: Vec<Tick>,
    /// Place of each epoch, and its number.
    x: Vec<f64>,
    epochs: Vec<u32>,
    series: Vec<Series>,
}

/// Numbers to plot: a value for each epoch.
pub struct Line {
    /// As [`Series::key`].
    pub key: &'static str,
    /// For people.
    pub name: String,
    /// One for each epoch.
    pub values: Vec<f32>,
    /// Which epoch to point out.
    pub best: Option<u32>,
}

/// Rounded, so that a page does not carry digits that no one sees.
pub(super) fn place(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

impl Chart {
    /// Lines over epochs; gaps where values are not finite.
    pub fn new(key: &'static str, title: &'static str, epochs: Vec<u32>, lines: Vec<Line>) -> Self {
        let [left, top, right, bottom] = [ROOM[0], ROOM[1], SIZE.0 - ROOM[2], SIZE.1 - ROOM[3]];
        let x_range = range(epochs.iter().map(|&epoch| f64::from(epoch)), 0.02, 0.2);
        let y_range = range(lines.iter().flat_map(|line| &line.values).map(|&value| f64::from(value)), 0.06, 0.02);
        let along = |value: f64, range: &Range<f64>| (value - range.start) / (range.end - range.start);
        let x_at = |value: f64| place(left + along(value, &x_range) * (right - left));
        let y_at = |value: f64| place(bottom - along(value, &y_range) * (bottom - top));
        let labelled = |numbers: Vec<f64>, at: &dyn Fn(f64) -> f64| -> Vec<Tick> {
            numbers.iter().map(|&number| Tick { at: at(number), label: ticks::label(number, &numbers) }).collect()
        };
        let x: Vec<f64> = epochs.iter().map(|&epoch| x_at(f64::from(epoch))).collect();
        let series = lines.into_iter().map(|line| Series::new(line, &epochs, &x, &y_at)).collect();
        Self {
            key,
            title,
            size: SIZE,
            left,
            top,
            right,
            bottom,
            x_ticks: labelled(ticks::whole(x_range.start.max(0.5), x_range.end, 6), &x_at),
            y_ticks: labelled(ticks::round(y_range.start, y_range.end, 6), &y_at),
            x,
            epochs,
            series,
        }
    }
}

impl Series {
    fn new(line: Line, epochs: &[u32], x: &[f64], y_at: &dyn Fn(f64) -> f64) -> Self {
        let values: Vec<Option<f64>> = line.values.iter().map(|&value| shortest(value)).collect();
        let y: Vec<Option<f64>> = values.iter().map(|value| value.map(y_at)).collect();
        let (mut path, mut pen_is_up) = (String::new(), true);
        for (x, y) in x.iter().zip(&y) {
            if let Some(y) = y {
                let _ = write!(path, "{}{x} {y}", if pen_is_up { 'M' } else { 'L' });
            }
            pen_is_up = y.is_none();
        }
        let points = || x.iter().zip(&y).filter_map(|(&x, &y)| y.map(|y| (x, y)));
        let marks = if epochs.len() <= MARKED { points().collect() } else { Vec::new() };
        let best = line.best.and_then(|best| epochs.iter().position(|&epoch| epoch == best));
        let best = best.and_then(|place| y[place].map(|y| (x[place], y)));
        Self { key: line.key, name: line.name, path, marks, y, values, best }
    }
}

/// The f64 of the fewest digits that is this f32; `None` for what is no finite number.
fn shortest(value: f32) -> Option<f64> {
    value.to_string().parse().ok().filter(|value: &f64| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(values: &[f32], best: Option<u32>) -> Line {
        Line { key: "train", name: "training".into(), values: values.to_vec(), best }
    }

    #[test]
    fn lines_run_inside_the_plot_and_break_at_what_is_no_number() {
        let chart = Chart::new("loss", "Loss", vec![1, 2, 3, 4], vec![line(&[2.0, 1.0, f32::NAN, 0.5], Some(4))]);
        let series = &chart.series[0];
        assert_eq!(series.path.matches('M').count(), 2, "{}", series.path);
        assert_eq!((series.marks.len(), series.y[2], series.values[2]), (3, None, None));
        assert_eq!(series.best, Some((chart.x[3], series.y[3].unwrap())));
        assert!(series.y[0] < series.y[1] && chart.x.is_sorted(), "larger is higher, later is to the right");
        let inside = |&(x, y): &(f64, f64)| x > chart.left && x < chart.right && y > chart.top && y < chart.bottom;
        assert!(series.marks.iter().all(inside));
        let labels: Vec<&str> = chart.x_ticks.iter().map(|tick| &tick.label[..]).collect();
        assert_eq!(labels, ["1", "2", "3", "4"]);
        assert_eq!(shortest(0.1), Some(0.1), "not 0.10000000149");
    }

    #[test]
    fn nothing_one_epoch_and_thousands_are_charts_too() {
        let none = Chart::new("loss", "Loss", vec![], vec![line(&[], None)]);
        assert!(none.series[0].path.is_empty() && none.x.is_empty());
        let one = Chart::new("loss", "Loss", vec![1], vec![line(&[f32::INFINITY], Some(1))]);
        assert!(one.series[0].path.is_empty() && one.series[0].best.is_none());
        let flat = Chart::new("loss", "Loss", (1..=5000).collect(), vec![line(&[0.5; 5000], Some(1))]);
        assert!(flat.series[0].marks.is_empty() && flat.y_ticks.len() >= 2 && flat.x_ticks.len() < 10);
    }
}
