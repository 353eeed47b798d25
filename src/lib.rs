//! galaxy-gpu trains convolutional networks on galaxy images with hand-written WGSL kernels, on any vendor's GPU.
//!
//! A [`run::Recipe`] holds every setting of a training. [`run::train`] follows it and leaves a run folder, whose weights classify
//! pictures:
//!
//! ```
//! use galaxy_gpu::run::{Device, DeviceKind, Recipe, Target, train};
//!
//! # fn main() -> galaxy_gpu::Result<()> {
//! # let folder = tempfile::tempdir().unwrap();
//! # let folder = folder.path().join("run");
//! // twenty simulated galaxies on the CPU; without `device`, on the GPU
//! let recipe = Recipe {
//!     images: 20,
//!     size: Some(16),
//!     model: "conv3".into(),
//!     epochs: 1,
//!     batch: 10,
//!     device: DeviceKind::Reference,
//!     ..Recipe::default()
//! };
//! let run = train(&recipe, &Target::folder(folder), &mut ())?;
//! println!("accuracy {:?} on the test set", run.measured.map(|found| found.evaluation.accuracy));
//!
//! let note = &mut |text| eprintln!("{text}");
//! let mut classifier = Device::for_weights(&recipe, &run.weights, note)?.classifier(&run.weights, 1)?;
//! let galaxies = recipe.dataset(note)?;
//! classifier.next(&[galaxies.image(0)])?;
//! let probabilities = classifier.finish()?;
//! assert_eq!(probabilities.len(), run.weights.card.classes.len());
//! # Ok(())
//! # }
//! ```
//!
//! `examples/train.rs` is this as a program. An [`run::Observer`] hears of a training while it runs, and may stop it;
//! [`run::resume`] continues what was stopped.
//!
//! Below, data walks one way: [`data`] and [`model`] -> [`lowering`] -> [`plan`] -> [`engine`], driven by [`mod@train`].
//! `ARCHITECTURE.md` is the map of these rooms and of who may import whom.

pub mod catalogue;
pub mod cli;
pub mod data;
pub mod engine;
pub mod error;
pub mod files;
pub mod graph;
pub mod interchange;
pub mod kernels;
pub mod layers;
pub mod lowering;
pub mod model;
pub mod plan;
pub mod report;
pub mod rng;
pub mod run;
pub mod shape;
pub mod simd;
pub mod suggest;
pub mod train;

pub use error::{Error, Result};
