//! The figure of several runs: accuracy and loss over the epochs, a colour a run, training dashed, and validation or test solid.
//!
//! It reads histories' numbers and knows nothing of how they came about.

use std::path::Path;

use plotters::prelude::*;

use super::canvas::{self, Area, Drawn, INK};
use super::chart::{self, Axes, Plot, Sample, Stroke};
use super::ticks::{self, Axis};
use crate::error::Result;
use crate::train::history::{EpochRecord, History};

/// Width and height of the figure in pixels.
pub const COMPARISON_SIZE: (u32, u32) = (1800, 800);

/// Paul Tol's vibrant colours (<https://personal.sron.nl/~pault/>), apart for every kind of colour vision.
const COLORS: [RGBColor; 7] = [
    RGBColor(0, 119, 187),
    RGBColor(238, 119, 51),
    RGBColor(0, 153, 136),
    RGBColor(238, 51, 119),
    RGBColor(51, 187, 238),
    RGBColor(204, 51, 17),
    RGBColor(130, 130, 130),
];
/// Five colours of matplotlib's viridis (<https://bids.github.io/colormap/>), up to where it is too bright for white paper: for
/// more runs than that.
const ORDERED: [RGBColor; 5] =
    [RGBColor(68, 1, 84), RGBColor(59, 82, 139), RGBColor(33, 145, 140), RGBColor(94, 201, 98), RGBColor(200, 200, 20)];
/// Longest name in the legend, in characters.
const LONGEST_NAME: usize = 36;
/// Most names in the legend.
const MOST_NAMES: usize = 16;

/// A run, or several with different seeds, by a name.
pub struct Curves<'a> {
    /// Its name in the legend.
    pub name: String,
    /// A history for each seed. Where there are several, they are drawn thin and pale behind their mean.
    pub histories: Vec<&'a History>,
}

type Value = fn(&EpochRecord) -> f32;

/// Draws the runs as a PNG of [`COMPARISON_SIZE`]. Values that are not finite leave a gap.
///
/// # Errors
/// [`crate::Error::File`] when the picture cannot be saved.
pub fn comparison(runs: &[Curves], path: &Path) -> Result<()> {
    let (width, height) = COMPARISON_SIZE;
    canvas::picture(width, height, path, |area| {
        let (left, right) = area.split_horizontally((50).percent_width());
        panel(&left, runs, ("Accuracy", false), [|epoch| epoch.accuracy, |epoch| epoch.val_accuracy])?;
        panel(&right, runs, ("Loss (cross-entropy)", true), [|epoch| epoch.loss, |epoch| epoch.val_loss])
    })
}

/// The colour of a run: one of the seven, or for more runs one of a map that stays in order for every kind of colour vision.
fn color(place: usize, runs: usize) -> RGBColor {
    if runs <= COLORS.len() {
        return COLORS[place];
    }
    let along = place as f64 / (runs - 1) as f64 * (ORDERED.len() - 1) as f64;
    let (from, to) = (ORDERED[along as usize], ORDERED[(along as usize + 1).min(ORDERED.len() - 1)]);
    let mix = |from: u8, to: u8| (f64::from(from) + along.fract() * (f64::from(to) - f64::from(from))).round() as u8;
    RGBColor(mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2))
}

/// Half way to white.
fn pale(RGBColor(red, green, blue): RGBColor) -> RGBColor {
    let pale = |part: u8| part / 3 + 170;
    RGBColor(pale(red), pale(green), pale(blue))
}

fn points(history: &History, value: Value) -> Vec<(f64, f64)> {
    history.epochs.iter().map(|record| (f64::from(record.epoch), f64::from(value(record)))).collect()
}

/// The mean over the histories that have reached each epoch of the first; one that is shorter ends the mean, which would
/// jump there.
fn mean(histories: &[&History], value: Value) -> Vec<(f64, f64)> {
    let all: Vec<Vec<(f64, f64)>> = histories.iter().map(|history| points(history, value)).collect();
    let shortest = all.iter().map(Vec::len).min().unwrap_or(0);
    let mean = |place: usize| all.iter().map(|points| points[place].1).sum::<f64>() / all.len() as f64;
    (0..shortest).map(|place| (all[0][place].0, mean(place))).collect()
}

