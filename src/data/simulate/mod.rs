//! Simulated galaxies: labelled pictures drawn from the physics of light, dust and optics.
//!
//! A recipe per class (`classes`) places Sersic bulges, exponential discs, logarithmic arms, bars, tidal tails and dust
//! (`scene`, `profile`, `spiral`) in the bands g, r and z (`light`); stars and small galaxies are strewn over the
//! field (`stars`); seeing and photon noise follow (`optics`), and the Legacy Survey viewer's mapping makes the
//! picture (`colour`). It stands in for Galaxy10 DECaLS where that file is absent: same classes, same look, no download.
//! It reads no files and knows nothing of networks. The same settings give the same bytes on any number of threads.

mod classes;
mod colour;
mod draw;
mod light;
mod optics;
mod profile;
mod scene;
mod sky;
mod spiral;
mod stars;

use super::{Dataset, GALAXY10_CLASSES, Pixels};
use crate::{Error, Result};
use draw::Draw;
use optics::Night;
use rayon::prelude::*;

/// Pixels along one side of a Legacy Survey picture of 67 arcseconds, to which brightness and stars refer.
const FIELD_PIXELS: f32 = 256.0;
/// Most images of one data set.
const MOST_IMAGES: usize = 1_000_000;
/// Most bytes of one data set: 16 GiB, all in memory.
const MOST_BYTES: usize = 16 << 30;

/// What to draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Number of images, 1 to 1 000 000.
    pub images: usize,
    /// Pixels per side of an image, 16 to 1024.
    pub size: usize,
    /// Same seed, same images. Image `i` depends on `seed`, `size` and `i` only, so a larger set begins with the smaller.
    pub seed: u64,
}

impl Settings {
    /// Bytes of all images, or why they cannot be drawn.
    fn bytes(&self) -> Result<usize> {
        if !(1..=MOST_IMAGES).contains(&self.images) {
            return Err(Error::setting("images", self.images, format!("between 1 and {MOST_IMAGES}")));
        }
        if !(16..=1024).contains(&self.size) {
            return Err(Error::setting("size", self.size, "between 16 and 1024 pixels per side"));
        }
        let image = self.size * self.size * 3;
        let most = MOST_BYTES / image;
        if self.images > most {
            let allowed =
                format!("at most {most} at {0} x {0} pixels (16 GiB); take fewer or smaller images", self.size);
            return Err(Error::setting("images", self.images, allowed));
        }
        Ok(self.images * image)
    }
}

/// Draws a data set of ten classes in the order of [`GALAXY10_CLASSES`]; the label of image `i` is `i % 10`.
///
/// Images are `images x size x size x 3` bytes, channels last, and carry positions on the sky that are all more than 20
/// arcseconds apart. All cores of the current rayon pool work.
///
/// # Errors
/// [`Error::Setting`] if `images` or `size` is out of range or the images would not fit into memory.
pub fn simulate(settings: &Settings) -> Result<Dataset> {
    let bytes = settings.bytes()?;
    let mut pixels = Vec::new();
    pixels.try_reserve_exact(bytes).map_err(|_| {
        Error::setting(
            "images",
            settings.images,
            "few enough for the memory of this machine; take fewer or smaller images",
        )
    })?;
    pixels.resize(bytes, 0);
    let image_bytes = bytes / settings.images;
    pixels.par_chunks_exact_mut(image_bytes).enumerate().for_each(|(index, image)| {
        image.copy_from_slice(&picture(settings, index));
    });
    let labels = (0..settings.images).map(|index| label(index) as u32).collect();
    Ok(Dataset {
        name: format!("simulated galaxies (seed {})", settings.seed),
        height: settings.size,
        width: settings.size,
        pixels: Pixels::Owned(pixels),
        labels,
        classes: GALAXY10_CLASSES.map(String::from).to_vec(),
        given: None,
        notes: Vec::new(),
        sky: Some(sky::positions(settings.images, settings.seed)),
    })
}

/// Class of an image.
fn label(index: usize) -> usize {
    index % GALAXY10_CLASSES.len()
}

