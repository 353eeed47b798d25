//! `galaxy-gpu predict`: "This galaxy is most likely to be a Barred Spiral Galaxy."

use super::options::DeviceOptions;
use super::{print_json, print_text};
use crate::data::read_picture;
use crate::train::{Classifier, Weights, find_weights};
use std::path::PathBuf;
use std::process::ExitCode;

/// Which weights, which picture.
#[derive(clap::Args)]
#[command(after_help = "Example:
  galaxy-gpu predict runs/a image.png --json")]
pub struct Args {
    /// Run folder, or a weights file
    run: PathBuf,
    /// PNG or JPEG of any size
    image: PathBuf,
    /// The last weights instead of the best
    #[arg(long)]
    last: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceOptions,
}

/// Classifies the picture and prints the score of every class.
///
/// # Errors
/// Bad input; a device that fails.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let weights = find_weights(&args.run, args.last)?;
    let card = &weights.card;
    let pixels = read_picture(&args.image, card.height, card.width)?;
    let scores = classify(args, &weights, &pixels)?;
    let index = (0..scores.len()).fold(0, |best, i| if scores[i] > scores[best] { i } else { best });
    let class = &card.classes[index];
    if args.json {
        let probabilities: serde_json::Map<_, _> =
            card.classes.iter().zip(&scores).map(|(class, score)| (class.clone(), (*score).into())).collect();
        print_json(&serde_json::json!({
            "class": class,
            "index": index,
            "confidence": scores[index],
            "probabilities": probabilities,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let width = card.classes.iter().map(|class| class.chars().count()).max().unwrap_or(0);
    let row = |(class, score): (&String, &f32)| format!("{class:<width$}  {:>7.2}%\n", score * 100.0);
    let table: String = card.classes.iter().zip(&scores).map(row).collect();
    print_text(format!("{table}\nThis galaxy is most likely to be {} {class}.\n", article(class)))?;
    Ok(ExitCode::SUCCESS)
}

fn classify(args: &Args, weights: &Weights, pixels: &[u8]) -> crate::Result<Vec<f32>> {
    let device = args.device.open()?;
    let (setup, profile) = device.inference(&args.device, weights.card.precision, 1)?;
    let make_engine = |plan| device.engine(plan, args.device.checked);
    let mut classifier = Classifier::new(weights, &setup, &profile, make_engine)?;
    classifier.next(&[pixels])?;
    classifier.finish()
}

/// `a` or `an`, by the first letter.
fn article(noun: &str) -> &'static str {
    match noun.chars().next().map(|letter| letter.to_ascii_lowercase()) {
        Some('a' | 'e' | 'i' | 'o' | 'u') => "an",
        _ => "a",
    }
}
