//! A finished chart, as the page embeds it and as a file: SVG as it is, the same SVG drawn as PNG, or as PDF.

use super::font::TYPEFACE;
use super::pdf;
use super::svg::{Svg, clean};
use crate::error::{Error, Result};
use crate::files::write_whole;
use image::{ImageFormat, RgbImage};
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{self, Tree, fontdb};
use std::io::Cursor;
use std::path::Path;
use std::sync::{Arc, LazyLock};

/// Endings of the files that a chart can be saved as.
pub const FORMATS: &[&str] = &["png", "svg", "pdf"];

/// Pixels of a PNG for each unit of a drawing.
pub(super) const SCALE: f64 = 5.0 / 3.0;

/// How a chart looks, in variables of the page around it.
pub(super) const STYLE: &str = include_str!("chart.css");

/// The variables on white paper. Blue and orange are Paul Tol's (<https://personal.sron.nl/~pault/>): apart for every kind of
/// colour vision and, dark against light, in greyscale.
const ON_PAPER: [(&str, &str); 12] = [
    ("--ink", "#18181b"),
    ("--faint", "#6b6f78"),
    ("--light", "#ffffff"),
    ("--paper", "#ffffff"),
    ("--line", "#d6d9de"),
    ("--train", "#004488"),
    ("--val", "#ee7733"),
    ("--gap", "#cc6677"),
    ("--above", "#e3abb4"),
    ("--below", "#70577f"),
    ("--counts", "#7799bb"),
    ("--soft", "#565d69"),
];

/// Only pictures need this: letters of the embedded typeface are light, and a stroke gives them weight.
const WEIGHT: &str = "text { stroke: #18181b; stroke-width: 0.012em; } .bold { stroke-width: 0.045em; } \
                      .faint { stroke: #6b6f78; } .light { stroke: #ffffff; }";

/// Rows that are drawn at a time, so that the largest picture needs little memory.
const BAND: u32 = 512;

/// A chart of some size, in units.
#[derive(Clone, Debug)]
pub(super) struct Drawing {
    pub width: f64,
    pub height: f64,
    pub body: Svg,
}