/// RGB bytes of image `index`.
fn picture(settings: &Settings, index: usize) -> Vec<u8> {
    let draw = &mut Draw::new(settings.seed, index as u64);
    let mut scene = classes::galaxy(label(index), draw);
    stars::strew(draw, &mut scene);
    // Between 1.0 and 1.7 arcseconds full width at half maximum of a field of 67, as at Cerro Tololo and Kitt Peak.
    let night = Night { seeing: draw.range(0.0127, 0.0216), noise: draw.range(0.7, 1.5) };
    // Below 128 pixels the seeing is narrower than a pixel and thin discs would alias.
    let oversampling = if settings.size < 128 { 2 } else { 1 };
    let light = scene.render(settings.size * oversampling, FIELD_PIXELS);
    let seen = optics::observe(&light, oversampling, &night, draw);
    seen.samples
        .chunks_exact(3)
        .flat_map(|bands| colour::legacy_survey_rgb(light::Bands([bands[0], bands[1], bands[2]])))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(images: usize, size: usize, seed: u64) -> Settings {
        Settings { images, size, seed }
    }

    #[test]
    fn same_settings_same_bytes_on_any_number_of_threads() {
        let here = simulate(&settings(23, 32, 5)).unwrap();
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let there = pool.install(|| simulate(&settings(23, 32, 5))).unwrap();
            assert!(here.pixels[..] == there.pixels[..], "{threads} threads give other images");
            assert_eq!(here.labels, there.labels);
            assert_eq!(here.sky, there.sky);
        }
        let other = simulate(&settings(23, 32, 6)).unwrap();
        assert!(here.pixels[..] != other.pixels[..]);
    }

    #[test]
    fn a_larger_set_begins_with_the_smaller() {
        let (few, many) = (simulate(&settings(5, 17, 1)).unwrap(), simulate(&settings(12, 17, 1)).unwrap());
        assert!(few.pixels[..] == many.pixels[..few.pixels.len()]);
    }

    #[test]
    fn shapes_labels_and_names_agree() {
        let set = simulate(&settings(45, 19, 2)).unwrap();
        assert_eq!((set.height, set.width, set.len()), (19, 19, 45));
        assert_eq!(set.pixels.len(), 45 * set.image_bytes());
        assert_eq!(set.classes, GALAXY10_CLASSES);
        let count = |class| set.labels.iter().filter(|label| **label == class).count();
        assert!((0..10).all(|class| (4..=5).contains(&count(class))));
    }

    #[test]
    fn every_image_shows_a_galaxy_in_its_middle() {
        for size in [16, 64, 130] {
            let set = simulate(&settings(60, size, 3)).unwrap();
            for index in 0..set.len() {
                let green = |row: usize, column: usize| f32::from(set.image(index)[(row * size + column) * 3 + 1]);
                let block = |from: usize, to: usize| {
                    let cells = (from..to).flat_map(|row| (from..to).map(move |column| (row, column)));
                    cells.map(|(row, column)| green(row, column)).sum::<f32>() / ((to - from) * (to - from)) as f32
                };
                let middle = block(size * 3 / 8, size * 5 / 8);
                assert!(middle > 1.2 * 33.0, "image {index} of {size} pixels: middle {middle}");
                let image = set.image(index);
                assert!(image.iter().any(|byte| *byte != image[0]), "image {index} is constant");
            }
        }
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let message = |images, size| simulate(&settings(images, size, 0)).err().unwrap().to_string();
        assert!(message(0, 64).starts_with("images is 0, but must be between 1 and"));
        assert!(message(MOST_IMAGES + 1, 64).starts_with("images is 1000001"));
        assert!(message(10, 0).starts_with("size is 0, but must be between 16 and 1024"));
        assert!(message(10, 1025).starts_with("size is 1025"));
        assert!(message(900_000, 1024).contains("at most 5461 at 1024 x 1024"));
        assert!(matches!(simulate(&settings(0, 64, 0)), Err(Error::Setting { .. })));
    }
}
