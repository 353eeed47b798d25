//! What a network sees in a picture, as a picture: the galaxy, its saliency map and both in one, the scores, and under them the
//! channels of each block.
//!
//! Colours are viridis and inferno (Smith and van der Walt, CC0), by `colorous`: their lightness grows evenly, so that they read the
//! same in grey. It draws numbers and knows nothing of engines.

use super::drawing::save_with_text;
use super::font::{CAPITAL, Type};
use super::svg::Svg;
use crate::error::{Error, Result};
use crate::train::inspect::{FeatureMaps, Inspection};
use colorous::{Gradient, INFERNO, VIRIDIS};
use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};
use std::path::Path;

/// Side of the galaxy and its saliency map, and of a channel, in pixels.
const LARGE: u32 = 256;
const SMALL: u32 = 128;
/// White around all, between the large pictures, and between channels.
const MARGIN: u32 = 24;
const GAP: u32 = 12;
/// Channels side by side.
const COLUMNS: u32 = 8;
/// Width of all that is drawn.
const WIDTH: u32 = COLUMNS * SMALL + (COLUMNS - 1) * GAP;
/// Height of a section's title, of the line over a channel, and of a strip of values.
const TITLE: u32 = 40;
const LABEL: u32 = 18;
const STRIP: u32 = 32;
/// Most channels of one picture: more would need gigabytes of memory.
const MOST_CHANNELS: usize = 4096;
/// Scores that are written out.
const SCORES: usize = 5;
/// Fraction of the pixels that the saliency's colours reach up to; the few above it would leave the others dark.
const CLIPPED: f64 = 0.995;
/// How much of the galaxy is left where nothing is salient, in the overlay.
const DIMMED: f32 = 0.75;

const BLUE: [u8; 3] = [49, 104, 142];
const PALE: [u8; 3] = [228, 228, 231];

/// Pixels, and the text over them.
struct Paper {
    pixels: RgbImage,
    text: Svg,
}

impl Paper {
    fn fill(&mut self, (left, top): (u32, u32), (width, height): (u32, u32), color: [u8; 3]) {
        for y in top..(top + height).min(self.pixels.height()) {
            for x in left..(left + width).min(self.pixels.width()) {
                self.pixels.put_pixel(x, y, Rgb(color));
            }
        }
    }

    fn place(&mut self, picture: &RgbImage, (left, top): (u32, u32)) {
        imageops::replace(&mut self.pixels, picture, left.into(), top.into());
    }

    /// Writes a line whose baseline begins, or with the class `end` ends, at a place.
    fn write(&mut self, class: &str, size: f32, text: &str, (x, baseline): (u32, u32)) {
        self.text.text(class, (x.into(), (baseline as f32 - size * CAPITAL / 2.0).into()), size.into(), text);
    }
}

