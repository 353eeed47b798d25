//! A split in numbers and words.

use crate::data::{ChosenBy, Split};
use serde::Serialize;

/// A split in numbers.
#[derive(Clone, Debug, Serialize)]
pub struct SplitSizes {
    source: String,
    hash: String,
    train: usize,
    validation: usize,
    test: usize,
    /// Which of them chooses the best epoch.
    pub chosen_by: ChosenBy,
    /// Patches of sky that were kept together, and images that changed sets for it.
    patches: usize,
    moved: usize,
}

impl SplitSizes {
    /// Of a split.
    pub fn of(split: &Split) -> Self {
        Self {
            source: split.source.clone(),
            hash: split.hash.clone(),
            train: split.train.len(),
            validation: split.validation.len(),
            test: split.test.len(),
            chosen_by: split.chosen_by(),
            patches: split.patches,
            moved: split.moved,
        }
    }
}

/// A split in a line: how many images are where, and what the sky moved.
pub fn split_in_words(split: &Split) -> String {
    let [train, validation, test] = [&split.train, &split.validation, &split.test].map(Vec::len);
    let validation = if validation > 0 { format!(", {validation} to validate") } else { String::new() };
    let sky = match (split.patches, split.moved) {
        (0, _) => String::new(),
        (patches, moved) => {
            format!(
                "; {patches} groups of one patch of sky or of equal pixels are kept together, {moved} images moved for that"
            )
        }
    };
    let cut = match split.cut {
        0 => String::new(),
        cut => format!("; crowded patches of sky that were cut, so that neighbours may be in different sets: {cut}"),
    };
    let unmet: String = split.unmet.iter().map(|unmet| format!("; {unmet}")).collect();
    format!("{}: {train} to train{validation}, {test} to test{sky}{cut}{unmet}", split.source)
}

/// The set that chooses the best epoch.
pub fn choosing_set(chosen_by: ChosenBy) -> &'static str {
    if chosen_by == ChosenBy::Test { "test" } else { "validation" }
}