impl Drawing {
    /// Drawings of one height, from left to right.
    pub fn beside(parts: &[&Drawing]) -> Self {
        let (mut width, mut body) = (0.0, Svg::default());
        for part in parts {
            body.group(format_args!(r#"transform="translate({width})""#), |svg| svg.append(&part.body));
            width += part.width;
        }
        Self { width, height: parts.iter().map(|part| part.height).fold(0.0, f64::max), body }
    }

    /// The element for a page, which brings its own style: `role` is what it is to a screen reader, `label` its name.
    pub fn inline(&self, role: &str, label: &str) -> String {
        let Self { width, height, body } = self;
        let (label, body) = (clean(label), body.as_str());
        format!(
            r#"<svg class="drawing" viewBox="0 0 {width} {height}" style="--width: {width}" role="{role}" aria-label="{label}">{body}</svg>"#
        )
    }

    /// The text of a file that stands alone.
    pub fn svg(&self) -> String {
        let Self { width, height, body } = self;
        let replaced = |style: String, (name, color): &(&str, &str)| style.replace(&format!("var({name})"), color);
        let style = ON_PAPER.iter().fold(STYLE.to_owned(), replaced);
        let body = body.as_str();
        format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" class="drawing" width="{width}" height="{height}" viewBox="0 0 {width} {height}" font-family="Ubuntu, 'Segoe UI', Helvetica, Arial, sans-serif">
<style>
{style}</style>
<rect class="paper" width="{width}" height="{height}"/>
{body}
</svg>
"#
        )
    }

    /// Saves it as what the path ends in, one of [`FORMATS`], or else as PNG; readers see the old file or the whole new one.
    ///
    /// # Errors
    /// [`Error::File`] when it cannot be written; nothing is left behind.
    pub fn save(&self, path: &Path) -> Result<()> {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        match ending.as_deref() {
            Some("svg") => write_whole(path, self.svg().as_bytes()),
            Some("pdf") => write_whole(path, &pdf::pdf(&parse(&self.svg(), path)?)),
            _ => {
                let side = |units: f64| (units * SCALE).round() as u32;
                let white = image::Rgb([255; 3]);
                let mut picture = RgbImage::from_pixel(side(self.width), side(self.height), white);
                draw_over(&mut picture, &self.svg(), SCALE, path)?;
                save_png(&picture, path)
            }
        }
    }
}

fn parse(svg: &str, path: &Path) -> Result<Tree> {
    static FONTS: LazyLock<Arc<fontdb::Database>> = LazyLock::new(|| {
        let mut fonts = fontdb::Database::new();
        fonts.load_font_data(TYPEFACE.to_vec());
        let family = fonts.faces().next().and_then(|face| face.families.first()).map(|family| family.0.clone());
        fonts.set_sans_serif_family(family.unwrap_or_default());
        Arc::new(fonts)
    });
    let style_sheet = Some(WEIGHT.to_owned());
    let options = usvg::Options { fontdb: FONTS.clone(), style_sheet, ..usvg::Options::default() };
    let failed = |error| Error::file(path, format!("the picture cannot be drawn ({error})"), "please report this");
    Tree::from_str(svg, &options).map_err(failed)
}

/// Draws SVG over a picture, `scale` pixels for each of its units.
///
/// # Errors
/// [`Error::File`] with the path that the picture is for.
pub(super) fn draw_over(picture: &mut RgbImage, svg: &str, scale: f64, path: &Path) -> Result<()> {
    let tree = parse(svg, path)?;
    let (width, height) = picture.dimensions();
    for top in (0..height).step_by(BAND as usize) {
        let rows = BAND.min(height - top);
        let Some(mut band) = Pixmap::new(width, rows) else { continue };
        let place = Transform::from_translate(0.0, -(top as f32)).pre_scale(scale as f32, scale as f32);
        resvg::render(&tree, place, &mut band.as_mut());
        let from = top as usize * width as usize * 3;
        let below: &mut [u8] = &mut picture.as_mut()[from..];
        for (pixel, drawn) in below.chunks_exact_mut(3).zip(band.pixels()) {
            // drawn is premultiplied with its alpha
            let left = 255 - u16::from(drawn.alpha());
            for (old, new) in pixel.iter_mut().zip([drawn.red(), drawn.green(), drawn.blue()]) {
                *old = new + ((u16::from(*old) * left + 127) / 255) as u8;
            }
        }
    }
    Ok(())
}

/// Writes text onto a picture of pixels, a unit a pixel, and saves it as PNG.
///
/// # Errors
/// [`Error::File`] when it cannot be written; nothing is left behind.
pub(super) fn save_with_text(mut picture: RgbImage, text: Svg, path: &Path) -> Result<()> {
    let (width, height) = picture.dimensions();
    let captions = Drawing { width: width.into(), height: height.into(), body: text };
    let svg = captions.svg().replacen(r#"<rect class="paper""#, r#"<rect fill="none""#, 1);
    draw_over(&mut picture, &svg, 1.0, path)?;
    save_png(&picture, path)
}

/// Saves a picture as PNG; readers see the old file or the whole new one.
///
/// # Errors
/// [`Error::File`] when it cannot be written; nothing is left behind.
fn save_png(picture: &RgbImage, path: &Path) -> Result<()> {
    let mut bytes = Cursor::new(Vec::new());
    let written = picture.write_to(&mut bytes, ImageFormat::Png);
    written.map_err(|error| Error::file(path, error, "make the picture smaller"))?;
    write_whole(path, bytes.get_ref())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What is drawn as a PNG.
    pub fn picture(draw: impl Fn(&Path) -> Result<()>) -> RgbImage {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("picture.png");
        draw(&path).unwrap();
        image::open(&path).unwrap().to_rgb8()
    }

    /// Pixels of exactly this colour.
    pub fn count(picture: &RgbImage, color: [u8; 3]) -> usize {
        picture.pixels().filter(|pixel| pixel.0 == color).count()
    }

    fn sample() -> Drawing {
        let mut body = Svg::default();
        body.rect("hits", [3.0, 3.0, 6.0, 6.0]);
        body.text("middle bold", (15.0, 20.0), 8.0, "HTH");
        Drawing { width: 30.0, height: 24.0, body }
    }

    #[test]
    fn the_same_drawing_is_the_same_png_svg_and_pdf() {
        let folder = tempfile::tempdir().unwrap();
        let saved = |name: &str| {
            sample().save(&folder.path().join(name)).unwrap();
            std::fs::read(folder.path().join(name)).unwrap()
        };
        for (ending, begins) in [("png", &b"\x89PNG"[..]), ("svg", b"<svg xmlns"), ("pdf", b"%PDF-1.7")] {
            let [one, other] = ["one", "other"].map(|name| saved(&format!("{name}.{ending}")));
            assert!(one == other && one.starts_with(begins), "{ending}");
        }
        let dates = saved("again.pdf").windows(12).any(|window| window == b"CreationDate");
        assert!(!dates);
    }

    #[test]
    fn shapes_and_letters_have_their_places_and_colours() {
        let picture = picture(|path| sample().save(path));
        assert_eq!(picture.dimensions(), (50, 40));
        assert_eq!((picture.get_pixel(10, 10).0, picture.get_pixel(0, 0).0), ([0, 68, 136], [255; 3]));
        assert_eq!(count(&picture, [0, 68, 136]), 100, "10 x 10 pixels");
        let dark: Vec<(u32, u32)> = picture.enumerate_pixels().filter(|p| p.2.0[2] < 80).map(|p| (p.0, p.1)).collect();
        let (top, bottom) = (dark.iter().map(|p| p.1).min().unwrap(), dark.iter().map(|p| p.1).max().unwrap());
        assert!(top.abs_diff(33 - 4) <= 1 && bottom.abs_diff(33 + 4) <= 1, "capitals from {top} to {bottom}");
        let (left, right) = (dark.iter().map(|p| p.0).min().unwrap(), dark.iter().map(|p| p.0).max().unwrap());
        assert!((left + right).abs_diff(50) <= 2, "in the middle: {left} to {right}");
    }

    #[test]
    fn every_variable_has_a_colour_on_paper() {
        assert!(!sample().svg().contains("var("));
    }

    #[test]
    fn an_unwritable_path_is_a_file_error_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let occupied = folder.path().join("occupied");
        std::fs::create_dir(&occupied).unwrap();
        std::fs::write(occupied.join("inhabitant"), "").unwrap();
        for path in [folder.path().join("missing").join("picture.png"), occupied] {
            let error = save_png(&RgbImage::new(2, 2), &path).unwrap_err();
            assert!(matches!(error, Error::File { path: named, .. } if named == path));
        }
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["occupied"], "no temporary file remains");
    }
}
