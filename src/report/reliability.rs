//! The reliability diagram: how often a network is right among the images it is about so sure of.
//!
//! After Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML 2017, figure 4, with the number of
//! images under it, and once more with the temperature. It reads bins and knows nothing of how they were counted.

use std::path::Path;

use plotters::prelude::*;
use plotters::style::FontStyle;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::canvas::{self, Area, Drawn, INK, px, text_style};
use crate::error::Result;
use crate::train::calibration::{Bin, Calibration};

/// Width and height of the picture in pixels.
pub const RELIABILITY_SIZE: (u32, u32) = (1500, 940);

/// Paul Tol's high-contrast blue (<https://personal.sron.nl/~pault/>), paler for the counts, and a red around what is missing, filled
/// with its half over paper where the confidence is above the bar, and over the bar where it is below.
const HITS: RGBColor = RGBColor(0, 68, 136);
const COUNTS: RGBColor = RGBColor(119, 153, 187);
const GAP: RGBColor = RGBColor(204, 102, 119);
const ABOVE: RGBColor = RGBColor(227, 171, 180);
const BELOW: RGBColor = RGBColor(112, 87, 127);
const FAINT: RGBColor = RGBColor(222, 224, 228);

/// Places of a panel, in saved pixels from its left edge and the picture's top.
const LEFT: f64 = 110.0;
const SIDE: f64 = 590.0;
const TOP: f64 = 90.0;
const COUNTS_TOP: f64 = 715.0;
const COUNTS_HEIGHT: f64 = 130.0;

/// One panel.
struct Panel<'a> {
    title: String,
    bins: &'a [Bin],
}

/// Draws two panels as a PNG of [`RELIABILITY_SIZE`]: as the network is, and with its temperature. A bar is the share of images
/// of a bin that are right, over the bin's confidence; what is shaded is the distance from there to the mean confidence: above the bar
/// where the network is too sure of itself, and of another colour within it where it is not sure enough. Bins without images have no bar.
///
/// # Errors
/// [`crate::Error::File`] when the picture cannot be saved.
pub fn reliability(before: &[Bin], after: &[Bin], calibration: &Calibration, path: &Path) -> Result<()> {
    let title = |what: &str, error: f64| format!("{what}: calibration error {:.2} %", 100.0 * error);
    let temperature = format!("Temperature {:.3}", calibration.temperature);
    let panels = [
        Panel { title: title("As it is", calibration.ece), bins: before },
        Panel { title: title(&temperature, calibration.ece_after), bins: after },
    ];
    let (width, height) = RELIABILITY_SIZE;
    canvas::picture(width, height, path, |area| {
        let (left, right) = area.split_horizontally((50).percent_width());
        panel(&left, &panels[0])?;
        panel(&right, &panels[1])
    })
}

fn rectangle(area: &Area, [x, y, width, height]: [f64; 4], style: ShapeStyle) -> Drawn {
    area.draw(&Rectangle::new([(px(x), px(y)), (px(x + width), px(y + height))], style))
}

fn line(area: &Area, from: (f64, f64), to: (f64, f64), style: ShapeStyle) -> Drawn {
    area.draw(&PathElement::new([(px(from.0), px(from.1)), (px(to.0), px(to.1))], style))
}

fn panel(area: &Area, panel: &Panel) -> Drawn {
    let title = text_style(24.0, FontStyle::Bold, INK).pos(Pos::new(HPos::Center, VPos::Center));
    area.draw(&Text::new(panel.title.as_str(), (px(LEFT + SIDE / 2.0), px(TOP / 2.0)), title))?;
    let bottom = TOP + SIDE;
    let thin = FAINT.stroke_width(px(1.0) as u32);
    for share in [0.2, 0.4, 0.6, 0.8] {
        line(area, (LEFT, bottom - share * SIDE), (LEFT + SIDE, bottom - share * SIDE), thin)?;
    }
    for (index, bin) in panel.bins.iter().enumerate() {
        self::bin(area, index as f64 / panel.bins.len() as f64, SIDE / panel.bins.len() as f64, *bin)?;
    }
    for step in (0..50).step_by(2) {
        let at = |step: i32| (LEFT + SIDE * f64::from(step) / 50.0, bottom - SIDE * f64::from(step) / 50.0);
        line(area, at(step), at(step + 1), RGBColor(90, 94, 102).stroke_width(px(1.6) as u32))?;
    }
    rectangle(area, [LEFT, TOP, SIDE, SIDE], INK.stroke_width(px(1.2) as u32))?;
    legend(area)?;
    counts(area, panel.bins)?;
    axes(area)
}

