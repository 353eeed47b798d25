//! Trained weights as a safetensors file: the tensors under Keras's names, and everything needed to use them as metadata.

use crate::data::ChosenBy;
use crate::error::{Error, Result};
use crate::files::{open_bounded, write_whole};
use crate::kernels::Precision;
use crate::model::{Model, Network};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

/// What a classifier is, and where it comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// The network.
    pub model: Model,
    /// Names of the classes, in the order of the logits.
    pub classes: Vec<String>,
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
    /// How pixels are prepared for the network.
    pub preprocessing: String,
    /// Name of the training data.
    pub data: String,
    /// Seed of the run.
    pub seed: u64,
    /// Hash of the split.
    pub split_hash: String,
    /// Fraction of the training set that the seed set aside to choose the best epoch; 0 if none was.
    #[serde(default)]
    pub validation: f64,
    /// Which set chose the best epoch. If it was the test set, accuracy on it is optimistic.
    #[serde(default)]
    pub chosen_by: ChosenBy,
    /// Precision in which activations and multiplied weights were stored.
    #[serde(default)]
    pub precision: Precision,
    /// Hash of the user's shaders that took part in the training; `None` if only the program's own did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shaders: Option<String>,
    /// Whole epochs trained.
    pub epochs: u32,
    /// Optimizer steps trained, with those of an unfinished epoch.
    pub step: u32,
    /// Accuracy of exactly these weights on the set that chooses the best epoch; `None` if it was not measured, as in weights saved
    /// within an epoch, or is not a number.
    pub val_accuracy: Option<f32>,
}

impl Card {
    /// The same card after some whole epochs and `step` optimizer steps in all, with the accuracy after the last step.
    pub fn after(&self, epochs: u32, step: u32, val_accuracy: Option<f32>) -> Self {
        Self { epochs, step, val_accuracy: val_accuracy.filter(|share| share.is_finite()), ..self.clone() }
    }
}

/// Pixels are divided by 255, as the kernels do.
pub const PREPROCESSING: &str = "RGB u8 / 255, NHWC";

/// A network's parameters in the model's order, with its card.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// What they are.
    pub card: Card,
    /// Values of each parameter.
    pub tensors: Vec<Vec<f32>>,
}

/// The only key of the metadata, as safetensors writes several in any order, and equal weights must give equal files.
const CARD: &str = "galaxy-gpu";
/// The largest file that is read, in bytes.
const LARGEST_FILE: u64 = 4 << 30;
/// The most classes, as labels are stored in a byte.
const MOST_CLASSES: usize = 256;
/// Version of the layout that is written.
const VERSION: u32 = 2;

/// What the metadata holds.
#[derive(Serialize, Deserialize)]
struct Described {
    version: u32,
    /// [`Weights::hash`].
    hash: String,
    /// Checksum of hash and card, to find damage.
    checksum: String,
    #[serde(flatten)]
    card: Card,
}

impl Weights {
    /// The network these weights belong to.
    ///
    /// # Errors
    /// As [`Model::build`].
    pub fn network(&self) -> Result<Network> {
        self.card.model.build(self.card.height, self.card.width, self.card.classes.len())
    }

