//! Which training a run is: what its weights' card says, and what a checkpoint is held to.

use super::resume;
use super::train::Args;
use super::voice::print_note;
use crate::data::{Dataset, Split};
use crate::error::Result;
use crate::kernels::Precision;
use crate::model::Model;
use crate::plan::Profile;
use crate::train::checkpoint::data_hash;
use crate::train::{Card, Identity, PREPROCESSING};

/// The card of the weights of a run that begins; precision and shaders are still to be filled in.
pub fn card(args: &Args, model: Model, dataset: &Dataset, split: &Split) -> Card {
    Card {
        model,
        classes: dataset.classes.clone(),
        height: dataset.height,
        width: dataset.width,
        preprocessing: PREPROCESSING.to_owned(),
        data: dataset.name.clone(),
        seed: args.seed,
        split_hash: split.hash.clone(),
        validation: args.validation,
        chosen_by: split.chosen_by(),
        precision: Precision::F32,
        shaders: None,
        epochs: 0,
        step: 0,
        val_accuracy: None,
    }
}

/// The identity of a run that begins.
///
/// # Errors
/// None that is known.
pub fn identity(args: &Args, profile: &Profile, dataset: &Dataset, card: Card) -> Result<Identity> {
    // shaders of a user's compute as another device would
    let shaders = card.shaders.as_ref().map_or(String::new(), |hash| format!(", with shaders {hash}"));
    Ok(Identity {
        program: env!("CARGO_PKG_VERSION").into(),
        device: format!("{}, {}, {}{shaders}", profile.name, profile.backend, profile.driver),
        card,
        images: dataset.len(),
        data_hash: data_hash(dataset),
        options: resume::stored(args)?,
    })
}

/// The identity of a run that goes on: its own, with the settings of this moment. Says what its last bits depend on and is
/// another now.
pub fn same_run(own: Identity, now: Identity) -> Identity {
    // runs of earlier versions had none
    let micro = |identity: &Identity| identity.options["micro_batch"].as_str().unwrap_or("off").to_owned();
    for (what, before, after) in [
        ("device", &own.device, &now.device),
        ("version of this program", &own.program, &now.program),
        ("--micro-batch", &micro(&own), &micro(&now)),
    ] {
        if before != after {
            print_note(format!(
                "the run began with another {what} ({before}, now {after}): results agree within rounding, not to the bit"
            ));
        }
    }
    Identity { options: now.options, ..own }
}
