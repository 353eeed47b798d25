//! The figure of several runs: accuracy and loss over the epochs, a colour a run, training dashed, and validation or test solid.
//!
//! It reads histories' numbers and knows nothing of how they came about.

use super::chart::{Entry, Plot, Sample};
use super::drawing::Drawing;
use super::svg::Point;
use super::ticks::Axis;
use crate::error::Result;
use crate::train::history::{EpochRecord, History};
use std::path::Path;

/// Width and height of a chart in units.
const SIZE: (f64, f64) = (540.0, 480.0);

/// Red, green, blue.
type Color = [u8; 3];

/// Paul Tol's vibrant colours (<https://personal.sron.nl/~pault/>), apart for every kind of colour vision.
const COLORS: [Color; 7] =
    [[0, 119, 187], [238, 119, 51], [0, 153, 136], [238, 51, 119], [51, 187, 238], [204, 51, 17], [130, 130, 130]];
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

/// Draws the accuracy and loss of the runs, as what the path ends in. Values that are not finite leave a gap.
///
/// # Errors
/// [`crate::Error::File`] when the picture cannot be saved.
pub fn comparison(runs: &[Curves], path: &Path) -> Result<()> {
    let accuracy = chart(runs, ("Accuracy", "Accuracy"), [|epoch| epoch.accuracy, |epoch| epoch.val_accuracy]);
    let loss = chart(runs, ("Loss", "Loss (cross-entropy)"), [|epoch| epoch.loss, |epoch| epoch.val_loss]);
    Drawing::beside(&[&accuracy, &loss]).save(path)
}

/// The colour of a run: one of the seven, or for more runs one of viridis (<https://bids.github.io/colormap/>), up to where it is
/// too bright for white paper.
fn color(place: usize, runs: usize) -> Color {
    match runs <= COLORS.len() {
        true => COLORS[place],
        false => colorous::VIRIDIS.eval_continuous(0.93 * place as f64 / (runs - 1) as f64).as_array(),
    }
}

/// Half way to white.
fn pale(color: Color) -> Color {
    color.map(|part| part / 3 + 170)
}

fn look([red, green, blue]: Color) -> String {
    format!(r##"color="#{red:02x}{green:02x}{blue:02x}""##)
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

/// Training values of all runs, and those of the set that chose the epoch, which may differ between runs.
fn chart(runs: &[Curves], (title, quantity): (&str, &str), values: [Value; 2]) -> Drawing {
    let histories = || runs.iter().flat_map(|run| &run.histories);
    let all: Vec<Vec<Point>> = histories().flat_map(|history| values.map(|value| points(history, value))).collect();
    let x = Axis::epochs(all.iter().flatten().map(|point| point.0));
    let y = Axis::values(all.iter().flatten().map(|point| point.1));
    let mut plot = Plot::new(SIZE, title, ("Epoch", x), (quantity, y));
    let own = |place| color(place, runs.len());
    for (value, thin, thick) in [(values[0], " thin dashed", " dashed"), (values[1], " thin", "")] {
        for (place, run) in runs.iter().enumerate().filter(|(_, run)| run.histories.len() > 1) {
            plot.group(&look(pale(own(place))), |plot| {
                run.histories.iter().for_each(|history| plot.curve(thin, &points(history, value)));
            });
        }
        for (place, run) in runs.iter().enumerate() {
            plot.group(&look(own(place)), |plot| plot.curve(thick, &mean(&run.histories, value)));
        }
    }
    plot.legend(&entries(runs), &all.iter().map(Vec::as_slice).collect::<Vec<_>>(), title == "Loss");
    plot.drawing()
}

/// The first runs by their names, the last one with how many are left out, and what the lines mean.
fn entries(runs: &[Curves]) -> Vec<Entry> {
    let run = |place: usize, name| Entry { look: look(color(place, runs.len())), sample: Sample::Line(""), name };
    let shown = runs.len().min(MOST_NAMES);
    let mut entries: Vec<Entry> = (0..shown).map(|place| run(place, short(&runs[place].name))).collect();
    if let [.., last] = &runs[shown..] {
        entries.push(run(runs.len() - 1, format!("and {} more, to {}", runs.len() - shown, short(&last.name))));
    }
    let meanings = [("Training", " dashed"), ("Validation or test", "")];
    entries.extend(meanings.map(|(name, class)| Entry {
        look: r#"class="plain""#.into(),
        sample: Sample::Line(class),
        name: name.into(),
    }));
    entries
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
    use crate::report::drawing::tests::{count, picture};

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
        let picture = picture(|path| comparison(runs, path));
        assert_eq!(picture.dimensions(), (1800, 800));
        picture
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
