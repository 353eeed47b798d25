//! The pictures of a run folder beside its curves. Each is drawn on its own: one that fails is a note, and the others are there.

use super::EndedRun;
use crate::data::{Dataset, epoch_order};
use crate::error::{Error, Result};
use crate::graph::Augment;
use crate::report::chosen::Mistake;
use crate::report::html::Shown;
use crate::report::{Report, Tile, confusion_matrix, grid, reliability, sentence};
use crate::run::Note;
use crate::train::augmentations;
use rayon::prelude::*;
use std::path::Path;

/// Samples of training images, and those of them that are augmented.
const SAMPLES: usize = 16;
const AUGMENTED: usize = 4;
/// What is shown of an augmented image beside itself.
const COPIES: usize = 4;

/// Draws the charts in each of these formats, and what is made of pixels as PNG.
pub fn draw(report: &Report, folder: &Path, formats: &[&str], note: Note) {
    type Drawn<'r> = (&'r str, &'r (dyn Fn(&Path) -> Result<()> + Sync));
    let confusion = |path: &Path| confusion_matrix(report.classes, &report.assessment.evaluation.confusion, path);
    let mistaken = |path: &Path| mistakes(report, path);
    let samples = |path: &Path| tiles(&report.samples.iter().collect::<Vec<_>>(), report.size, 4, path);
    let augmented = |path: &Path| {
        let shown: Vec<&Shown> = report.augmented.iter().flatten().collect();
        tiles(&shown, report.size, COPIES + 1, path)
    };
    let calibrated = |path: &Path| match (report.bins(), &report.assessment.calibration) {
        (Some([before, after]), Some(found)) => reliability(&before, &after, found, path),
        _ => sentence("No image has finite scores: there is no confidence to be calibrated.", path),
    };
    let charts: [Drawn; 2] = [("confusion_matrix", &confusion), ("reliability", &calibrated)];
    let galaxies: [Drawn; 3] = [("mistakes", &mistaken), ("samples", &samples), ("augmented", &augmented)];
    let mut pictures: Vec<(Drawn, &str)> = galaxies.map(|picture| (picture, "png")).to_vec();
    pictures.extend(formats.iter().flat_map(|&format| charts.map(|chart| (chart, format))));
    let failed = pictures.par_iter().filter_map(|((name, picture), format)| {
        let name = format!("{name}.{format}");
        let error = picture(&folder.join(&name)).err()?;
        Some(format!("{name} is not drawn: {error}"))
    });
    failed.collect::<Vec<String>>().into_iter().for_each(note);
}

/// Pictures side by side; that there are none, where there are none.
fn tiles<'s>(shown: &[&'s Shown], (height, width): (usize, usize), columns: usize, path: &Path) -> Result<()> {
    if shown.is_empty() {
        return sentence("The network sees the images as they are: this run does not augment them.", path);
    }
    let tile = |shown: &'s Shown| Tile { pixels: &shown.pixels, height, width, title: shown.caption.clone() };
    grid(&shown.iter().copied().map(tile).collect::<Vec<Tile>>(), columns, path)
}

fn mistakes(report: &Report, path: &Path) -> Result<()> {
    if report.mistakes.is_empty() {
        return sentence(&format!("None of {} images is mistaken.", report.assessment.count), path);
    }
    let (height, width) = report.size;
    let tile = |Mistake { image, label, predicted, confidence }: &Mistake| {
        let title = format!("{label}\ntaken for {predicted}\n{confidence}, image {image}");
        Tile { pixels: (report.image)(*image), height, width, title }
    };
    grid(&report.mistakes.iter().map(tile).collect::<Vec<Tile>>(), 6, path)
}

/// Training images in the order of an epoch: the first of every class, then the second of every class and so on.
pub fn samples(dataset: &Dataset, train: &[u32], seed: u64) -> Vec<u32> {
    let mut seen = vec![0; dataset.classes.len()];
    let ranked = epoch_order(train, seed, 0).into_iter().map(|image| {
        let class = dataset.labels[image as usize] as usize;
        seen[class] += 1;
        (seen[class], class, image)
    });
    let mut ranked: Vec<(usize, usize, u32)> = ranked.collect();
    ranked.sort_by_key(|&(rank, class, _)| (rank, class));
    ranked.into_iter().map(|(.., image)| image).take(SAMPLES).collect()
}

/// Images with the names of their classes.
pub fn with_names(dataset: &Dataset, images: &[u32]) -> Vec<Shown> {
    let shown = |&image: &u32| Shown {
        pixels: dataset.image(image as usize).to_vec(),
        caption: dataset.classes[dataset.labels[image as usize] as usize].clone(),
    };
    images.iter().map(shown).collect()
}

/// Rows of an image and what augmentation makes of it; none, and perhaps a note, where there are none.
pub fn augmented(
    dataset: &Dataset,
    images: &[u32],
    augment: Option<Augment>,
    seed: u64,
    note: Note,
) -> Vec<Vec<Shown>> {
    let Some(augment) = augment else { return Vec::new() };
    let row = |(number, &image): (usize, &u32)| -> Result<Vec<Shown>, Error> {
        let (pixels, size) = (dataset.image(image as usize), (dataset.height, dataset.width));
        let copies = augmentations(pixels, size, COPIES, (augment, seed.wrapping_add(number as u64)))?;
        let copy = |pixels: &[u8]| Shown { pixels: pixels.to_vec(), caption: String::new() };
        let own = with_names(dataset, &[image]);
        Ok(own.into_iter().chain(copies.chunks(dataset.image_bytes().max(1)).map(copy)).collect())
    };
    let rows: Result<Vec<Vec<Shown>>, Error> = images.iter().take(AUGMENTED).enumerate().map(row).collect();
    rows.unwrap_or_else(|error| {
        note(format!("augmented images are not drawn: {error}"));
        Vec::new()
    })
}

impl EndedRun<'_> {
    /// Seconds of a training step of so many images, by the last epoch; `None` without one.
    pub fn seconds_a_step(&self, batch: usize) -> Option<f64> {
        let measured = self.split.train.len() + self.split.choosing().len();
        let last = self.history.epochs.last()?;
        Some(f64::from(last.seconds) * batch as f64 / measured.max(1) as f64)
    }
}
