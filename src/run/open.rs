//! What a recipe names, opened: data, split, network and device.

use super::{Device, Note, Recipe};
use crate::data::{ChosenBy, Dataset, Split};
use crate::error::{Error, Result};
use crate::kernels::Precision;
use crate::model::{Model, Network};
use crate::train::{Assessment, Measured, Scored, Session, Setup, Weights, assess_each};

/// A data set with its split and a network for it, on a device.
pub struct Opened {
    /// The data set.
    pub dataset: Dataset,
    /// Its split.
    pub split: Split,
    /// The layers.
    pub model: Model,
    /// The network: those layers for this data.
    pub network: Network,
    /// The device.
    pub device: Device,
    /// How a training computes there.
    pub setup: Setup,
}

impl Opened {
    /// Opens what the recipe names, with this network instead of the recipe's where one is given. `check` may refuse the data before the
    /// device is opened. `trained` is the precision of trained weights, which `auto` then follows.
    ///
    /// # Errors
    /// Settings that are not allowed; data, a split, a network or a device that cannot be used.
    pub fn new(
        recipe: &Recipe,
        model: Option<Model>,
        trained: Option<Precision>,
        check: impl FnOnce(&Dataset, &Split, &Network) -> Result<()>,
        note: Note,
    ) -> Result<Self> {
        recipe.validate()?;
        let shaders = recipe.load_shaders(note)?;
        let model = model.map_or_else(|| Model::load(&recipe.model), Ok)?;
        let (dataset, split) = recipe.split_dataset(note)?;
        let network = model.build(dataset.height, dataset.width, dataset.classes.len())?;
        check(&dataset, &split, &network)?;
        let device = Device::open(recipe, shaders, trained, note)?;
        let class_weights = recipe.class_weights.weights(&dataset, &split)?;
        let setup = Setup { class_weights, ..device.training(recipe)? };
        Ok(Self { dataset, split, model, network, device, setup })
    }

    /// A session for a training.
    ///
    /// # Errors
    /// As [`Session::new`].
    pub fn session(&self) -> Result<Session<'_>> {
        self.device.session(&self.network, &self.dataset, &self.setup)
    }

    /// A session for a training, or to measure with where there is no memory for training a step.
    ///
    /// # Errors
    /// As [`Session::new`].
    pub fn session_or_inference(&self) -> Result<Session<'_>> {
        match self.session() {
            Err(Error::Memory { .. }) => {
                let setup = Setup { training: false, ..self.setup.clone() };
                self.device.session(&self.network, &self.dataset, &setup)
            }
            opened => opened,
        }
    }

    /// Measures the test set with these weights, and what the network says of each image.
    ///
    /// # Errors
    /// As [`assess_each`].
    pub fn assess(&self, session: &mut Session, weights: &Weights, per_submit: usize) -> Result<(Assessment, Scored)> {
        let Split { test: images, validation, .. } = &self.split;
        let have_chosen = self.split.chosen_by() == ChosenBy::Test;
        assess_each(session, weights, Measured { name: "test", images, validation, have_chosen }, per_submit)
    }
}
