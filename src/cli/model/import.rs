//! `model import`: makes a trained Keras network a run for `evaluate`, `predict` and `classify`.

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

/// Arguments of `model import`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  galaxy-gpu model import galaxies.keras --out runs/keras
  galaxy-gpu model import old.h5 --out old.safetensors --classes Spiral,Elliptical
  galaxy-gpu model import my.weights.h5 --model conv4 --size 256 --out runs/keras

The model is a Sequential or functional one with one input and one output, of InputLayer, Rescaling, Conv2D, Dense (relu, \
and softmax at the end), ReLU, Activation, MaxPooling2D, Dropout, Flatten, Add and Concatenate. Augmentation layers are left out with a note, as they work only \
in training.")]
pub struct Args {
    /// A .keras archive, a legacy .h5 model, or a .weights.h5 file
    file: PathBuf,
    /// Run folder or weights file to write
    #[arg(long, value_name = "RUN|FILE.safetensors")]
    out: PathBuf,
    /// Class names, in the order of the network's outputs
    #[arg(long, value_delimiter = ',', value_name = "A,B,...")]
    classes: Option<Vec<String>>,
    /// Network, if the file has only weights: a built-in one (conv3, conv4) or a TOML file
    #[arg(long, value_name = "NAME|FILE.toml")]
    model: Option<String>,
    /// Side of an image in pixels, if the file does not say
    #[arg(long, value_name = "PIXELS")]
    size: Option<usize>,
    /// Range of the pixels that the network expects [default: 0-255 if it has a Rescaling layer, else 0-1]
    #[arg(long, value_name = "RANGE")]
    pixels: Option<PixelRange>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The range of the pixels that a network expects.
#[derive(Clone, Copy, ValueEnum)]
enum PixelRange {
    /// Bytes divided by 255
    #[value(name = "0-1")]
    Unit,
    /// Bytes as they are
    #[value(name = "0-255")]
    Bytes,
}

/// Reads the file, writes the weights, and prints what they are.
///
/// # Errors
/// The file has a layer that this program does not have, or arrays that do not fit; or the weights cannot be written.
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
        // A run without epochs, for all commands that take a run.
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
