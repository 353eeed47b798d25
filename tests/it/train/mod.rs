//! Training, evaluation and prediction as a user meets them: what they print, what they leave in a run folder, and
//! how they refuse.

mod compare;
mod config;
#[cfg(target_os = "linux")]
mod disk;
mod evaluate;
mod faults;
#[cfg(unix)]
mod interrupt;
mod learning;
mod micro;
mod optimizer;
mod progress;
mod rates;
mod refusals;
mod repeat;
mod reports;
mod resume;
mod runs;
mod science;
mod streams;

pub(crate) use crate::common::desk::Desk;
use galaxy_gpu::data::{Dataset, Pixels};
use serde_json::Value;
use std::path::Path;

/// Training of the network in `tiny.toml` on a few simulated galaxies: 30 to train with, 10 to test, of 10 classes.
pub(crate) const SMALL: &str = "train --images 40 --size 16 --batch 10 --model tiny.toml";

/// The classes of [`sides`].
pub(crate) const CLASSES: [&str; 2] = ["edge", "round"];

impl Desk {
    /// Makes `data/edge` and `data/round` with the pictures of [`sides`].
    pub fn pictures(&self, count: usize) {
        let dataset = sides(count);
        for (index, &label) in dataset.labels.iter().enumerate() {
            let folder = self.path("data").join(CLASSES[label as usize]);
            std::fs::create_dir_all(&folder).unwrap();
            let picture = image::RgbImage::from_raw(16, 16, dataset.image(index).to_vec()).unwrap();
            picture.save(folder.join(format!("{index:03}.png"))).unwrap();
        }
    }
}

/// Images of 16x16 noisy pixels, bright on the left (class 0) or on the right (class 1) in turn: easy to tell apart.
pub(crate) fn sides(count: usize) -> Dataset {
    let mut noise = vec![0; count * 16 * 16 * 3];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    let bright = |place: usize| usize::from(place / 3 % 16 >= 8) == place / (16 * 16 * 3) % 2;
    let pixel = |(place, noise): (usize, &u8)| noise / 4 + if bright(place) { 160 } else { 20 };
    Dataset {
        name: "sides".into(),
        height: 16,
        width: 16,
        pixels: Pixels::Owned(noise.iter().enumerate().map(pixel).collect()),
        labels: (0..count as u32).map(|index| index % 2).collect(),
        classes: CLASSES.map(String::from).to_vec(),
        sky: None,
        given: None,
        notes: Vec::new(),
    }
}

/// A PNG that can be decoded and is not blank.
pub(crate) fn drawing(path: &Path) -> image::RgbImage {
    assert_eq!(image::ImageReader::open(path).unwrap().format(), Some(image::ImageFormat::Png));
    let picture = image::open(path).unwrap().to_rgb8();
    assert!(picture.pixels().any(|pixel| pixel != picture.get_pixel(0, 0)), "{} is blank", path.display());
    picture
}

/// Two numbers differ by at most `tolerance`.
pub(crate) fn assert_close(a: &Value, b: &Value, tolerance: f64) {
    let (left, right) = (a.as_f64().unwrap(), b.as_f64().unwrap());
    assert!((left - right).abs() <= tolerance, "{left} and {right} are further apart than {tolerance}");
}
