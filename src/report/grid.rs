//! Images side by side with a title over each, as the Keras notebook shows its galaxies.
//!
//! It reads bytes and titles and knows nothing of data sets or predictions.

use std::path::Path;

use image::imageops::FilterType;
use image::{RgbImage, imageops};

use super::drawing::{Drawing, SCALE, save_with_text};
use super::font::{CAPITAL, LINE, Type};
use super::svg::Svg;
use crate::error::{Error, Result};

/// Longer side of a shown image, in pixels.
const SIDE: u32 = 256;
/// White between images, and around all.
const GAP: u32 = 24;
/// Size of the titles, the smallest they shrink to, and the most lines they take.
const TITLE: (f32, f32, usize) = (18.0, 12.0, 4);
/// Most tiles of one picture: more would need gigabytes of memory.
const MOST_TILES: usize = 1024;

/// One image and what stands over it.
#[derive(Clone, Debug)]
pub struct Tile<'a> {
    /// `height x width x 3` bytes, channels last.
    pub pixels: &'a [u8],
    /// Rows of the image.
    pub height: usize,
    /// Columns of the image.
    pub width: usize,
    /// Words over the image; newlines are kept, long lines are wrapped or shrunk.
    pub title: String,
}

/// Draws tiles row by row, `columns` of them side by side, as a PNG on white. Every image is scaled to 256 pixels on its
/// longer side: smoothly to shrink it or enlarge it a little, with hard-edged pixels to enlarge it four times or more, so that the
/// pixels of tiny images show as what they are.
///
/// # Errors
/// [`Error::Data`] when there are no tiles, no columns, more than 1024 tiles, or a tile's bytes do not match its size;
/// [`Error::File`] when the picture cannot be saved.
pub fn grid(tiles: &[Tile], columns: usize, path: &Path) -> Result<()> {
    if tiles.is_empty() || tiles.len() > MOST_TILES || columns == 0 {
        let problem = format!("{} images in {columns} columns cannot be drawn", tiles.len());
        return Err(Error::data("grid of images", problem, "draw 1 to 1024 images in at least one column"));
    }
    let images = tiles.iter().enumerate().map(scaled).collect::<Result<Vec<_>>>()?;
    let (font, titles) = titles(tiles);

    let columns = columns.min(tiles.len());
    // Titles and images of a row are as high as its highest, so that wide strips leave no holes.
    let rows: Vec<Row> =
        images.chunks(columns).zip(titles.chunks(columns)).map(|(images, titles)| Row { images, titles }).collect();
    let width = GAP + columns as u32 * (SIDE + GAP);
    let height = GAP + rows.iter().map(|row| row.title_height(font) + row.image_height() + GAP).sum::<u32>();
    let mut picture = RgbImage::from_pixel(width, height, image::Rgb([255; 3]));
    let mut text = Svg::default();
    let mut top = GAP;
    for row in rows {
        let image_top = top + row.title_height(font);
        for (column, (image, lines)) in row.images.iter().zip(row.titles).enumerate() {
            let middle = GAP + column as u32 * (SIDE + GAP) + SIDE / 2;
            write_above(&mut text, font, lines, (middle, image_top));
            imageops::replace(&mut picture, image, i64::from(middle - image.width() / 2), i64::from(image_top));
        }
        top = image_top + row.image_height() + GAP;
    }
    save_with_text(picture, text, path)
}

/// Draws a sentence where there are no images or no chart to draw, as what the path ends in.
///
/// # Errors
/// [`Error::File`] when the picture cannot be saved.
pub fn sentence(text: &str, path: &Path) -> Result<()> {
    let units = |pixels: u32| f64::from(pixels) / SCALE;
    let (width, height) = (units(2 * SIDE + 3 * GAP), units(SIDE / 2));
    let (font, lines) =
        Type((f64::from(TITLE.0) / SCALE) as f32).fit(text, (width - units(2 * GAP)) as f32, TITLE.2, 7.0);
    let mut body = Svg::default();
    for (index, line) in lines.iter().enumerate() {
        let offset = index as f32 - (lines.len() as f32 - 1.0) / 2.0;
        body.text("middle", (width / 2.0, height / 2.0 + f64::from(offset * font.0 * LINE)), font.0.into(), line);
    }
    Drawing { width, height, body }.save(path)
}

/// Tiles side by side.
struct Row<'a> {
    images: &'a [RgbImage],
    titles: &'a [Vec<String>],
}

impl Row<'_> {
    fn title_height(&self, font: Type) -> u32 {
        let lines = self.titles.iter().map(Vec::len).max().unwrap_or(0) as u32;
        lines * (font.0 * LINE).ceil() as u32
    }

    fn image_height(&self) -> u32 {
        self.images.iter().map(RgbImage::height).max().unwrap_or(0)
    }
}

/// Titles broken into lines, all at the size that the longest of them needs.
fn titles(tiles: &[Tile]) -> (Type, Vec<Vec<String>>) {
    let (largest, smallest, lines) = TITLE;
    let width = (SIDE + GAP / 2) as f32;
    let sizes = tiles.iter().map(|tile| Type(largest).fit(&tile.title, width, lines, smallest).0.0);
    let font = Type(sizes.fold(largest, f32::min));
    (font, tiles.iter().map(|tile| font.fit(&tile.title, width, lines, font.0).1).collect())
}

