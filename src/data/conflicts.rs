//! Images that show the same galaxy under different labels. No classifier is right about all of them, and as training
//! images they teach a contradiction.
//!
//! Two images show the same galaxy where their pixels are identical, or where their centres are within
//! [`DUPLICATE_ARCSEC`] of each other.

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
    /// How they are known to show the same.
    pub same: Same,
}

/// Why images are taken for the same galaxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Same {
    /// Every pixel of them is identical.
    Pixels,
    /// Their positions on the sky are, within [`DUPLICATE_ARCSEC`] or a chain of such steps.
    Position,
}

/// Every galaxy with more than one label, in the order of its first image. Takes a moment: whole images are only compared
/// where a row of theirs is the same.
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

/// For each image the first one with the same pixels, itself where there is none before it.
fn identical(dataset: &Dataset) -> Vec<usize> {
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
