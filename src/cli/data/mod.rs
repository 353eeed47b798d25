//! `data`: inspects, shows and splits data sets, and writes simulated ones.

mod inspect;
mod picture;
mod show;
mod simulate;
mod split;

use super::flags::FitsFlags;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::run::load_dataset;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// The subcommands.
#[derive(Subcommand)]
pub enum Command {
    /// Draw 16 random images with their class names, or nine augmentations of one image
    Show(show::Args),
    /// Write one picture as a network sees it: FITS images stretched to RGB, cut out and resized
    Picture(picture::Args),
    /// Report class counts, images of the same piece of sky, galaxies with two labels, and brightness
    Inspect(inspect::Args),
    /// Draw the split that a training would draw, and write it to a file
    Split(split::Args),
    /// Draw simulated galaxies into an HDF5 file in Galaxy10's layout
    Simulate(simulate::Args),
}

/// Runs the command.
///
/// # Errors
/// The data cannot be read, a setting is out of range, or a file cannot be written.
pub fn run(command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Show(args) => show::run(args)?,
        Command::Picture(args) => picture::run(args)?,
        Command::Inspect(args) => inspect::run(args)?,
        Command::Split(args) => split::run(args)?,
        Command::Simulate(args) => simulate::run(args)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The data to look at.
#[derive(Args)]
struct Source {
    /// HDF5 file in Galaxy10's layout, a folder of class folders (or of train, val and test folders of these), a table with the
    /// columns path and label, or Parquet with pictures; simulated galaxies where absent
    #[arg(value_name = "FILE|FOLDER")]
    data: Option<PathBuf>,
    /// Side of an image in pixels: of simulated galaxies and of pictures from a folder
    #[arg(long, value_name = "PIXELS")]
    size: Option<usize>,
    /// Names of the classes, separated by commas, in the order of the labels
    #[arg(long, value_delimiter = ',', value_name = "A,B,...")]
    class_names: Option<Vec<String>>,
    #[command(flatten)]
    fits: FitsFlags,
}

impl Source {
    /// Loads the data, or draws as many `simulated` galaxies.
    ///
    /// # Errors
    /// As [`Dataset::load`] and [`simulate`](crate::data::simulate::simulate).
    fn load(&self, simulated: crate::data::simulate::Settings) -> Result<Dataset> {
        match &self.data {
            Some(path) => {
                load_dataset(path, self.size, self.class_names.clone(), self.fits.options()?, &mut super::note)
            }
            None if self.class_names.is_some() => {
                let problem = "given without a file or folder";
                Err(Error::setting("--class-names", problem, "left out, as simulated galaxies have names"))
            }
            None => {
                let size = self.size.unwrap_or(simulated.size);
                crate::data::simulate::simulate(&crate::data::simulate::Settings { size, ..simulated })
            }
        }
    }
}
