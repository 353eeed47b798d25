//! `model export`: writes a trained network for other programs.

use super::super::options::check_output;
use super::super::{print_json, print_text};
use crate::interchange::{Format, export};
use crate::train::find_weights;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `model export`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  galaxy-gpu model export runs/1 --out galaxies.keras
  galaxy-gpu model export runs/1 --out galaxies.weights.h5
  galaxy-gpu model export runs/1 --out galaxies.onnx
  galaxy-gpu model export runs/1 --out galaxies.safetensors

Open them with keras.saving.load_model, load_weights of the same Keras model, onnxruntime and \
safetensors.numpy.load_file. Feed Keras and ONNX pixels as bytes: the division by 255 is part of the network, in Keras as \
Rescaling(1/255). The Keras network returns logits; keras.activations.softmax makes them probabilities. The ONNX network \
takes `images` (uint8, N x H x W x 3) and returns `logits` and `probabilities`; its metadata has the class names as JSON.")]
pub struct Args {
    /// Run folder, or a weights file
    run: PathBuf,
    /// File to write: .keras, .weights.h5, .onnx or .safetensors; an earlier file is replaced
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Use the last weights instead of the best
    #[arg(long)]
    last: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Writes the file and prints what it holds.
///
/// # Errors
/// There are no weights, the ending is another, or the file cannot be written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let format = Format::of(&args.out)?;
    check_output("--out", &args.out, &["keras", "h5", "onnx", "safetensors"])?;
    let weights = find_weights(&args.run, args.last)?;
    export(&weights, format, &args.out)?;
    let bytes = std::fs::metadata(&args.out).map_or(0, |about| about.len());
    if args.json {
        print_json(&serde_json::json!({ "out": args.out, "bytes": bytes, "hash": weights.hash() }))?;
    } else {
        print_text(format!(
            "{}: {} with {} classes, {bytes} bytes\n",
            args.out.display(),
            weights.card.model.name,
            weights.card.classes.len()
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}