/// A part of the picture, below the one before.
enum Section<'a> {
    /// The galaxy, its saliency, both, and the scores.
    Head(&'a Inspection, &'a [String]),
    /// Channels of a block, and how many of them.
    Maps(&'a FeatureMaps, usize),
    /// A block that hands on a row of values.
    Strip(&'a FeatureMaps),
}

/// Draws the whole inspection with up to `channels` channels of each block, the strongest ones.
///
/// # Errors
/// [`Error::Setting`] for fewer classes than scores; [`Error::File`] where the picture cannot be saved.
pub fn inspection(found: &Inspection, classes: &[String], channels: usize, path: &Path) -> Result<()> {
    if classes.len() != found.scores.len() {
        return Err(Error::setting("the names of the classes", classes.len(), found.scores.len()));
    }
    let head = std::iter::once(Section::Head(found, classes));
    draw(&head.chain(found.blocks.iter().map(|block| Section::of(block, channels))).collect::<Vec<_>>(), path)
}

/// Draws one block with up to `channels` channels, the strongest ones.
///
/// # Errors
/// [`Error::File`] where the picture cannot be saved.
pub fn feature_maps(block: &FeatureMaps, channels: usize, path: &Path) -> Result<()> {
    draw(&[Section::of(block, channels)], path)
}

fn draw(sections: &[Section], path: &Path) -> Result<()> {
    let heights: Vec<u32> = sections.iter().map(Section::height).collect();
    let height = MARGIN + heights.iter().map(|height| height + MARGIN).sum::<u32>();
    let pixels = RgbImage::from_pixel(WIDTH + 2 * MARGIN, height, Rgb([255; 3]));
    let mut paper = Paper { pixels, text: Svg::default() };
    let mut top = MARGIN;
    for (section, height) in sections.iter().zip(heights) {
        section.draw(&mut paper, top);
        top += height + MARGIN;
    }
    save_with_text(paper.pixels, paper.text, path)
}

impl<'a> Section<'a> {
    fn of(block: &'a FeatureMaps, channels: usize) -> Self {
        match block.shape.image() {
            Some(_) => Self::Maps(block, channels.clamp(1, block.channels().min(MOST_CHANNELS))),
            None => Self::Strip(block),
        }
    }

    fn height(&self) -> u32 {
        match self {
            Self::Head(..) => TITLE + LARGE,
            Self::Maps(block, channels) => {
                let rows = (*channels as u32).div_ceil(COLUMNS);
                TITLE + rows * (LABEL + tile_height(block) + GAP) - GAP
            }
            Self::Strip(_) => TITLE + STRIP,
        }
    }

    fn draw(&self, paper: &mut Paper, top: u32) {
        match self {
            Self::Head(found, classes) => head(paper, found, classes, top),
            Self::Maps(block, channels) => maps(paper, block, *channels, top),
            Self::Strip(block) => strip(paper, block, top),
        }
    }
}

fn head(paper: &mut Paper, found: &Inspection, classes: &[String], top: u32) {
    let (height, width) = (found.size.0 as u32, found.size.1 as u32);
    let Some(galaxy) = RgbImage::from_raw(width, height, found.pixels.clone()) else { return };
    let saliency = scaled_to_one(&found.saliency());
    let map = coloured(&saliency, (height, width), INFERNO);
    let mut both = imageops::grayscale(&galaxy);
    both.iter_mut().for_each(|value| *value = (f32::from(*value) * DIMMED) as u8);
    let mut both = image::DynamicImage::ImageLuma8(both).into_rgb8();
    for ((pixel, color), &fraction) in both.pixels_mut().zip(map.pixels()).zip(&saliency) {
        for (old, new) in pixel.0.iter_mut().zip(color.0) {
            *old = (f32::from(*old) + (f32::from(new) - f32::from(*old)) * fraction).round() as u8;
        }
    }
    let name = &classes[found.class];
    let titles = ["the picture".to_owned(), format!("saliency, {name}"), "both".to_owned()];
    for (column, (picture, title)) in [galaxy, map, both].iter().zip(titles).enumerate() {
        let left = MARGIN + column as u32 * (LARGE + MARGIN);
        let (font, lines) = Type(16.0).fit(&title, LARGE as f32, 1, 10.0);
        paper.write("", font.0, &lines.concat(), (left, top + TITLE - 12));
        paper.place(&fit(picture, LARGE), (left, top + TITLE));
    }
    scores(paper, found, classes, (MARGIN + 3 * (LARGE + MARGIN), top));
}

/// The largest scores, as bars.
fn scores(paper: &mut Paper, found: &Inspection, classes: &[String], (left, top): (u32, u32)) {
    let mut order: Vec<usize> = (0..found.scores.len()).collect();
    order.sort_by(|&a, &b| found.scores[b].total_cmp(&found.scores[a]).then(a.cmp(&b)));
    let room = MARGIN + WIDTH - left;
    paper.write("", 16.0, "scores", (left, top + TITLE - 12));
    for (row, &class) in order.iter().take(SCORES).enumerate() {
        let y = top + TITLE + row as u32 * (LARGE / SCORES as u32);
        let percent = format!("{:.1} %", 100.0 * found.scores[class]);
        let (font, lines) = Type(15.0).fit(&classes[class], room as f32 - 70.0, 1, 9.0);
        paper.write("", font.0, &lines.concat(), (left, y + 16));
        paper.write("end", 15.0, &percent, (left + room, y + 16));
        paper.fill((left, y + 23), (room, 8), PALE);
        paper.fill((left, y + 23), ((room as f32 * found.scores[class]).round() as u32, 8), BLUE);
    }
}

fn title(paper: &mut Paper, block: &FeatureMaps, note: &str, top: u32) {
    let sizes: Vec<String> = block.shape.sizes().iter().map(usize::to_string).collect();
    let name = block.layers.join(" + ");
    paper.write("bold", 18.0, &name, (MARGIN, top + 20));
    let after = MARGIN + Type(18.0).width(&name) as u32 + 16;
    paper.write("faint", 15.0, &format!("{}{note}", sizes.join(" × ")), (after, top + 20));
}

/// Height of a channel's picture, as wide as [`SMALL`] where it is not higher than wide.
fn tile_height(block: &FeatureMaps) -> u32 {
    let (height, width, _) = block.shape.image().unwrap_or((1, 1, 1));
    (SMALL as usize * height / height.max(width)).max(1) as u32
}

fn maps(paper: &mut Paper, block: &FeatureMaps, channels: usize, top: u32) {
    let Some((height, width, all)) = block.shape.image() else { return };
    let note = match channels == all {
        true => ", all channels, strongest first".to_owned(),
        false => format!(", the {channels} strongest of {all} channels"),
    };
    title(paper, block, &note, top);
    for (place, channel) in block.strongest().into_iter().take(channels).enumerate() {
        let (column, row) = (place as u32 % COLUMNS, place as u32 / COLUMNS);
        let left = MARGIN + column * (SMALL + GAP);
        let y = top + TITLE + row * (LABEL + tile_height(block) + GAP);
        let values = block.channel(channel);
        let most = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        paper.write("faint", 12.0, &format!("channel {channel}"), (left, y + 12));
        paper.write("end faint", 12.0, &format!("up to {most:.2}"), (left + SMALL, y + 12));
        let tile = coloured(&from_least_to_most(&values), (height as u32, width as u32), VIRIDIS);
        paper.place(&fit(&tile, SMALL), (left, y + LABEL));
    }
}

fn strip(paper: &mut Paper, block: &FeatureMaps, top: u32) {
    let values = from_least_to_most(&block.values);
    let [least, most] = [f32::min, f32::max].map(|pick| block.values.iter().copied().reduce(pick).unwrap_or(0.0));
    title(paper, block, &format!(" values from {least:.2} to {most:.2}, in order"), top);
    for x in 0..WIDTH {
        let value = values.get((x as usize * values.len()) / WIDTH as usize).copied().unwrap_or(0.0);
        paper.fill((MARGIN + x, top + TITLE), (1, STRIP), color(VIRIDIS, value));
    }
}

/// Values as fractions of the one that [`CLIPPED`] of them do not exceed; those above count as one.
fn scaled_to_one(values: &[f32]) -> Vec<f32> {
    let mut sorted: Vec<f32> = values.to_vec();
    sorted.sort_by(f32::total_cmp);
    let place = ((sorted.len() as f64 * CLIPPED) as usize).min(sorted.len().saturating_sub(1));
    let scale = sorted.get(place).copied().unwrap_or(0.0).max(f32::MIN_POSITIVE);
    values.iter().map(|value| (value / scale).clamp(0.0, 1.0)).collect()
}

/// Values from 0 for the least to 1 for the largest; all 0 where they are equal.
fn from_least_to_most(values: &[f32]) -> Vec<f32> {
    let [least, most] = [f32::min, f32::max].map(|pick| values.iter().copied().reduce(pick).unwrap_or(0.0));
    let range = (most - least).max(f32::MIN_POSITIVE);
    values.iter().map(|value| ((value - least) / range).clamp(0.0, 1.0)).collect()
}

fn color(gradient: Gradient, value: f32) -> [u8; 3] {
    // not a number: the end of the scale, where it is seen
    gradient.eval_continuous(if value.is_nan() { 1.0 } else { value.into() }).as_array()
}

fn coloured(values: &[f32], (height, width): (u32, u32), gradient: Gradient) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb(color(gradient, values.get((y * width + x) as usize).copied().unwrap_or(0.0)))
    })
}

