//! `data simulate`: writes simulated galaxies to an HDF5 file.

use crate::cli::options::check_output;
use crate::data::{simulate, write_hdf5};
use crate::error::Error;
use crate::plan::bytes_in_words;
use std::path::PathBuf;

/// Arguments of `data simulate`.
#[derive(clap::Args)]
#[command(after_help = "Example:
  galaxy-gpu data simulate --images 5000 --size 128 --seed 3 --out simulated.h5
  galaxy-gpu train --data simulated.h5")]
pub struct Args {
    /// File to write
    #[arg(long, value_name = "FILE.h5")]
    out: PathBuf,
    /// Number of images; classes take turns
    #[arg(long, default_value_t = 2000, value_name = "N")]
    images: usize,
    /// Side of an image in pixels
    #[arg(long, default_value_t = 64, value_name = "PIXELS")]
    size: usize,
    /// Seed; the same seed draws the same images
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
}

/// Draws the galaxies and writes the file.
///
/// # Errors
/// A setting is out of range, or the file exists or cannot be written.
pub fn run(args: &Args) -> anyhow::Result<()> {
    check_output("--out", &args.out, &["h5", "hdf5"])?;
    // A broken link counts as a file that exists.
    if !args.force && args.out.symlink_metadata().is_ok() {
        return Err(
            Error::file(&args.out, "it exists already", "choose another --out, or replace it with --force").into()
        );
    }
    let Args { images, size, seed, .. } = *args;
    let dataset = simulate::simulate(&simulate::Settings { images, size, seed })?;
    write_hdf5(&args.out, &dataset)?;
    let bytes = std::fs::metadata(&args.out).map_or(0, |about| about.len());
    let (path, classes) = (args.out.display(), dataset.classes.len());
    crate::cli::print_text(format!(
        "{path}: {images} images of {size} x {size} pixels in {classes} classes, {}\n",
        bytes_in_words(bytes)
    ))
}