    /// Hash of the values alone: equal for bit-identical weights (blake3, 16 hexadecimal digits).
    pub fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for values in &self.tensors {
            hasher.update(bytemuck::cast_slice(values));
        }
        hasher.finalize().to_hex()[..16].to_owned()
    }

    /// Hash of everything (blake3).
    fn checksum(&self) -> serde_json::Result<String> {
        let card = serde_json::to_string(&self.card)?;
        Ok(blake3::hash((self.hash() + &card).as_bytes()).to_hex().to_string())
    }

    /// Writes the whole file.
    ///
    /// # Errors
    /// [`Error::File`], also if a weight is not finite, as such weights would be useless.
    pub fn save(&self, path: &Path) -> Result<()> {
        let failed = |problem: String| Error::file(path, problem, "please report this");
        let network = self.network()?;
        for (parameter, values) in network.parameters().zip(&self.tensors) {
            if let Some(value) = values.iter().find(|value| !value.is_finite()) {
                let problem = format!("it is not written, as {} holds {value}", parameter.name);
                return Err(Error::file(path, problem, "train with a smaller --learning-rate"));
            }
        }
        let views = network.parameters().zip(&self.tensors).map(|(parameter, values)| {
            let shape = parameter.shape.sizes().to_vec();
            let view = TensorView::new(Dtype::F32, shape, bytemuck::cast_slice(values));
            view.map(|view| (parameter.name.clone(), view)).map_err(|e| failed(e.to_string()))
        });
        let views = views.collect::<Result<Vec<_>>>()?;
        let checksum = self.checksum().map_err(|e| failed(e.to_string()))?;
        let described = Described { version: VERSION, hash: self.hash(), checksum, card: self.card.clone() };
        let card = serde_json::to_string(&described).map_err(|e| failed(e.to_string()))?;
        let metadata = HashMap::from([(CARD.to_owned(), card)]);
        let bytes = safetensors::serialize(views, Some(metadata)).map_err(|e| failed(e.to_string()))?;
        write_whole(path, &bytes)
    }

    /// Reads and checks a file of at most 4 GiB; takes twice its size in memory.
    ///
    /// # Errors
    /// The file cannot be read, is no safetensors file, was not written by this program, has tensors that do not fit its own model, or
    /// holds a weight that is not finite.
    pub fn load(path: &Path) -> Result<Self> {
        let remedy = "name a run folder or a weights file that `galaxy-gpu train` has written";
        let refuse = |problem: String| Error::file(path, problem, remedy);
        let mut bytes = Vec::new();
        open_bounded(path, LARGEST_FILE)?.read_to_end(&mut bytes).map_err(|e| refuse(e.to_string()))?;
        let (_, header) =
            SafeTensors::read_metadata(&bytes).map_err(|e| refuse(format!("no safetensors file ({e})")))?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let card = metadata.get(CARD).ok_or_else(|| refuse("it does not say which model it holds".into()))?;
        let damaged = |e| refuse(format!("its description is damaged ({e})"));
        let described: serde_json::Value = serde_json::from_str(card).map_err(damaged)?;
        // check this first, as another version may differ in everything else
        if described["version"] != VERSION {
            let version = &described["version"];
            return Err(refuse(format!("it has version {version} of the layout, this program knows {VERSION}")));
        }
        let Described { checksum, card, .. } = serde_json::from_value(described).map_err(damaged)?;
        let file = SafeTensors::deserialize(&bytes).map_err(|e| refuse(format!("it is damaged ({e})")))?;
        let mut weights = Self { card, tensors: Vec::new() };
        if weights.card.classes.len() > MOST_CLASSES {
            return Err(refuse(format!("it claims {} classes, more than {MOST_CLASSES}", weights.card.classes.len())));
        }
        let network = weights.network().map_err(|e| refuse(format!("its model cannot be built ({e})")))?;
        for parameter in network.parameters() {
            let name = &parameter.name;
            let view = file.tensor(name).map_err(|_| refuse(format!("tensor {name} is missing")))?;
            if view.dtype() != Dtype::F32 || view.shape() != parameter.shape.sizes() {
                let found = format!("{:?} {:?}", view.dtype(), view.shape());
                return Err(refuse(format!("tensor {name} is {found}, its model needs F32 {}", parameter.shape)));
            }
            let values: Vec<f32> = bytemuck::pod_collect_to_vec(view.data());
            if let Some(place) = values.iter().position(|value| !value.is_finite()) {
                return Err(refuse(format!("tensor {name} holds {} at index {place}", values[place])));
            }
            weights.tensors.push(values);
        }
        if weights.checksum().map_err(damaged)? != checksum {
            return Err(refuse("it is damaged (its checksum is wrong)".into()));
        }
        Ok(weights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::initialise;

    fn weights() -> Weights {
        let model = Model::preset("conv3").unwrap();
        let network = model.build(16, 16, 3).unwrap();
        let tensors = network.parameters().enumerate().map(|(i, p)| initialise(p, i, 1)).collect();
        let card = Card {
            model,
            classes: ["a", "b", "c"].map(String::from).to_vec(),
            height: 16,
            width: 16,
            preprocessing: PREPROCESSING.into(),
            data: "test".into(),
            seed: 1,
            split_hash: "abc".into(),
            validation: 0.1,
            chosen_by: ChosenBy::Validation,
            precision: Precision::Mixed,
            shaders: None,
            epochs: 2,
            step: 34,
            val_accuracy: Some(0.5),
        };
        Weights { card, tensors }
    }

    #[test]
    fn weights_survive_a_round_trip() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        weights().save(&path).unwrap();
        assert_eq!(Weights::load(&path).unwrap(), weights());
        for unmeasured in [None, Some(f32::NAN)] {
            let card = weights().card.after(2, 35, unmeasured);
            Weights { card: card.clone(), ..weights() }.save(&path).unwrap();
            let read = Weights::load(&path).unwrap().card;
            assert_eq!((&read, read.step, read.val_accuracy), (&card, 35, None));
        }
    }

    #[test]
    fn a_weight_that_is_not_finite_is_never_saved() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        weights().save(&path).unwrap();
        for value in [f32::NAN, f32::INFINITY] {
            let mut bad = weights();
            bad.tensors[2][1] = value;
            let message = bad.save(&path).unwrap_err().to_string();
            assert!(message.contains(&format!("holds {value}")) && message.contains("conv2d"), "{message}");
            assert_eq!(Weights::load(&path).unwrap(), weights(), "the earlier file stays");
        }
    }

    #[test]
    fn equal_weights_are_equal_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = |number: usize| {
            let path = folder.path().join(format!("{number}.safetensors"));
            weights().save(&path).unwrap();
            std::fs::read(path).unwrap()
        };
        assert!((1..8).all(|number| file(number) == file(0)));
    }

    #[test]
    fn damage_and_strangers_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        weights().save(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let error = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            Weights::load(&path).unwrap_err().to_string()
        };
        assert!(error(&bytes[..bytes.len() - 4]).contains("no safetensors file"));
        assert!(error(b"not weights").contains("no safetensors file"));
        let none: Vec<(String, TensorView)> = Vec::new();
        let stranger = safetensors::serialize(none, None).unwrap();
        assert!(error(&stranger).contains("does not say which model"));
        let newer = String::from_utf8_lossy(&bytes[8..]).find("version\\\":2").unwrap() + 8 + 10;
        let mut changed = bytes.clone();
        changed[newer] = b'9';
        assert!(error(&changed).contains("version 9"));
        assert!(Weights::load(&folder.path().join("none")).is_err());
        let mut changed = bytes.clone();
        let last = bytes.len() - 4;
        changed[last..].copy_from_slice(&f32::NAN.to_le_bytes());
        assert!(error(&changed).contains("holds NaN at index "));
        let class = String::from_utf8_lossy(&bytes[8..]).find("abc").unwrap() + 8;
        for place in [last, class] {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            assert!(error(&changed).contains("its checksum is wrong"), "byte {place}");
        }
    }
}
