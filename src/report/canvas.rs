//! Paper to draw on: an RGB buffer behind plotters, drawn several times too large, shrunk, and saved whole or not at all.
//!
//! Plotters' thick lines have hard edges; shrinking the picture smooths them. This file knows colours, pixels and
//! paths, not what is drawn.

use std::io::Cursor;
use std::path::Path;

use image::{ImageFormat, RgbImage};
use plotters::coord::Shift;
use plotters::prelude::{BitMapBackend, DrawingArea, DrawingAreaErrorKind, DrawingBackend, IntoDrawingArea, RGBColor};
use plotters::style::text_anchor::{HPos, VPos};
use plotters::style::{FontStyle, TextStyle};
use plotters_backend::{BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingErrorKind};

use super::font::Type;
use crate::error::{Error, Result};

/// Pixels drawn per pixel saved, along each side.
pub(super) const OVERSAMPLING: u32 = 3;

/// A drawing area on [`Paper`], in drawn pixels.
pub(super) type Area<'a> = DrawingArea<Paper<'a>, Shift>;

type Fault = <BitMapBackend<'static> as DrawingBackend>::ErrorType;

/// What drawing returns.
pub(super) type Drawn<T = ()> = std::result::Result<T, DrawingAreaErrorKind<Fault>>;

/// Text and axes.
pub(super) const INK: RGBColor = RGBColor(24, 24, 27);

/// Saved pixels to drawn pixels.
pub(super) fn px(saved: f64) -> i32 {
    (saved * f64::from(OVERSAMPLING)).round() as i32
}

/// A style for text of `size` saved pixels, for plotters and [`Paper`].
pub(super) fn text_style(size: f64, style: FontStyle, color: RGBColor) -> TextStyle<'static> {
    use plotters::style::{Color, FontFamily, IntoFont};
    let font = (FontFamily::SansSerif, size * f64::from(OVERSAMPLING)).into_font().style(style);
    TextStyle { font, color: color.to_backend_color(), pos: Default::default() }
}

/// Draws on white paper and saves it as a PNG of `width x height` pixels.
///
/// # Errors
/// [`Error::File`] when the picture cannot be drawn or saved.
pub(super) fn picture(width: u32, height: u32, path: &Path, draw: impl FnOnce(&Area) -> Drawn) -> Result<()> {
    let (wide, high) = (width * OVERSAMPLING, height * OVERSAMPLING);
    let mut large = RgbImage::from_pixel(wide, high, image::Rgb([255; 3]));
    {
        let area = Paper(BitMapBackend::with_buffer(&mut large, (wide, high))).into_drawing_area();
        let drawn = draw(&area).and_then(|()| area.present());
        drawn.map_err(|error| Error::file(path, format!("the picture cannot be drawn ({error})"), "report this"))?;
    }
    // A whole factor, so that thumbnail's average is the exact mean of each block.
    save_png(&image::imageops::thumbnail(&large, width, height), path)
}

/// Saves a picture as PNG; readers see the old file or the whole new one.
///
/// # Errors
/// [`Error::File`] when it cannot be written; nothing is left behind.
pub(super) fn save_png(picture: &RgbImage, path: &Path) -> Result<()> {
    let mut bytes = Cursor::new(Vec::new());
    let written = picture.write_to(&mut bytes, ImageFormat::Png);
    written.map_err(|error| Error::file(path, error, "make the picture smaller"))?;
    crate::files::write_whole(path, bytes.get_ref())
}

/// Mixes `color` into a pixel; `share` 1 replaces it.
pub(super) fn blend(pixel: &mut [u8], color: [u8; 3], share: f32) {
    for (old, new) in pixel.iter_mut().zip(color) {
        *old = (f32::from(*old) + (f32::from(new) - f32::from(*old)) * share).round() as u8;
    }
}

/// Plotters' bitmap with text set by [`Type`]. A text's box reaches from its baseline to the top of its capitals.
pub(super) struct Paper<'a>(BitMapBackend<'a>);

type Backend<T> = std::result::Result<T, DrawingErrorKind<Fault>>;

fn typeface(style: &impl BackendTextStyle) -> Type {
    Type { size: style.size() as f32, bold: matches!(style.style(), FontStyle::Bold) }
}

impl DrawingBackend for Paper<'_> {
    type ErrorType = Fault;

    fn get_size(&self) -> (u32, u32) {
        self.0.get_size()
    }

    fn ensure_prepared(&mut self) -> Backend<()> {
        self.0.ensure_prepared()
    }

    fn present(&mut self) -> Backend<()> {
        self.0.present()
    }

    fn draw_pixel(&mut self, point: BackendCoord, color: BackendColor) -> Backend<()> {
        self.0.draw_pixel(point, color)
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S) -> Backend<()> {
        self.0.draw_line(from, to, style)
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        upper_left: BackendCoord,
        bottom_right: BackendCoord,
        style: &S,
        fill: bool,
    ) -> Backend<()> {
        self.0.draw_rect(upper_left, bottom_right, style, fill)
    }

    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, at: BackendCoord) -> Backend<()> {
        let font = typeface(style);
        let anchor = style.anchor();
        let x = match anchor.h_pos {
            HPos::Left => 0.0,
            HPos::Center => -font.width(text) / 2.0,
            HPos::Right => -font.width(text),
        };
        let y = match anchor.v_pos {
            VPos::Top => font.capital(),
            VPos::Center => font.capital() / 2.0,
            VPos::Bottom => 0.0,
        };
        let (color, transform) = (style.color(), style.transform());
        let mut outcome = Ok(());
        font.draw(text, (x, y), |x, y, coverage| {
            let (x, y) = transform.transform(x, y);
            let ink = BackendColor { alpha: color.alpha * f64::from(coverage), ..color };
            if outcome.is_ok() {
                outcome = self.0.draw_pixel((at.0 + x, at.1 + y), ink);
            }
        });
        outcome
    }

    fn estimate_text_size<S: BackendTextStyle>(&self, text: &str, style: &S) -> Backend<(u32, u32)> {
        let font = typeface(style);
        Ok((font.width(text).ceil() as u32, font.capital().ceil() as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_a_png_of_the_stated_size_and_replaces_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("picture.png");
        std::fs::write(&path, "old").unwrap();
        picture(40, 30, &path, |area| area.draw_pixel((px(20.0) + 1, px(10.0) + 1), &INK)).unwrap();
        let got = image::open(&path).unwrap().to_rgb8();
        assert_eq!(got.dimensions(), (40, 30));
        assert_eq!(got.get_pixel(0, 0).0, [255; 3]);
        // One dark drawn pixel of nine makes its saved pixel a ninth darker.
        assert_eq!(got.get_pixel(20, 10).0[0], ((8 * 255 + 24) / 9) as u8);
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
