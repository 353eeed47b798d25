//! galaxy-gpu trains convolutional networks on galaxy images with hand-written WGSL kernels.
//!
//! Data walks one way: `data` and `model` -> `graph` -> `plan` -> `engine`, driven by `train`.
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
pub mod model;
pub mod plan;
pub mod report;
pub mod rng;
pub mod run;
pub mod shape;
pub mod suggest;
pub mod train;

pub use error::{Error, Result};
