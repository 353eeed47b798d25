//! What is in a data set: sizes, classes, brightness, and images of the same piece of sky.
//!
//! It counts; it judges and prints nothing.

use rayon::prelude::*;
use serde::Serialize;

use super::conflicts::{Conflict, DUPLICATE_ARCSEC, conflicts};
use super::draw::PATCH_ARCSEC;
use super::{Dataset, Sky, sky};

/// Most contradicting pairs that are listed.
pub const MOST_PAIRS: usize = 100;
/// Most images that brightness is taken from; of larger data sets an even sample.
const MOST_SAMPLED: usize = 4096;

/// What [`inspect`] found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inspection {
    /// Where the data set came from.
    pub name: String,
    /// Number of images.
    pub count: usize,
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
    /// Bytes of all pixels.
    pub bytes: usize,
    /// The classes, in the order of the labels.
    pub classes: Vec<ClassCount>,
    /// Images of the same piece of sky, where positions are known.
    pub sky: Option<Overlaps>,
    /// Every galaxy with more than one label: images of the same pixels or the same position.
    pub conflicts: Vec<Conflict>,
    /// Mean of red, green and blue, 0 to 1.
    pub channel_mean: [f64; 3],
    /// Standard deviation of red, green and blue over all pixels, 0 to 1.
    pub channel_std: [f64; 3],
    /// Number of images that mean and deviation are taken from.
    pub sampled: usize,
}

/// One class of a data set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassCount {
    /// Its name.
    pub name: String,
    /// Number of its images.
    pub count: usize,
    /// Its fraction of all images, 0 to 1.
    #[serde(rename = "share")]
    pub fraction: f64,
}

/// Images of the same piece of sky.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Overlaps {
    /// Images whose position is known; the other figures are about them.
    pub positions: usize,
    /// Pairs within [`DUPLICATE_ARCSEC`]: the same galaxy twice.
    pub duplicate_pairs: usize,
    /// Whether these are all pairs: after [`sky::MOST_PAIRS`] no more are counted.
    pub all_pairs: bool,
    /// Those of them with two different labels.
    pub conflicting_pairs: usize,
    /// The first [`MOST_PAIRS`] of the conflicting pairs, by their indices.
    pub conflicts: Vec<Pair>,
    /// Images with another one within [`PATCH_ARCSEC`].
    pub overlapping_images: usize,
}

/// Two images of the same galaxy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pair {
    /// Index of one image.
    pub a: usize,
    /// Index of the other one, above `a`.
    pub b: usize,
    /// Their distance on the great circle, in arcseconds.
    pub separation_arcsec: f64,
    /// Label of `a`.
    pub label_a: u32,
    /// Label of `b`.
    pub label_b: u32,
}

/// Counts classes, duplicates and brightness. A few seconds for some gigabytes.
pub fn inspect(dataset: &Dataset) -> Inspection {
    let count = dataset.len();
    let counted = |(name, count_of_class): (&String, usize)| ClassCount {
        name: name.clone(),
        count: count_of_class,
        fraction: count_of_class as f64 / count as f64,
    };
    let (channel_mean, channel_std, sampled) = brightness(dataset);
    Inspection {
        name: dataset.name.clone(),
        count,
        height: dataset.height,
        width: dataset.width,
        bytes: dataset.pixels.len(),
        classes: dataset.classes.iter().zip(dataset.class_counts()).map(counted).collect(),
        sky: dataset.sky.as_ref().map(|positions| overlaps(positions, &dataset.labels)),
        conflicts: conflicts(dataset),
        channel_mean,
        channel_std,
        sampled,
    }
}

/// Finds images of the same piece of sky; `labels` belong to `positions`.
pub fn overlaps(positions: &[Sky], labels: &[u32]) -> Overlaps {
    let patches = sky::patches(positions, PATCH_ARCSEC);
    let mut members = vec![0; positions.len()];
    patches.iter().for_each(|&patch| members[patch] += 1);
    let overlapping_images = patches.iter().filter(|&&patch| members[patch] > 1).count();
    let (mut duplicate_pairs, mut conflicting_pairs) = (0, 0);
    let mut conflicts = Vec::new();
    let all_pairs = sky::for_each_pair(positions, DUPLICATE_ARCSEC, |a, b, separation_arcsec| {
        duplicate_pairs += 1;
        let (label_a, label_b) = (labels[a], labels[b]);
        if label_a != label_b {
            conflicting_pairs += 1;
            conflicts.push(Pair { a, b, separation_arcsec, label_a, label_b });
            // Positions that are all the same make millions of pairs: keep the first ones only.
            if conflicts.len() >= 64 * MOST_PAIRS {
                keep_first(&mut conflicts);
            }
        }
    });
    keep_first(&mut conflicts);
    let positions = positions.iter().filter(|position| position.is_known()).count();
    Overlaps { positions, duplicate_pairs, all_pairs, conflicting_pairs, conflicts, overlapping_images }
}

fn keep_first(conflicts: &mut Vec<Pair>) {
    conflicts.sort_unstable_by_key(|pair| (pair.a, pair.b));
    conflicts.truncate(MOST_PAIRS);
}

/// Mean and deviation of each channel, 0 to 1, and the number of images they are taken from. Sums are whole numbers, so
/// that they do not depend on the number of threads.
fn brightness(dataset: &Dataset) -> ([f64; 3], [f64; 3], usize) {
    let step = dataset.len().div_ceil(MOST_SAMPLED).max(1);
    let sample: Vec<usize> = (0..dataset.len()).step_by(step).collect();
    let add = |mut left: [u64; 6], right: [u64; 6]| {
        left.iter_mut().zip(right).for_each(|(left, right)| *left += right);
        left
    };
    let sums = sample.par_iter().map(|&index| channel_sums(dataset.image(index))).reduce(|| [0; 6], add);
    let pixels = (sample.len() * dataset.height * dataset.width) as f64;
    let mean = std::array::from_fn(|channel| sums[channel] as f64 / pixels / 255.0);
    let deviation = std::array::from_fn(|channel| {
        let square = sums[channel + 3] as f64 / pixels / (255.0 * 255.0);
        (square - mean[channel] * mean[channel]).max(0.0).sqrt()
    });
    (mean, deviation, sample.len())
}

/// Sums of red, green and blue, then of their squares.
fn channel_sums(image: &[u8]) -> [u64; 6] {
    let mut sums = [0; 6];
    for pixel in image.as_chunks::<3>().0 {
        for (channel, &value) in pixel.iter().enumerate() {
            sums[channel] += u64::from(value);
            sums[channel + 3] += u64::from(value) * u64::from(value);
        }
    }
    sums
}
