//! `galaxy-gpu predict`: "This galaxy is most likely to be a Barred Spiral Galaxy."

use super::fits::{self, PictureArgs};
use super::flags::DeviceFlags;
use super::{note, print_json, print_note, print_text};
use crate::run::Device;
use crate::train::{Weights, check_answer, find_weights};
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `predict`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  galaxy-gpu predict runs/a image.png --json
  galaxy-gpu predict runs/a cutout.fits
  galaxy-gpu predict runs/a a-g.fits a-r.fits a-z.fits --at 150.1,2.2 --crop-arcsec 67

A FITS image is a cube of the planes g, r and z in nanomaggies, or three files; one path that ends in -g or _g names \
all three. The Legacy Survey's arcsinh stretch makes it a picture. Its position is printed below the scores.")]
pub struct Args {
    /// Run folder, or a weights file
    run: PathBuf,
    #[command(flatten)]
    picture: PictureArgs,
    /// Use the last weights instead of the best
    #[arg(long)]
    last: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceFlags,
}

/// Classifies the picture and prints the score of every class.
///
/// # Errors
/// The input is bad, or the device fails.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let weights = find_weights(&args.run, args.last)?;
    let card = &weights.card;
    let seen = args.picture.read(Some((card.height, card.width)))?;
    let scores = classify(args, &weights, &seen.pixels)?;
    if let Some(Ok(place)) = &seen.place {
        fits::warnings(place).into_iter().for_each(print_note);
    }
    let index = (0..scores.len()).fold(0, |best, i| if scores[i] > scores[best] { i } else { best });
    let class = &card.classes[index];
    if args.json {
        let probabilities: serde_json::Map<_, _> =
            card.classes.iter().zip(&scores).map(|(class, score)| (class.clone(), (*score).into())).collect();
        let mut said = serde_json::json!({
            "class": class,
            "index": index,
            "confidence": scores[index],
            "probabilities": probabilities,
        });
        if let Some(Ok(place)) = &seen.place {
            said["place"] = fits::in_json(place);
        }
        print_json(&said)?;
        return Ok(ExitCode::SUCCESS);
    }
    let width = card.classes.iter().map(|class| class.chars().count()).max().unwrap_or(0);
    let row = |(class, score): (&String, &f32)| format!("{class:<width$}  {:>7.2}%\n", score * 100.0);
    let table: String = card.classes.iter().zip(&scores).map(row).collect();
    print_text(format!("{table}\nThis galaxy is most likely to be {} {class}.\n", article(class)))?;
    if let Some(place) = &seen.place {
        print_text(format!("{}\n", fits::in_words(place)))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn classify(args: &Args, weights: &Weights, pixels: &[u8]) -> crate::Result<Vec<f32>> {
    let device = Device::for_weights(&args.device.recipe()?, weights, &mut note)?;
    let mut classifier = device.classifier(weights, 1)?;
    classifier.next(&[pixels])?;
    let scores = classifier.finish()?;
    check_answer(&scores)?;
    Ok(scores)
}

/// `a` or `an`, by the first letter.
fn article(noun: &str) -> &'static str {
    match noun.chars().next().map(|letter| letter.to_ascii_lowercase()) {
        Some('a' | 'e' | 'i' | 'o' | 'u') => "an",
        _ => "a",
    }
}
