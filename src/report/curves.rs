//! The two-panel figure of a run: accuracy and loss, training against validation, over the epochs.
//!
//! It reads a history's numbers and knows nothing of how they came about. The layout follows the figure of the Keras
//! notebook for Galaxy10, whose readers should recognise it.

use std::path::Path;

use plotters::prelude::*;
use plotters::style::FontStyle;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::canvas::{self, Area, Drawn, INK, px, text_style};
use super::ticks::{self, Axis};
use crate::error::Result;
use crate::train::history::{EpochRecord, History};

/// Width and height of the figure in pixels.
pub const CURVES_SIZE: (u32, u32) = (1600, 700);

/// Paul Tol's high-contrast blue and vibrant orange (<https://personal.sron.nl/~pault/>): apart for every kind of colour
/// vision and, dark against light, in greyscale.
const TRAINING: RGBColor = RGBColor(0, 68, 136);
const VALIDATION: RGBColor = RGBColor(238, 119, 51);

/// Up to this many epochs every value gets a marker.
const MARKED_EPOCHS: usize = 30;

/// One panel's words and numbers.
struct Panel {
    title: &'static str,
    quantity: &'static str,
    /// Whether the legend would best stand at the bottom, where rising curves leave room.
    legend_below: bool,
    training: Vec<(f64, f64)>,
    validation: Vec<(f64, f64)>,
    /// The validation value to point out.
    best: Option<(f64, f64)>,
}

/// Draws the curves of a run as a PNG of [`CURVES_SIZE`]. Values that are not finite are skipped and leave a gap; an empty
/// history gives empty panels. The best validation value of each panel, the first of equals, is circled and named.
///
/// # Errors
/// [`crate::Error::File`] when the picture cannot be saved.
pub fn curves(history: &History, path: &Path) -> Result<()> {
    let points = |value: fn(&EpochRecord) -> f32| -> Vec<(f64, f64)> {
        history.epochs.iter().map(|record| (f64::from(record.epoch), f64::from(value(record)))).collect()
    };
    let val_accuracy = points(|record| record.val_accuracy);
    let val_loss = points(|record| record.val_loss);
    let accuracy = Panel {
        title: "Training and Validation Accuracy",
        quantity: "Accuracy",
        legend_below: true,
        training: points(|record| record.accuracy),
        best: best(&val_accuracy, |new, old| new > old),
        validation: val_accuracy,
    };
    let loss = Panel {
        title: "Training and Validation Loss",
        quantity: "Loss (cross-entropy)",
        legend_below: false,
        training: points(|record| record.loss),
        best: best(&val_loss, |new, old| new < old),
        validation: val_loss,
    };
    let (width, height) = CURVES_SIZE;
    canvas::picture(width, height, path, |area| {
        let (left, right) = area.split_horizontally((50).percent_width());
        panel(&left, &accuracy)?;
        panel(&right, &loss)
    })
}

fn best(points: &[(f64, f64)], better: impl Fn(f64, f64) -> bool) -> Option<(f64, f64)> {
    let finite = points.iter().copied().filter(|point| point.1.is_finite());
    finite.reduce(|old, new| if better(new.1, old.1) { new } else { old })
}

fn panel(area: &Area, panel: &Panel) -> Drawn {
    let (x, y) = ranges(panel);
    let middle = (area.dim_in_pixel().0 as i32 + px(50.0)) / 2;
    let title = text_style(26.0, FontStyle::Bold, INK).pos(Pos::new(HPos::Center, VPos::Bottom));
    area.draw(&Text::new(panel.title, (middle, px(46.0)), title))?;

    let x = Axis { ticks: ticks::whole(x.start.max(0.5), x.end, 8), range: x };
    let y = Axis { ticks: ticks::round(y.start, y.end, 8), range: y };
    let y_label = |value: &f64| ticks::label(*value, &y.ticks);
    let mut chart = ChartBuilder::on(area)
        .margin_top(px(62.0))
        .margin_right(px(30.0))
        .margin_bottom(px(14.0))
        .margin_left(px(14.0))
        .x_label_area_size(px(66.0))
        .y_label_area_size(px(94.0))
        .build_cartesian_2d(x.clone(), y.clone())?;
    chart
        .configure_mesh()
        .x_desc("Epoch")
        .y_desc(panel.quantity)
        .axis_desc_style(text_style(22.0, FontStyle::Normal, INK))
        .label_style(text_style(19.0, FontStyle::Normal, INK))
        .x_label_formatter(&|epoch| format!("{epoch:.0}"))
        .y_label_formatter(&y_label)
        .axis_style(INK.stroke_width(px(1.4) as u32))
        .bold_line_style(RGBColor(222, 224, 228).stroke_width(px(1.0) as u32))
        .light_line_style(TRANSPARENT)
        .set_all_tick_mark_size(px(6.0))
        .draw()?;

    let plot = chart.plotting_area();
    let screen = plot.use_screen_coord();
    let at = |point: &(f64, f64)| plot.map_coordinate(point);
    line(&screen, &panel.training, TRAINING, at)?;
    line(&screen, &panel.validation, VALIDATION, at)?;
    let (right, low) = at(&(x.range.end, y.range.start));
    let (left, high) = at(&(x.range.start, y.range.end));
    screen.draw(&Rectangle::new([(left, high), (right, low)], INK.stroke_width(px(1.0) as u32)))?;
    if let Some(best) = &panel.best {
        ring(&screen, at(best))?;
    }
    let shown = panel.training.iter().chain(&panel.validation).filter(|point| point.1.is_finite());
    let pixels: Vec<(i32, i32)> = shown.map(at).collect();
    legend(&screen, panel, [(left, high), (right, low)], &pixels)
}

