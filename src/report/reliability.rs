//! The reliability diagram: how often a network is right among the images it is about so sure of.
//!
//! After Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML 2017, figure 4, with the number of
//! images under it, and once more with the temperature.

use super::chart::{LABEL, NAME, TITLE};
use super::drawing::Drawing;
use super::svg::Svg;
use crate::error::Result;
use crate::train::calibration::{Bin, Calibration};
use std::path::Path;

/// Width and height of a diagram in units.
const SIZE: (f64, f64) = (450.0, 564.0);
/// Left edge, top and side of the square, and top and height of the counts under it.
const LEFT: f64 = 66.0;
const TOP: f64 = 54.0;
const SIDE: f64 = 354.0;
const COUNTS: (f64, f64) = (429.0, 78.0);

/// Draws two diagrams side by side, as what the path ends in: as the network is, and with its temperature. A bar is the fraction of
/// images of a bin that are right, over the bin's confidence; what is shaded is the distance from there to the mean confidence: above
/// the bar where the network is too sure of itself, and of another colour within it where it is not sure enough. Bins without images
/// have no bar.
///
/// # Errors
/// [`crate::Error::File`] when the picture cannot be saved.
pub fn reliability(before: &[Bin], after: &[Bin], calibration: &Calibration, path: &Path) -> Result<()> {
    let [before, after] = diagrams(before, after, calibration);
    Drawing::beside(&[&before.1, &after.1]).save(path)
}

/// The two diagrams with their titles.
pub(super) fn diagrams(before: &[Bin], after: &[Bin], calibration: &Calibration) -> [(String, Drawing); 2] {
    let temperature = format!("Temperature {:.3}", calibration.temperature);
    let panels = [("As it is", calibration.ece, before), (&temperature, calibration.ece_after, after)];
    panels.map(|(what, error, bins)| {
        let title = format!("{what}: calibration error {:.2} %", 100.0 * error);
        let body = diagram(&title, bins);
        (title, Drawing { width: SIZE.0, height: SIZE.1, body })
    })
}

fn diagram(title: &str, bins: &[Bin]) -> Svg {
    let mut svg = Svg::default();
    let (bottom, right) = (TOP + SIDE, LEFT + SIDE);
    svg.text("middle bold", (LEFT + SIDE / 2.0, TOP / 2.0), TITLE, title);
    for fraction in [0.2, 0.4, 0.6, 0.8] {
        svg.line("grid", (LEFT, bottom - fraction * SIDE), (right, bottom - fraction * SIDE));
    }
    let most = bins.iter().map(|bin| bin.count).max().unwrap_or(0).max(1);
    let width = SIDE / bins.len().max(1) as f64;
    for (index, bin) in bins.iter().enumerate() {
        bar(&mut svg, (LEFT + index as f64 * width, width), *bin, most);
    }
    svg.line("perfect", (LEFT, bottom), (right, TOP));
    svg.rect("axis", [LEFT, TOP, SIDE, SIDE]);
    svg.rect("axis", [LEFT, COUNTS.0, SIDE, COUNTS.1]);
    legend(&mut svg);
    axes(&mut svg, most);
    svg
}

/// Bar, shaded gap and count of one bin, by its left edge and width.
fn bar(svg: &mut Svg, (left, width): (f64, f64), bin: Bin, most: usize) {
    let Some((confidence, accuracy)) = bin.means() else { return };
    let (x, width, bottom) = (left + 0.9, width - 1.8, TOP + SIDE);
    let images = if bin.count == 1 { "image" } else { "images" };
    let words = format!("{} {images}, confidence {:.1} %, right {:.1} %", bin.count, 1e2 * confidence, 1e2 * accuracy);
    let (low, high) = (confidence.min(accuracy), confidence.max(accuracy));
    let count = (COUNTS.1 * bin.count as f64 / most as f64).max(0.9);
    svg.group("", |svg| {
        svg.title(&words);
        svg.rect("hits", [x, bottom - accuracy * SIDE, width, accuracy * SIDE]);
        let gap = if confidence > accuracy { "gap above" } else { "gap below" };
        svg.rect(gap, [x, bottom - high * SIDE, width, (high - low) * SIDE]);
        svg.rect("counts", [x, COUNTS.0 + COUNTS.1 - count, width, count]);
    });
}

