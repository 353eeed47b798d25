//! Which training a run is: what the card of its weights says, and what a resumed run is compared with.

use super::{Note, Opened, Recipe};
use crate::error::Result;
use crate::train::checkpoint::data_hash;
use crate::train::{Card, Identity, PREPROCESSING};

impl Opened {
    /// The identity of a run that begins.
    pub(super) fn identity(&self, recipe: &Recipe) -> Identity {
        let Self { dataset, split, device, .. } = self;
        let card = Card {
            model: self.model.clone(),
            classes: dataset.classes.clone(),
            height: dataset.height,
            width: dataset.width,
            preprocessing: PREPROCESSING.to_owned(),
            data: dataset.name.clone(),
            seed: recipe.seed,
            split_hash: split.hash.clone(),
            validation: recipe.validation,
            chosen_by: split.chosen_by(),
            precision: device.precision,
            shaders: device.shaders_hash(),
            epochs: 0,
            step: 0,
            val_accuracy: None,
        };
        Identity {
            program: env!("CARGO_PKG_VERSION").into(),
            device: device.identity(),
            card,
            images: dataset.len(),
            data_hash: data_hash(dataset),
            options: recipe.to_json(),
        }
    }
}

/// The recipe that a run has stored.
///
/// # Errors
/// As [`Recipe::from_json`].
pub fn recipe_of(identity: &Identity) -> Result<Recipe> {
    Recipe::from_json(&identity.options, &identity.program)
}

/// The identity of a resumed run: its own, with the settings that are followed now. Notes say what its last bits depend on and has changed.
pub(super) fn resumed(own: Identity, now: Identity, before: &Recipe, recipe: &Recipe, note: Note) -> Identity {
    let micro = [before, recipe].map(|recipe| String::from(recipe.micro_batch));
    for (what, before, after) in [
        ("device", &own.device, &now.device),
        ("version of this program", &own.program, &now.program),
        ("--micro-batch", &micro[0], &micro[1]),
    ] {
        if before != after {
            note(format!(
                "the run began with another {what} ({before}, now {after}): results agree within rounding, not to the bit"
            ));
        }
    }
    Identity { options: now.options, ..own }
}
