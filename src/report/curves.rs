//! The two-panel figure of a run: accuracy and loss, training against the side that chose the epoch, over the epochs.
//!
//! It reads a history's numbers and knows nothing of how they came about. The layout follows the figure of the Keras
//! notebook for Galaxy10, whose readers should recognise it.

use std::path::Path;

use plotters::prelude::*;

use super::canvas::{self, Area, Drawn};
use super::chart::{self, Axes, Plot, Sample, Stroke};
use super::ticks::{self, Axis};
use crate::error::Result;
use crate::train::history::{EpochRecord, History};

/// Width and height of the figure in pixels.
pub const CURVES_SIZE: (u32, u32) = (1600, 700);

/// Paul Tol's high-contrast blue and vibrant orange (<https://personal.sron.nl/~pault/>): apart for every kind of colour
/// vision and, dark against light, in greyscale.
const TRAINING: RGBColor = RGBColor(0, 68, 136);
const OTHER: RGBColor = RGBColor(238, 119, 51);

/// Up to this many epochs every value gets a marker.
const MARKED_EPOCHS: usize = 30;

/// One panel's words and numbers.
struct Panel {
    title: String,
    quantity: &'static str,
    /// Whether the legend would best stand at the bottom, where rising curves leave room.
    legend_below: bool,
    training: Vec<(f64, f64)>,
    /// Name and values of the other side.
    other: (String, Vec<(f64, f64)>),
    /// The best epoch, whose value is pointed out.
    best: Option<u32>,
}

/// Draws the curves of a run as a PNG of [`CURVES_SIZE`]; `side` chose the best epoch: `test` or `validation`. Values that are
/// not finite are skipped and leave a gap; an empty history gives empty panels. In both panels the value of the best epoch,
/// that of [`History::best`], is circled and named.
///
/// # Errors
/// [`crate::Error::File`] when the picture cannot be saved.
pub fn curves(history: &History, side: &str, path: &Path) -> Result<()> {
    let points = |value: fn(&EpochRecord) -> f32| -> Vec<(f64, f64)> {
        history.epochs.iter().map(|record| (f64::from(record.epoch), f64::from(value(record)))).collect()
    };
    let (side, best) = (capitalised(side), history.best().map(|record| record.epoch));
    let accuracy = Panel {
        title: format!("Training and {side} Accuracy"),
        quantity: "Accuracy",
        legend_below: true,
        training: points(|record| record.accuracy),
        other: (side.clone(), points(|record| record.val_accuracy)),
        best,
    };
    let loss = Panel {
        title: format!("Training and {side} Loss"),
        quantity: "Loss (cross-entropy)",
        legend_below: false,
        training: points(|record| record.loss),
        other: (side, points(|record| record.val_loss)),
        best,
    };
    let (width, height) = CURVES_SIZE;
    canvas::picture(width, height, path, |area| {
        let (left, right) = area.split_horizontally((50).percent_width());
        panel(&left, &accuracy)?;
        panel(&right, &loss)
    })
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default() + letters.as_str()
}