/// Bar and shaded gap of one bin, which begins at this share of the axis.
fn bin(area: &Area, start: f64, width: f64, bin: Bin) -> Drawn {
    let Some((confidence, accuracy)) = bin.means() else { return Ok(()) };
    let (x, bottom) = (LEFT + start * SIDE, TOP + SIDE);
    let bar = [x + 1.5, bottom - accuracy * SIDE, width - 3.0, accuracy * SIDE];
    rectangle(area, bar, HITS.filled())?;
    let (low, high) = (confidence.min(accuracy), confidence.max(accuracy));
    let gap = [x + 1.5, bottom - high * SIDE, width - 3.0, (high - low) * SIDE];
    let shade = if confidence > accuracy { ABOVE } else { BELOW };
    rectangle(area, gap, shade.filled())?;
    rectangle(area, gap, GAP.stroke_width(px(1.2) as u32))
}

/// What the colours mean, where no well-calibrated network has bars.
fn legend(area: &Area) -> Drawn {
    let style = text_style(19.0, FontStyle::Normal, INK).pos(Pos::new(HPos::Left, VPos::Center));
    let (x, y) = (LEFT + 16.0, TOP + 16.0);
    let frame = [x, y, 388.0, 123.0];
    rectangle(area, frame, WHITE.mix(0.88).filled())?;
    rectangle(area, frame, RGBColor(190, 193, 199).stroke_width(px(1.0) as u32))?;
    let bars = [
        (HITS, "share that is right"),
        (ABOVE, "confidence above: too sure"),
        (BELOW, "confidence below: not sure enough"),
    ];
    let row = |place: usize| y + 22.0 + 27.0 * place as f64;
    for (place, (color, words)) in bars.into_iter().enumerate() {
        rectangle(area, [x + 14.0, row(place) - 8.0, 26.0, 16.0], color.filled())?;
        area.draw(&Text::new(words, (px(x + 52.0), px(row(place))), style.clone()))?;
    }
    for dash in [0.0, 10.0, 20.0] {
        let at = |along: f64| (x + 14.0 + along, row(3));
        line(area, at(dash), at(dash + 6.0), RGBColor(90, 94, 102).stroke_width(px(1.6) as u32))?;
    }
    area.draw(&Text::new("perfect calibration", (px(x + 52.0), px(row(3))), style))
}

/// How many images each bin has.
fn counts(area: &Area, bins: &[Bin]) -> Drawn {
    let most = bins.iter().map(|bin| bin.count).max().unwrap_or(0).max(1);
    let (width, bottom) = (SIDE / bins.len().max(1) as f64, COUNTS_TOP + COUNTS_HEIGHT);
    for (index, bin) in bins.iter().enumerate().filter(|(_, bin)| bin.count > 0) {
        let height = (COUNTS_HEIGHT * bin.count as f64 / most as f64).max(1.5);
        rectangle(area, [LEFT + index as f64 * width + 1.5, bottom - height, width - 3.0, height], COUNTS.filled())?;
    }
    rectangle(area, [LEFT, COUNTS_TOP, SIDE, COUNTS_HEIGHT], INK.stroke_width(px(1.2) as u32))?;
    let style = text_style(17.0, FontStyle::Normal, INK).pos(Pos::new(HPos::Right, VPos::Center));
    area.draw(&Text::new(most.to_string(), (px(LEFT - 10.0), px(COUNTS_TOP + 8.0)), style.clone()))?;
    area.draw(&Text::new("0", (px(LEFT - 10.0), px(bottom - 8.0)), style))
}