/// Ranges of epochs and values with a margin, never empty.
fn ranges(panel: &Panel) -> (std::ops::Range<f64>, std::ops::Range<f64>) {
    let points = || panel.training.iter().chain(&panel.validation);
    let span = |values: &mut dyn Iterator<Item = f64>, share: f64, least: f64| {
        let (low, high) = values
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        if low > high {
            return 0.0..1.0;
        }
        let margin = ((high - low) * share).max(least).max(high.abs() * 1e-6);
        low - margin..high + margin
    };
    let epochs = span(&mut points().map(|point| point.0), 0.02, 0.2);
    // A flat curve still shows a range that its ticks can name.
    (epochs, span(&mut points().map(|point| point.1), 0.06, 0.02))
}

/// A curve with round joins. A missing value breaks it; a value without neighbours is a marker.
fn line(screen: &Area, points: &[(f64, f64)], color: RGBColor, at: impl Fn(&(f64, f64)) -> (i32, i32)) -> Drawn {
    let stroke = px(2.6);
    for run in points.split(|point| !point.1.is_finite()) {
        let pixels: Vec<(i32, i32)> = run.iter().map(&at).collect();
        for pair in pixels.windows(2).filter(|pair| pair[0] != pair[1]) {
            screen.draw(&PathElement::new(pair, color.stroke_width(stroke as u32)))?;
        }
        // Discs round off the joins between segments, or mark the values where there are few.
        let radius = if run.len() == 1 || points.len() <= MARKED_EPOCHS { px(4.5) } else { stroke / 2 };
        for &pixel in &pixels {
            screen.draw(&Circle::new(pixel, radius, color.filled()))?;
        }
    }
    Ok(())
}

/// The mark of the best value: a black ring with a white rim.
fn ring(screen: &Area, at: (i32, i32)) -> Drawn {
    for (radius, color) in [(9.0, WHITE), (8.0, INK), (5.6, WHITE), (4.6, VALIDATION)] {
        screen.draw(&Circle::new(at, px(radius), color.filled()))?;
    }
    Ok(())
}

/// The legend, in the corner of the panel's `frame` where it hides the fewest `pixels`; the notebook's own place where
/// several are as good.
fn legend(screen: &Area, panel: &Panel, frame: [(i32, i32); 2], pixels: &[(i32, i32)]) -> Drawn {
    let style = text_style(19.0, FontStyle::Normal, INK).pos(Pos::new(HPos::Left, VPos::Center));
    let mut names = vec!["Training".to_string(), "Validation".to_string()];
    names.extend(panel.best.map(|(epoch, value)| format!("Best: {value:.4} (epoch {epoch:.0})")));
    let mut widest = 0;
    for name in &names {
        widest = widest.max(screen.estimate_text_size(name, &style)?.0 as i32);
    }
    let (row, margin, sample) = (px(29.0), px(12.0), px(34.0));
    let (width, height) = (widest + sample + 3 * margin, row * names.len() as i32 + margin);
    let [(far_left, high), (right, low)] = frame;
    let tops = [low - height - margin, high + margin];
    let (near, far) = if panel.legend_below { (tops[0], tops[1]) } else { (tops[1], tops[0]) };
    let lefts = [right - width - margin, far_left + margin];
    let corners = [(lefts[0], near), (lefts[1], far), (lefts[0], far), (lefts[1], near)];
    let hidden = |&(left, top): &(i32, i32)| {
        let inside = |&&(x, y): &&(i32, i32)| (left..left + width).contains(&x) && (top..top + height).contains(&y);
        pixels.iter().filter(inside).count()
    };
    // min_by_key returns the first of equals.
    let (left, top) = corners.into_iter().min_by_key(hidden).unwrap_or(corners[0]);
    let frame = [(left, top), (left + width, top + height)];
    screen.draw(&Rectangle::new(frame, WHITE.mix(0.86).filled()))?;
    screen.draw(&Rectangle::new(frame, RGBColor(190, 193, 199).stroke_width(px(1.0) as u32)))?;
    for (index, name) in names.iter().enumerate() {
        let middle = top + margin / 2 + row * index as i32 + row / 2;
        let (start, end) = (left + margin, left + margin + sample);
        match index {
            0 | 1 => {
                let color = [TRAINING, VALIDATION][index];
                screen.draw(&PathElement::new([(start, middle), (end, middle)], color.stroke_width(px(3.4) as u32)))?;
            }
            _ => ring(screen, ((start + end) / 2, middle))?,
        }
        screen.draw(&Text::new(name.as_str(), (end + margin, middle), style.clone()))?;
    }
    Ok(())
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
        curves(history, &path).unwrap();
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
        assert!(count(&many, VALIDATION) > 2 * count(&one, VALIDATION));
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
        assert!(matches!(curves(&history(2), &path), Err(Error::File { .. })));
    }
}
