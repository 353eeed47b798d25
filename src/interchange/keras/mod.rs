//! Keras's files. `archive.rs` opens and makes `.keras` archives, `config.rs` reads the description of a model as a chain of layers,
//! `layers.rs` turns these into this program's, `weights.rs` finds their arrays, `pixels.rs` settles what a network is fed,
//! `import.rs` puts it together; `export.rs` goes the other way.
//!
//! Formats: Keras 3's `.keras` (a zip of `config.json`, `metadata.json` and `model.weights.h5`) and `.weights.h5`
//! (`keras/src/saving/saving_lib.py`), and the older `.h5` with an attribute `model_config`
//! (`keras/src/legacy/saving/legacy_h5_format.py`).

mod archive;
mod config;
mod export;
mod import;
mod layers;
mod pixels;
mod weights;

pub use export::{model_file, weights_file};
pub use import::{Import, Imported, import};
pub use pixels::Pixels;

/// What is wrong with a file, and what helps; the path is known where it becomes an error.
type Refusal = (String, String);

/// A [`Refusal`].
fn refusal(problem: impl Into<String>, remedy: impl Into<String>) -> Refusal {
    (problem.into(), remedy.into())
}
