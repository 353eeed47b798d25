//! Images of the same galaxy with different labels. No classifier can be right about all of them, and training on them
//! teaches a contradiction.
//!
//! Two images show the same galaxy if their pixels are identical or their centres are within [`DUPLICATE_ARCSEC`].

use std::collections::HashMap;

use blake3::Hash;
use rayon::prelude::*;
use serde::Serialize;

use super::{Dataset, sky};

/// Images at most this many arcseconds apart show the same galaxy.
pub const DUPLICATE_ARCSEC: f64 = 1.0;

/// Images of one galaxy with more than one label.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Conflict {
    /// Their indices, ascending.
    pub images: Vec<usize>,
    /// The label of each.
    pub labels: Vec<u32>,
    /// Why they are taken for the same galaxy.
    pub same: Same,
}

/// Why images are taken for the same galaxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Same {
    /// Every pixel of them is identical.
    Pixels,
    /// Their positions on the sky are within [`DUPLICATE_ARCSEC`], or joined by a chain of such steps.
    Position,
}

/// Every galaxy with more than one label, in the order of its first image. Fast, since whole images are only compared where a
/// row of them is the same.
pub fn conflicts(dataset: &Dataset) -> Vec<Conflict> {
    let twins = identical(dataset);
    let mut parent = match &dataset.sky {
        Some(positions) => sky::patches(positions, DUPLICATE_ARCSEC),
        None => (0..dataset.len()).collect(),
    };
    for (index, &twin) in twins.iter().enumerate() {
        sky::join(&mut parent, index, twin);
    }
    let mut galaxies: HashMap<usize, Vec<usize>> = HashMap::new();
    for index in 0..dataset.len() {
        galaxies.entry(sky::root(&mut parent, index)).or_default().push(index);
    }
    let found = galaxies.into_values().filter_map(|images| {
        let labels: Vec<u32> = images.iter().map(|&index| dataset.labels[index]).collect();
        let same =
            if images.iter().all(|&index| twins[index] == twins[images[0]]) { Same::Pixels } else { Same::Position };
        labels.iter().any(|label| *label != labels[0]).then_some(Conflict { images, labels, same })
    });
    let mut found: Vec<Conflict> = found.collect();
    found.sort_unstable_by_key(|conflict| conflict.images[0]);
    found
}

/// For each image the first one with the same pixels, perhaps itself.
pub(super) fn identical(dataset: &Dataset) -> Vec<usize> {
    let row = dataset.width * 3;
    let middle = dataset.height / 2 * row;
    let hash_of = |index| blake3::hash(&dataset.image(index)[middle..middle + row]);
    let rows: Vec<Hash> = (0..dataset.len()).into_par_iter().map(hash_of).collect();
    let mut counts: HashMap<Hash, usize> = HashMap::new();
    rows.iter().for_each(|&row| *counts.entry(row).or_default() += 1);
    let whole = |index: usize| (counts[&rows[index]] > 1).then(|| blake3::hash(dataset.image(index)));
    let whole: Vec<Option<Hash>> = (0..dataset.len()).into_par_iter().map(whole).collect();
    let mut first: HashMap<Hash, usize> = HashMap::new();
    let of = |(index, hash): (usize, Option<Hash>)| hash.map_or(index, |hash| *first.entry(hash).or_insert(index));
    whole.into_iter().enumerate().map(of).collect()
}