fn panel(area: &Area, panel: &Panel) -> Drawn {
    let (side, other) = &panel.other;
    let points = [&panel.training[..], other].concat();
    let x = chart::range(points.iter().map(|point| point.0), 0.02, 0.2);
    // A flat curve still shows a range that its ticks can name.
    let y = chart::range(points.iter().map(|point| point.1), 0.06, 0.02);
    let x = Axis { ticks: ticks::whole(x.start.max(0.5), x.end, 8), range: x };
    let y = Axis { ticks: ticks::round(y.start, y.end, 8), range: y };
    let y_ticks = y.ticks.clone();
    let axes = Axes {
        title: &panel.title,
        x: ("Epoch", x),
        y: (panel.quantity, y),
        labels: (&|epoch| format!("{epoch:.0}"), &|value| ticks::label(*value, &y_ticks)),
    };
    let plot = Plot::new(area, &axes)?;
    let mut names = Vec::new();
    for (name, color, points) in [("Training", TRAINING, &panel.training), (side, OTHER, other)] {
        plot.curve(points, Stroke { color, width: 2.6, dashed: false })?;
        let marked = points.iter().filter(|_| points.len() <= MARKED_EPOCHS);
        marked.into_iter().try_for_each(|&point| plot.dot(point, color, 4.5))?;
        names.push((name.to_owned(), Sample::Line(Stroke { color, width: 3.4, dashed: false })));
    }
    let best = panel.best.map(f64::from);
    if let Some(&(epoch, value)) = other.iter().find(|point| Some(point.0) == best && point.1.is_finite()) {
        plot.ring((epoch, value), OTHER)?;
        names.push((format!("Best epoch {epoch:.0}: {value:.4}"), Sample::Ring(OTHER)));
    }
    plot.legend(&names, &[&panel.training, other], !panel.legend_below)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    fn history(epochs: u32) -> History {
        let record = |epoch| {
            let t = epoch as f32 / 100.0;
            let wobble = ((epoch * 7919) % 13) as f32 / 13.0 - 0.5;
            EpochRecord {
                epoch,
                loss: 0.45 + 1.8 * (-4.0 * t).exp(),
                accuracy: 0.84 - 0.6 * (-4.0 * t).exp(),
                val_loss: 0.62 + 1.5 * (-4.5 * t).exp() + 0.07 * wobble,
                val_accuracy: 0.79 - 0.55 * (-4.5 * t).exp() + 0.03 * wobble,
                seconds: 1.0,
            }
        };
        History { epochs: (1..=epochs).map(record).collect() }
    }

    fn drawn(history: &History) -> image::RgbImage {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("curves.png");
        curves(history, "test", &path).unwrap();
        let picture = image::open(&path).unwrap().to_rgb8();
        assert_eq!(picture.dimensions(), CURVES_SIZE);
        picture
    }

    /// Pixels of exactly this colour.
    fn count(picture: &image::RgbImage, color: RGBColor) -> usize {
        picture.pixels().filter(|pixel| pixel.0 == [color.0, color.1, color.2]).count()
    }

    #[test]
    fn curves_of_one_few_and_many_epochs_are_drawn() {
        let empty = drawn(&History::default());
        let one = drawn(&history(1));
        let many = drawn(&history(100));
        assert!(count(&empty, TRAINING) > 0, "the legend is always there");
        assert!(count(&one, TRAINING) > count(&empty, TRAINING));
        assert!(count(&many, OTHER) > 2 * count(&one, OTHER));
    }

    #[test]
    fn each_side_has_its_name_in_titles_and_legend() {
        let folder = tempfile::tempdir().unwrap();
        let picture = |side: &str| {
            let path = folder.path().join(side);
            curves(&history(3), side, &path).unwrap();
            std::fs::read(&path).unwrap()
        };
        assert_ne!(picture("test"), picture("validation"));
        assert_eq!(["test", "validation", ""].map(capitalised), ["Test", "Validation", ""]);
    }

    #[test]
    fn values_that_are_not_finite_are_skipped() {
        let mut broken = history(20);
        broken.epochs[4].loss = f32::NAN;
        broken.epochs[9].val_loss = f32::INFINITY;
        broken.epochs[19].val_accuracy = f32::NEG_INFINITY;
        let whole = drawn(&history(20));
        let gaps = drawn(&broken);
        assert!(count(&gaps, TRAINING) < count(&whole, TRAINING));
        for record in &mut broken.epochs {
            (record.loss, record.val_loss) = (f32::NAN, f32::NAN);
            (record.accuracy, record.val_accuracy) = (f32::MAX, f32::MIN);
        }
        drawn(&broken);
    }

    #[test]
    fn a_path_that_cannot_be_written_is_a_file_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing").join("curves.png");
        assert!(matches!(curves(&history(2), "validation", &path), Err(Error::File { .. })));
    }
}