/// A picture whose longer side is `side`: with hard-edged pixels where it grows, so that small maps show as what they are.
fn fit(picture: &RgbImage, side: u32) -> RgbImage {
    let longer = picture.width().max(picture.height()).max(1);
    let [width, height] = [picture.width(), picture.height()].map(|length| (length * side / longer).max(1));
    let filter = if longer < side { FilterType::Nearest } else { FilterType::Triangle };
    imageops::resize(picture, width, height, filter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::Shape;

    fn found() -> Inspection {
        let maps = FeatureMaps {
            layers: vec!["conv2d".into(), "relu".into()],
            shape: Shape::new(&[2, 2, 3]),
            values: vec![0.0, 1.0, 0.0, 0.0, 2.0, 0.0, 0.0, 3.0, 5.0, 0.0, 4.0, 0.0],
        };
        let logits = FeatureMaps { layers: vec!["dense".into()], shape: Shape::new(&[2]), values: vec![1.0, -1.0] };
        let mut gradient = vec![0.0; 2 * 2 * 3];
        gradient[3] = -7.0;
        Inspection {
            size: (2, 2),
            pixels: vec![200; 12],
            blocks: vec![maps, logits],
            scores: vec![0.88, 0.12],
            class: 0,
            gradient,
        }
    }

    #[test]
    fn the_salient_pixel_is_bright_and_the_strongest_channel_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let found = found();
        assert_eq!(found.saliency(), [0.0, 7.0, 0.0, 0.0]);
        assert_eq!(found.blocks[0].strongest(), [1, 2, 0]);
        inspection(&found, &["a".into(), "b".into()], 2, &path).unwrap();
        let picture = image::open(&path).unwrap().to_rgb8();
        let heights = [TITLE + LARGE, TITLE + LABEL + SMALL, TITLE + STRIP];
        let height = MARGIN + heights.iter().map(|height| height + MARGIN).sum::<u32>();
        assert_eq!(picture.dimensions(), (WIDTH + 2 * MARGIN, height));
        let map = (MARGIN + LARGE + MARGIN, MARGIN + TITLE);
        assert_eq!(picture.get_pixel(map.0 + LARGE - 1, map.1).0, color(INFERNO, 1.0));
        assert_eq!(picture.get_pixel(map.0, map.1).0, color(INFERNO, 0.0));
        let maps = MARGIN + heights[0] + MARGIN + TITLE + LABEL;
        assert_eq!(picture.get_pixel(MARGIN + SMALL - 1, maps + SMALL - 1).0, color(VIRIDIS, 1.0), "channel 1");
        assert_eq!(picture.get_pixel(MARGIN + SMALL + GAP, maps + SMALL - 1).0, color(VIRIDIS, 1.0), "channel 2");
        assert_eq!(picture.get_pixel(MARGIN + 2 * (SMALL + GAP), maps).0, [255; 3], "two of three are drawn");
        assert!(inspection(&found, &[], 2, &path).is_err());
    }

    #[test]
    fn equal_values_and_no_gradient_are_dark_and_nothing_fails() {
        assert_eq!(from_least_to_most(&[3.0; 4]), [0.0; 4]);
        assert_eq!(scaled_to_one(&[0.0; 4]), [0.0; 4]);
        assert!(scaled_to_one(&[]).is_empty());
        assert_eq!(color(VIRIDIS, f32::NAN), color(VIRIDIS, 1.0));
    }
}