/// Writes centred lines, the last of them just above `(middle, bottom)`.
fn write_above(text: &mut Svg, font: Type, lines: &[String], (middle, bottom): (u32, u32)) {
    for (index, line) in lines.iter().rev().enumerate() {
        let middle_of_capitals = bottom as f32 - 8.0 - index as f32 * font.0 * LINE - font.0 * CAPITAL / 2.0;
        text.text("middle", (middle.into(), middle_of_capitals.into()), font.0.into(), line);
    }
}

fn scaled((index, tile): (usize, &Tile)) -> Result<RgbImage> {
    let (height, width) = (tile.height, tile.width);
    let image = (height > 0 && width > 0 && height * width * 3 == tile.pixels.len())
        .then(|| RgbImage::from_raw(width as u32, height as u32, tile.pixels.to_vec()))
        .flatten();
    let image = image.ok_or_else(|| {
        let problem = format!("image {index} has {} bytes, but its size is {height} x {width} x 3", tile.pixels.len());
        Error::data("grid of images", problem, "give height x width x 3 bytes per image")
    })?;
    let scale = f64::from(SIDE) / height.max(width) as f64;
    let side = |size: usize| ((size as f64 * scale).round() as u32).max(1);
    let filter = match scale {
        _ if scale >= 4.0 => FilterType::Nearest,
        _ if scale >= 1.0 => FilterType::CatmullRom,
        _ => FilterType::Lanczos3,
    };
    Ok(if scale == 1.0 { image } else { imageops::resize(&image, side(width), side(height), filter) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tile<'a>(pixels: &'a [u8], height: usize, width: usize, title: &str) -> Tile<'a> {
        Tile { pixels, height, width, title: title.into() }
    }

    #[test]
    fn small_images_are_enlarged_under_their_titles() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grid.png");
        let checks = [255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9];
        grid(&[tile(&checks, 2, 2, "a title"), tile(&checks, 2, 2, ""), tile(&checks, 2, 2, "")], 2, &path).unwrap();
        let picture = image::open(&path).unwrap().to_rgb8();
        let line = (TITLE.0 * LINE).ceil() as u32;
        assert_eq!(picture.dimensions(), (2 * 256 + 3 * GAP, line + 2 * 256 + 3 * GAP));
        assert_eq!(picture.get_pixel(GAP, GAP + line).0, [255, 0, 0]);
        assert_eq!(picture.get_pixel(GAP + 127, GAP + line + 127).0, [255, 0, 0]);
        assert_eq!(picture.get_pixel(GAP + 128, GAP + line).0, [0, 255, 0]);
        assert_eq!(picture.get_pixel(GAP + 255, GAP + line + 255).0, [9, 9, 9]);
        let title = (GAP..GAP + 256).filter(|&x| (GAP..GAP + line).any(|y| picture.get_pixel(x, y).0[0] < 128)).count();
        assert!(title > 20, "the title is written");
        assert_eq!(picture.get_pixel(3 * GAP + 256, 2 * GAP + line + 300).0, [255; 3], "no fourth tile");
    }

    #[test]
    fn long_images_and_titles_stay_in_their_columns() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grid.png");
        let strip = vec![7; 300 * 20 * 3];
        let title = "word ".repeat(200);
        grid(&[tile(&strip, 20, 300, &title), tile(&strip, 300, 20, "")], 5, &path).unwrap();
        let picture = image::open(&path).unwrap().to_rgb8();
        assert_eq!(picture.width(), 2 * 256 + 3 * GAP);
    }

    #[test]
    fn a_sentence_is_written_in_the_middle() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none.png");
        for text in ["None of 60 images is mistaken.", &"word ".repeat(300), ""] {
            sentence(text, &path).unwrap();
            let picture = image::open(&path).unwrap().to_rgb8();
            assert_eq!(picture.dimensions(), (2 * 256 + 3 * GAP, 128));
            let dark = picture.enumerate_pixels().filter(|(.., pixel)| pixel.0[0] < 128);
            let rows: Vec<u32> = dark.map(|(_, y, _)| y).collect();
            assert_eq!(rows.is_empty(), text.is_empty());
            assert!(rows.iter().all(|row| (8..120).contains(row)), "{rows:?}");
        }
    }

    #[test]
    fn wrong_sizes_and_paths_are_refused() {
        let bytes = [0; 12];
        let nowhere = Path::new("/nonexistent folder/grid.png");
        let refused = |tiles: &[Tile], columns| grid(tiles, columns, nowhere).unwrap_err();
        assert!(matches!(refused(&[], 1), Error::Data { .. }));
        assert!(matches!(refused(&[tile(&bytes, 2, 2, "")], 0), Error::Data { .. }));
        assert!(refused(&[tile(&bytes, 2, 3, "")], 1).to_string().contains("image 0 has 12 bytes"));
        assert!(matches!(refused(&[tile(&bytes, 2, 2, "")], 1), Error::File { .. }));
    }
}
