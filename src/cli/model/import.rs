//! `model import`: a trained network of Keras for `evaluate`, `predict`, `classify`.

use super::super::options::check_output;
use super::super::{print_json, print_note, print_text};
use crate::data::hdf5::Reader;
use crate::error::Result;
use crate::interchange::{self, Import, Imported, Pixels};
use crate::model::Model;
use crate::train::RunFolder;
use clap::ValueEnum;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Which file, and what it does not say itself.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  galaxy-gpu model import galaxies.keras --out runs/keras
  galaxy-gpu model import old.h5 --out old.safetensors --classes Spiral,Elliptical
  galaxy-gpu model import my.weights.h5 --model conv4 --size 256 --out runs/keras

A Sequential model, or a functional chain, of InputLayer, Rescaling, Conv2D, Dense (relu, and softmax at the end), \
ReLU, Activation, MaxPooling2D, Dropout, Flatten. Layers of augmentation are left out with a note, as they act in \
training only.")]
pub struct Args {
    /// A .keras archive, a legacy .h5 model, or .weights.h5
    file: PathBuf,
    /// Where it goes: a run folder, or one weights file
    #[arg(long, value_name = "RUN|FILE.safetensors")]
    out: PathBuf,
    /// Names of the classes in the order of the network's outputs
    #[arg(long, value_delimiter = ',', value_name = "A,B,...")]
    classes: Option<Vec<String>>,
    /// The network, for a file of weights alone: a built-in one (conv3, conv4) or a TOML file
    #[arg(long, value_name = "NAME|FILE.toml")]
    model: Option<String>,
    /// Side of an image in pixels, where the file does not say it
    #[arg(long, value_name = "PIXELS")]
    size: Option<usize>,
    /// Range of the pixels that the network was fed: 0-255 where it has a Rescaling layer, else 0-1, unless said otherwise
    #[arg(long, value_name = "RANGE")]
    pixels: Option<PixelRange>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What a network was fed.
#[derive(Clone, Copy, ValueEnum)]
enum PixelRange {
    /// Bytes divided by 255
    #[value(name = "0-1")]
    Unit,
    /// Bytes as they are
    #[value(name = "0-255")]
    Bytes,
}

/// Reads the file, writes the weights, and says what they are.
///
/// # Errors
/// A file with a layer that this program does not have, or whose arrays do not fit; a place that cannot be written to.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let single = args.out.extension().is_some_and(|ending| ending == "safetensors");
    match single {
        true => check_output("--out", &args.out, &["safetensors"])?,
        false => RunFolder::check(Some(&args.out), false)?,
    }
    let pixels = args.pixels.map(|range| match range {
        PixelRange::Unit => Pixels::Unit,
        PixelRange::Bytes => Pixels::Bytes,
    });
    let model = args.model.as_deref().map(Model::load).transpose()?;
    let (size, classes) = (args.size, args.classes.clone());
    let options = Import { model, size, pixels, classes, reader: Reader::own_child() };
    let imported = interchange::import(&args.file, &options)?;
    write(&imported, &args.out, single)?;
    imported.notes.iter().for_each(print_note);
    say(&imported, args)?;
    Ok(ExitCode::SUCCESS)
}

fn write(imported: &Imported, out: &Path, single: bool) -> Result<()> {
    match single {
        true => imported.weights.save(out),
        // A run without epochs: all commands that take a run take it.
        false => RunFolder::create(Some(out), false)?.finish(&imported.weights),
    }
}

fn say(imported: &Imported, args: &Args) -> anyhow::Result<()> {
    let card = &imported.weights.card;
    let parameters: usize = imported.weights.tensors.iter().map(Vec::len).sum();
    if args.json {
        return print_json(&serde_json::json!({
            "out": args.out,
            "model": card.model,
            "height": card.height,
            "width": card.width,
            "classes": card.classes,
            "parameters": parameters,
            "hash": imported.weights.hash(),
            "notes": imported.notes,
        }));
    }
    print_text(format!(
        "model    {}: {} layers, {parameters} parameters\nimages   {} x {} pixels\nclasses  {}\nwritten  {}\n",
        card.model.name,
        card.model.layers.len(),
        card.height,
        card.width,
        card.classes.join(", "),
        args.out.display()
    ))
}
