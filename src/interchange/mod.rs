//! Networks from and for other programs: Keras's files in and out, ONNX out. What comes in becomes the same [`Weights`] that training
//! leaves, so that every other command takes them.
//!
//! This room knows files and layers; it knows neither engines nor the terminal, and runs no network. Files that come in are believed
//! in nothing: their sizes are bounded, their arrays must fit the network they describe, and what this program has no layer for is
//! refused by name.

mod keras;
mod onnx;

use std::path::Path;

pub use keras::{Import, Imported, Pixels, import};

use crate::error::{Error, Result};
use crate::files::write_whole;
use crate::train::{Card, Weights};
use serde::{Deserialize, Serialize};

/// What a file can be written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A whole model for `keras.saving.load_model`.
    Keras,
    /// Weights for `load_weights` of the same Keras model.
    KerasWeights,
    /// A graph for ONNX runtimes.
    Onnx,
    /// This program's own weights, which every reader of safetensors opens.
    Safetensors,
}

impl Format {
    /// The format that a file's name asks for.
    ///
    /// # Errors
    /// [`Error::Setting`] for another ending.
    pub fn of(path: &Path) -> Result<Self> {
        let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        let formats = [
            (".keras", Self::Keras),
            (".weights.h5", Self::KerasWeights),
            (".onnx", Self::Onnx),
            (".safetensors", Self::Safetensors),
        ];
        match formats.iter().find(|(ending, _)| name.ends_with(ending)) {
            Some((_, format)) => Ok(*format),
            None => {
                let allowed = "a file name that ends in .keras, .weights.h5, .onnx or .safetensors";
                Err(Error::setting("--out", format!("\"{}\"", path.display()), allowed))
            }
        }
    }
}

/// Writes trained weights for another program, whole or not at all. Equal weights make equal files.
///
/// # Errors
/// A file that cannot be written, or that its format cannot hold.
pub fn export(weights: &Weights, format: Format, path: &Path) -> Result<()> {
    match format {
        Format::Keras => write_whole(path, &keras::model_file(path, weights)?),
        Format::KerasWeights => keras::weights_file(path, weights),
        Format::Onnx => write_whole(path, &onnx::model_file(path, weights)?),
        Format::Safetensors => weights.save(path),
    }
}

/// What files for other programs say of their origin, as metadata that those programs pass over.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Origin {
    /// [`Weights::hash`]; where it is another, the weights have changed since.
    hash: String,
    card: Card,
}

impl Origin {
    fn of(path: &Path, weights: &Weights) -> Result<String> {
        let origin = Self { hash: weights.hash(), card: weights.card.clone() };
        serde_json::to_string(&origin).map_err(|error| Error::file(path, error, "please report this"))
    }
}