/// One panel: training values of all runs, and those of the side that chose the epoch, which may differ between runs.
fn panel(area: &Area, runs: &[Curves], (quantity, falling): (&str, bool), values: [Value; 2]) -> Drawn {
    let histories = || runs.iter().flat_map(|run| &run.histories);
    let all: Vec<Vec<(f64, f64)>> =
        histories().flat_map(|history| values.map(|value| points(history, value))).collect();
    let x = chart::range(all.iter().flatten().map(|point| point.0), 0.02, 0.2);
    let y = chart::range(all.iter().flatten().map(|point| point.1), 0.06, 0.02);
    let x = Axis { ticks: ticks::whole(x.start.max(0.5), x.end, 8), range: x };
    let y = Axis { ticks: ticks::round(y.start, y.end, 8), range: y };
    let y_ticks = y.ticks.clone();
    let axes = Axes {
        title: quantity.split(' ').next().unwrap_or(quantity),
        x: ("Epoch", x),
        y: (quantity, y),
        labels: (&|epoch| format!("{epoch:.0}"), &|value| ticks::label(*value, &y_ticks)),
    };
    let plot = Plot::new(area, &axes)?;
    let stroke = |place, width, dashed| Stroke { color: color(place, runs.len()), width, dashed };
    for (value, dashed) in values.into_iter().zip([true, false]) {
        for (place, run) in runs.iter().enumerate().filter(|(_, run)| run.histories.len() > 1) {
            let thin = Stroke { color: pale(color(place, runs.len())), width: 1.0, dashed };
            run.histories.iter().try_for_each(|history| plot.curve(&points(history, value), thin))?;
        }
        let width = if dashed { 1.6 } else { 2.6 };
        for (place, run) in runs.iter().enumerate() {
            plot.curve(&mean(&run.histories, value), stroke(place, width, dashed))?;
        }
    }
    let mut names: Vec<(String, Sample)> = Vec::new();
    for (place, run) in runs.iter().enumerate().take(MOST_NAMES) {
        names.push((short(&run.name), Sample::Line(stroke(place, 3.4, false))));
    }
    if runs.len() > MOST_NAMES {
        names.push((
            format!("and {} more, to {}", runs.len() - MOST_NAMES, short(&runs[runs.len() - 1].name)),
            Sample::Line(stroke(runs.len() - 1, 3.4, false)),
        ));
    }
    let styles = [("Training", 1.6, true), ("Validation or test", 2.6, false)];
    names.extend(styles.map(|(name, width, dashed)| (name.into(), Sample::Line(Stroke { color: INK, width, dashed }))));
    plot.legend(&names, &all.iter().map(Vec::as_slice).collect::<Vec<_>>(), falling)
}

/// A name for the legend; of a long one the end, which is where runs differ.
fn short(name: &str) -> String {
    let count = name.chars().count();
    if count <= LONGEST_NAME {
        return name.to_owned();
    }
    let end: String = name.chars().skip(count - LONGEST_NAME).collect();
    format!("...{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(epochs: u32, speed: f32) -> History {
        let record = |epoch| {
            let t = epoch as f32 * speed;
            EpochRecord {
                epoch,
                loss: 0.4 + 1.9 * (-t).exp(),
                accuracy: 0.9 - 0.8 * (-t).exp(),
                val_loss: 0.7 + 1.6 * (-t).exp(),
                val_accuracy: 0.8 - 0.7 * (-t).exp(),
                seconds: 1.0,
            }
        };
        History { epochs: (1..=epochs).map(record).collect() }
    }

    fn drawn(runs: &[Curves]) -> image::RgbImage {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("compare.png");
        comparison(runs, &path).unwrap();
        let picture = image::open(&path).unwrap().to_rgb8();
        assert_eq!(picture.dimensions(), COMPARISON_SIZE);
        picture
    }

    fn count(picture: &image::RgbImage, color: RGBColor) -> usize {
        picture.pixels().filter(|pixel| pixel.0 == [color.0, color.1, color.2]).count()
    }

    #[test]
    fn every_run_has_a_colour_of_its_own() {
        let histories: Vec<History> = (0..9).map(|place| history(30, 0.05 + 0.02 * place as f32)).collect();
        let runs = |count: usize| -> Vec<Curves> {
            let run = |place: usize| Curves { name: format!("runs/{place}"), histories: vec![&histories[place]] };
            (0..count).map(run).collect()
        };
        for number in [1, 2, 7, 9] {
            let picture = drawn(&runs(number));
            for place in 0..number {
                assert!(count(&picture, color(place, number)) > 300, "{place} of {number}");
            }
        }
    }

    #[test]
    fn a_series_is_drawn_as_its_mean_before_its_runs() {
        let (slow, fast, short) = (history(30, 0.05), history(30, 0.15), history(10, 0.1));
        let mean_of = |histories: &[&History]| mean(histories, |epoch| epoch.loss);
        let both = mean_of(&[&slow, &fast]);
        assert_eq!((both.len(), mean_of(&[&slow, &short]).len(), mean_of(&[]).len()), (30, 10, 0));
        let by_hand = f64::midpoint(slow.epochs[7].loss.into(), fast.epochs[7].loss.into());
        assert!((both[7].1 - by_hand).abs() < 1e-12 && both[7].0 == 8.0);
        let picture = drawn(&[Curves { name: "runs/a".into(), histories: vec![&slow, &fast, &short] }]);
        // few pixels of a thin line are covered whole
        assert!(count(&picture, pale(COLORS[0])) > 0 && count(&picture, COLORS[0]) > 300);
    }

    #[test]
    fn empty_histories_and_numbers_that_are_none_are_drawn() {
        let (empty, mut broken) = (History::default(), history(5, 0.1));
        (broken.epochs[1].loss, broken.epochs[3].val_loss) = (f32::NAN, f32::INFINITY);
        drawn(&[]);
        drawn(&[Curves { name: String::new(), histories: vec![&empty] }]);
        let name = "a/very/long/path/to/a/folder/of/runs/with/a/name".to_owned();
        assert_eq!(short(&name), "...path/to/a/folder/of/runs/with/a/name");
        drawn(&[Curves { name, histories: vec![&broken] }, Curves { name: "none".into(), histories: Vec::new() }]);
    }
}