/// What the colours mean, where no well-calibrated network has bars.
fn legend(svg: &mut Svg) {
    let (x, y) = (LEFT + 9.6, TOP + 9.6);
    let bars = [
        ("hits", "fraction that is right"),
        ("gap above", "confidence above: too sure"),
        ("gap below", "confidence below: not sure enough"),
    ];
    svg.group(r#"class="legend""#, |svg| {
        svg.rect("box", [x, y, 240.0, 73.8]);
        let row = |place: usize| y + 13.2 + 16.2 * place as f64;
        for (place, (class, words)) in bars.into_iter().enumerate() {
            svg.rect(class, [x + 8.4, row(place) - 4.8, 15.6, 9.6]);
            svg.text("", (x + 31.2, row(place)), LABEL, words);
        }
        svg.line("perfect", (x + 8.4, row(3)), (x + 24.4, row(3)));
        svg.text("", (x + 31.2, row(3)), LABEL, "perfect calibration");
    });
}

/// Names and numbers along the axes.
fn axes(svg: &mut Svg, most: usize) {
    let bottom = COUNTS.0 + COUNTS.1;
    for step in 0..=5 {
        let fraction = f64::from(step) / 5.0;
        let text = format!("{fraction:.1}");
        svg.text("middle", (LEFT + fraction * SIDE, bottom + 12.0), LABEL, &text);
        svg.text("end", (LEFT - 6.0, TOP + SIDE * (1.0 - fraction)), LABEL, &text);
    }
    svg.text("end", (LEFT - 6.0, COUNTS.0 + 4.8), LABEL, &most.to_string());
    svg.text("end", (LEFT - 6.0, bottom - 4.8), LABEL, "0");
    let name = "Confidence: probability of the predicted class";
    svg.text("middle", (LEFT + SIDE / 2.0, bottom + 33.6), NAME, name);
    svg.upright("middle", (18.0, TOP + SIDE / 2.0), NAME, "Fraction that is right");
    svg.upright("middle", (18.0, COUNTS.0 + COUNTS.1 / 2.0), NAME, "Images");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::drawing::{SCALE, tests::picture};
    use crate::train::calibration::BINS;

    fn calibration(ece: f64) -> Calibration {
        let (bins, nll, temperature, fitted_on, fitted_images) = (BINS, 0.4, 1.7, "test", 100);
        Calibration { ece, bins, nll, temperature, fitted_on, fitted_images, ece_after: ece / 3.0, nll_after: 0.3 }
    }

    /// Whether a pixel of the left panel, by confidence and fraction from 0 to 1, is near a colour.
    fn looks(picture: &image::RgbImage, (confidence, fraction): (f64, f64), color: [u8; 3]) -> bool {
        let (x, y) = (LEFT + confidence * SIDE, TOP + (1.0 - fraction) * SIDE);
        let got = picture.get_pixel((x * SCALE) as u32, (y * SCALE) as u32).0;
        got.iter().zip(color).all(|(&got, wanted)| got.abs_diff(wanted) < 12)
    }

    #[test]
    fn bars_are_as_high_as_bins_are_right_and_gaps_are_shaded() {
        let mut bins = [Bin::default(); BINS];
        // 97 % sure and right in 60 %, of 40 images
        bins[14] = Bin { count: 40, confidence: 38.8, hits: 24.0 };
        // 50 % sure and right in 70 %
        bins[7] = Bin { count: 10, confidence: 5.0, hits: 7.0 };
        let picture = picture(|path| reliability(&bins, &bins, &calibration(0.3), path));
        assert_eq!(picture.dimensions(), (1500, 940));
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