/// Names and numbers along the axes.
fn axes(area: &Area) -> Drawn {
    let numbers = text_style(17.0, FontStyle::Normal, INK);
    let bottom = COUNTS_TOP + COUNTS_HEIGHT;
    for share in [0.0, 0.2, 0.4, 0.6, 0.8, 1.0] {
        let (text, x, y) = (format!("{share:.1}"), LEFT + share * SIDE, TOP + SIDE * (1.0 - share));
        let under = numbers.pos(Pos::new(HPos::Center, VPos::Center));
        area.draw(&Text::new(text.clone(), (px(x), px(bottom + 20.0)), under))?;
        let beside = numbers.pos(Pos::new(HPos::Right, VPos::Center));
        area.draw(&Text::new(text, (px(LEFT - 10.0), px(y)), beside))?;
    }
    let name = text_style(21.0, FontStyle::Normal, INK).pos(Pos::new(HPos::Center, VPos::Center));
    let middle = LEFT + SIDE / 2.0;
    area.draw(&Text::new(
        "Confidence: probability of the predicted class",
        (px(middle), px(bottom + 56.0)),
        name.clone(),
    ))?;
    let turned = name.transform(FontTransform::Rotate270);
    area.draw(&Text::new("Share that is right", (px(32.0), px(TOP + SIDE / 2.0)), turned.clone()))?;
    area.draw(&Text::new("Images", (px(32.0), px(COUNTS_TOP + COUNTS_HEIGHT / 2.0)), turned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::calibration::BINS;

    fn calibration(ece: f64) -> Calibration {
        let (bins, nll, temperature, fitted_on, fitted_images) = (BINS, 0.4, 1.7, "test", 100);
        Calibration { ece, bins, nll, temperature, fitted_on, fitted_images, ece_after: ece / 3.0, nll_after: 0.3 }
    }

    /// Whether a pixel of the left panel, by confidence and share from 0 to 1, is near a colour.
    fn looks(picture: &image::RgbImage, (confidence, share): (f64, f64), color: [u8; 3]) -> bool {
        let (x, y) = (LEFT + confidence * SIDE, TOP + (1.0 - share) * SIDE);
        let got = picture.get_pixel(x as u32, y as u32).0;
        got.iter().zip(color).all(|(&got, wanted)| got.abs_diff(wanted) < 12)
    }

    #[test]
    fn bars_are_as_high_as_bins_are_right_and_gaps_are_shaded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reliability.png");
        let mut bins = [Bin::default(); BINS];
        // 97 % sure and right in 60 %, of 40 images
        bins[14] = Bin { count: 40, confidence: 38.8, hits: 24.0 };
        // 50 % sure and right in 70 %
        bins[7] = Bin { count: 10, confidence: 5.0, hits: 7.0 };
        reliability(&bins, &bins, &calibration(0.3), &path).unwrap();
        let picture = image::open(&path).unwrap().to_rgb8();
        assert_eq!(picture.dimensions(), RELIABILITY_SIZE);
        let (blue, shaded, within, white) = ([0, 68, 136], [227, 171, 180], [112, 87, 127], [255; 3]);
        assert!(looks(&picture, (0.95, 0.3), blue) && looks(&picture, (0.95, 0.59), blue));
        assert!(looks(&picture, (0.95, 0.65), shaded) && looks(&picture, (0.95, 0.9), shaded));
        assert!(looks(&picture, (0.95, 0.985), white) && looks(&picture, (0.3, 0.1), white), "an empty bin has no bar");
        assert!(looks(&picture, (0.48, 0.4), blue) && looks(&picture, (0.48, 0.65), within));
        assert!(looks(&picture, (0.48, 0.72), white));
    }

    #[test]
    fn extremes_are_drawn() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reliability.png");
        let all = |count: usize, confidence: f64, hits: f64| [Bin { count, confidence, hits }; BINS];
        for bins in [all(0, 0.0, 0.0), all(1, 1.0, 1.0), all(usize::MAX, 0.0, 0.0), all(10_000_000, 1e7, 0.0)] {
            reliability(&bins, &bins, &calibration(1.0), &path).unwrap();
        }
        reliability(&[], &[], &calibration(0.0), &path).unwrap();
    }
}
