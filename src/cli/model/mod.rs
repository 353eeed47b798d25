//! `model`: describes networks, imports and exports them.

mod export;
mod import;
mod summary;

use crate::error::{Error, Result};
use crate::model::{Model, Network};
use clap::Subcommand;
use std::process::ExitCode;

/// The subcommands.
#[derive(Subcommand)]
pub enum Command {
    /// Show layers, shapes, parameters, memory and arithmetic of a network
    Summary(summary::Args),
    /// Import a trained Keras network
    Import(import::Args),
    /// Export a trained network for Keras, ONNX runtimes or readers of safetensors
    Export(export::Args),
}

/// The sizes that a network is built for.
#[derive(clap::Args, Clone, Copy)]
pub struct Sizes {
    /// Side of an image in pixels
    #[arg(long, default_value_t = 256, value_name = "PIXELS")]
    pub size: usize,
    /// Number of classes
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub classes: usize,
    /// Images in a training step
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub batch: usize,
}

impl Sizes {
    /// Loads a model and builds it for these sizes.
    ///
    /// # Errors
    /// A size is out of range, the model is unknown, or a layer does not accept its input.
    pub fn network(&self, model: &str) -> Result<Network> {
        check_range("--size", self.size, 8192)?;
        check_range("--classes", self.classes, 256)?;
        check_range("--batch", self.batch, 65_536)?;
        Model::load(model)?.build(self.size, self.size, self.classes)
    }
}

/// Refuses a value that is not from 1 to `most`.
///
/// # Errors
/// [`Error::Setting`].
pub fn check_range(name: &str, value: usize, most: usize) -> Result<()> {
    match (1..=most).contains(&value) {
        true => Ok(()),
        false => Err(Error::setting(name, value, format!("from 1 to {most}"))),
    }
}

/// Runs the command.
///
/// # Errors
/// The network cannot be loaded, built, read or written.
pub fn run(command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Summary(args) => summary::run(args),
        Command::Import(args) => import::run(args),
        Command::Export(args) => export::run(args),
    }
}
