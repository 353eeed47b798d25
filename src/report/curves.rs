//! The charts of a run: accuracy and loss, training against the set that chose the epoch, over the epochs.
//!
//! The layout follows the figure of the Keras notebook for Galaxy10, whose readers should recognise it.

use super::chart::{Entry, Plot, Sample};
use super::drawing::Drawing;
use super::svg::{Point, place};
use super::ticks::Axis;
use crate::error::Result;
use crate::train::history::{EpochRecord, History};
use serde::Serialize;
use std::path::Path;

/// Width and height of a chart in units.
const SIZE: (f64, f64) = (480.0, 420.0);
/// Up to this many epochs every value gets a mark.
const MARKED: usize = 30;

/// A chart, and what a script needs to read values from it.
#[derive(Serialize)]
pub(super) struct Chart {
    /// `accuracy` or `loss`.
    pub key: &'static str,
    #[serde(skip)]
    pub title: String,
    #[serde(skip)]
    pub drawing: Drawing,
    /// Place of each epoch, and its number.
    x: Vec<f64>,
    epochs: Vec<u32>,
    series: [Series; 2],
}

/// The values of one set of images.
#[derive(Serialize)]
struct Series {
    /// `train` or `val`: its class in the drawing.
    key: &'static str,
    name: String,
    values: Vec<f32>,
    /// Place of each value; null where it is not finite.
    y: Vec<f64>,
}

/// Draws both charts of a run side by side, as what the path ends in; `set` chose the best epoch: `test` or `validation`. Values that
/// are not finite leave a gap; an empty history gives empty charts. The value of the best epoch, that of [`History::best`], is
/// circled and named.
///
/// # Errors
/// [`crate::Error::File`] when the picture cannot be saved.
pub fn curves(history: &History, set: &str, path: &Path) -> Result<()> {
    let [accuracy, loss] = charts(history, set);
    Drawing::beside(&[&accuracy.drawing, &loss.drawing]).save(path)
}

/// The charts of accuracy and loss.
pub(super) fn charts(history: &History, set: &str) -> [Chart; 2] {
    [
        chart(history, set, ("accuracy", "Accuracy", "Accuracy"), [|epoch| epoch.accuracy, |epoch| epoch.val_accuracy]),
        chart(history, set, ("loss", "Loss", "Loss (cross-entropy)"), [|epoch| epoch.loss, |epoch| epoch.val_loss]),
    ]
}

fn chart(
    history: &History,
    set: &str,
    (key, short, quantity): (&'static str, &str, &str),
    values: [fn(&EpochRecord) -> f32; 2],
) -> Chart {
    let epochs: Vec<u32> = history.epochs.iter().map(|record| record.epoch).collect();
    let values = values.map(|value| history.epochs.iter().map(value).collect::<Vec<f32>>());
    let points = [&values[0], &values[1]].map(|values| -> Vec<Point> {
        epochs.iter().zip(values).map(|(&epoch, &value)| (f64::from(epoch), f64::from(value))).collect()
    });
    let x = Axis::epochs(epochs.iter().copied().map(f64::from));
    let y = Axis::values(points.iter().flatten().map(|point| point.1));
    let set_name = capitalised(set);
    let title = format!("Training and {set_name} {short}");
    let mut plot = Plot::new(SIZE, &title, ("Epoch", x), (quantity, y));
    let looks = ["train", "val"].map(|class| format!(r#"class="{class}""#));
    let mut entries = Vec::new();
    for ((look, name), points) in looks.iter().zip(["Training", &set_name]).zip(&points) {
        plot.group(look, |plot| {
            plot.curve("", points);
            let marked = if points.len() <= MARKED { &points[..] } else { &[] };
            marked.iter().for_each(|&point| plot.dot(point, 2.7));
        });
        entries.push(Entry { look: look.clone(), sample: Sample::Line(""), name: name.to_owned() });
    }
    let best = history.best().map(|record| f64::from(record.epoch));
    if let Some(&(epoch, value)) = points[1].iter().find(|point| Some(point.0) == best && point.1.is_finite()) {
        plot.group(&looks[1], |plot| plot.ring((epoch, value)));
        let name = format!("Best epoch {epoch:.0}: {value:.4}");
        entries.push(Entry { look: looks[1].clone(), sample: Sample::Ring, name });
    }
    plot.legend(&entries, &[&points[0], &points[1]], key == "loss");
    let x = points[0].iter().map(|&point| place(plot.at(point).0)).collect();
    let series = std::array::from_fn(|index| Series {
        key: ["train", "val"][index],
        name: ["training", set][index].to_owned(),
        values: values[index].clone(),
        y: points[index].iter().map(|&point| place(plot.at(point).1)).collect(),
    });
    Chart { key, title, drawing: plot.drawing(), x, epochs, series }
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default() + letters.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::report::drawing::tests::{count, picture};

    const TRAINING: [u8; 3] = [0, 68, 136];
    const OTHER: [u8; 3] = [238, 119, 51];

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
        let picture = picture(|path| curves(history, "test", path));
        assert_eq!(picture.dimensions(), (1600, 700));
        picture
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
    fn titles_legends_and_readings_name_the_set_and_the_best_epoch() {
        let [accuracy, loss] = charts(&history(3), "validation");
        let best = history(3).best().map(|best| (best.epoch, best.val_accuracy)).unwrap();
        for words in
            ["Training and Validation Accuracy", ">Validation<", &format!("Best epoch {}: {:.4}", best.0, best.1)]
        {
            assert!(accuracy.drawing.body.as_str().contains(words), "{words}");
        }
        assert!(loss.title == "Training and Validation Loss" && loss.series[1].name == "validation");
        assert!(accuracy.x.is_sorted() && accuracy.series[0].y.is_sorted_by(|a, b| a > b), "larger is higher");
        assert_eq!(["test", ""].map(capitalised), ["Test", ""]);
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
        let json = serde_json::to_value(&charts(&broken, "test")[1]).unwrap();
        assert!(json["series"][0]["values"][4].is_null() && json["series"][0]["y"][4].is_null());
        for record in &mut broken.epochs {
            (record.loss, record.val_loss) = (f32::NAN, f32::NAN);
            (record.accuracy, record.val_accuracy) = (f32::MAX, f32::MIN);
        }
        drawn(&broken);
    }

    #[test]
    fn a_path_that_cannot_be_written_is_a_file_error() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["curves.png", "curves.svg", "curves.pdf"] {
            let path = folder.path().join("missing").join(name);
            assert!(matches!(curves(&history(2), "validation", &path), Err(Error::File { .. })));
        }
    }
}
