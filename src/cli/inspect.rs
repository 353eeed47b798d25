//! `galaxy-gpu inspect`: shows what each block of a network sees in a picture, and which pixels the answer depends on.

use super::fits::{self, PictureArgs, Seen};
use super::flags::DeviceFlags;
use super::options::check_output;
use super::{note, print_json, print_note, print_text};
use crate::error::{Error, Result};
use crate::files::write_whole;
use crate::report::{feature_maps, inspection};
use crate::run::Device;
use crate::train::inspect::{FeatureMaps, Inspection, Inspector, Smooth};
use crate::train::{Weights, check_answer, find_weights};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `inspect`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  galaxy-gpu inspect runs/a galaxy.png
  galaxy-gpu inspect runs/a galaxy.png --out seen
  galaxy-gpu inspect runs/a cutout.fits --fits-stretch Q=10
  galaxy-gpu inspect runs/a galaxy.png --class \"Merging Galaxies\" --channels all --out seen.png

A folder gets overview.png, a picture of all channels for each block, inspection.json, and inspection.safetensors with \
every number: picture, gradient, saliency, scores and features.")]
pub struct Args {
    /// Run folder, or a weights file
    run: PathBuf,
    #[command(flatten)]
    picture: PictureArgs,
    /// Picture to write, or a folder for pictures and data
    #[arg(long, default_value = "inspection.png", value_name = "FILE.png|FOLDER")]
    out: PathBuf,
    /// Class whose score to explain, by name or number [default: the most likely one]
    #[arg(long, value_name = "NAME|N")]
    class: Option<String>,
    /// Channels to draw of each block, the strongest first
    #[arg(long, default_value = "16", value_name = "N|all", value_parser = channels)]
    channels: usize,
    /// Noisy copies of the picture whose gradients are averaged (SmoothGrad); 0 takes the gradient of the picture itself
    #[arg(long, default_value_t = 25, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1000))]
    smooth: u32,
    /// Standard deviation of that noise; white is 1
    #[arg(long, default_value_t = 0.1, value_name = "SIGMA", allow_negative_numbers = true)]
    noise: f32,
    /// Seed of that noise
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Use the last weights instead of the best
    #[arg(long)]
    last: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceFlags,
}

fn channels(text: &str) -> std::result::Result<usize, String> {
    match (text, text.parse()) {
        ("all", _) => Ok(usize::MAX),
        (_, Ok(channels)) if channels > 0 => Ok(channels),
        _ => Err("give all, or a number from 1".into()),
    }
}

/// A channel in the JSON.
#[derive(Serialize)]
struct ChannelReport {
    channel: usize,
    mean: f64,
    largest: f32,
}

/// A block in the JSON.
#[derive(Serialize)]
struct BlockReport<'a> {
    layers: &'a [String],
    /// Height, width and channels, or the number of values.
    shape: &'a [usize],
    /// The strongest, by the root mean square of their values; in the last block, the network's answer, by the largest value.
    channels: Vec<ChannelReport>,
    /// Channels that are zero everywhere.
    silent: usize,
}

#[derive(Serialize)]
struct Report<'a> {
    /// Its path, or those of its bands.
    image: String,
    /// Position of a FITS image.
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<serde_json::Value>,
    /// The most likely class.
    class: &'a str,
    confidence: f32,
    /// The class whose score is explained.
    explained: &'a str,
    scores: serde_json::Map<String, serde_json::Value>,
    /// Samples and standard deviation of SmoothGrad.
    smooth: (u32, f32),
    /// Row and column of the pixels that matter most, with the gradient's absolute value there.
    most_salient: Vec<(usize, usize, f32)>,
    /// Fraction of the saliency within the middle half of rows and columns, which is a quarter of the picture.
    saliency_in_the_middle: f64,
    blocks: Vec<BlockReport<'a>>,
    out: &'a Path,
}

/// Inspects the picture, draws the result and prints it.
///
/// # Errors
/// The input is bad, before anything is written; or the device or disk fails.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let to_picture = args.out.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("png"));
    match to_picture {
        true => check_output("--out", &args.out, &["png"])?,
        false => check_folder(&args.out)?,
    }
    if !(0.0..=1.0).contains(&args.noise) {
        return Err(Error::setting("--noise", args.noise, "from 0 to 1").into());
    }
    let weights = find_weights(&args.run, args.last)?;
    let card = &weights.card;
    let class = args.class.as_deref().map(|name| find_class(name, &card.classes)).transpose()?;
    let seen = args.picture.read(Some((card.height, card.width)))?;
    if let Some(Ok(place)) = &seen.place {
        fits::warnings(place).into_iter().for_each(print_note);
    }
    let found = inspect(args, &weights, &seen.pixels, class)?;
    check_answer(&found.scores)?;
    if found.gradient.iter().any(|value| !value.is_finite()) {
        let problem = "the gradient of the network's answer is not finite";
        return Err(Error::device(problem, "use --precision f32, or other weights").into());
    }
    let report = Report::new(args, &card.classes, &found, &seen);
    match to_picture {
        true => inspection(&found, &card.classes, args.channels, &args.out)?,
        false => write_folder(args, &card.classes, &found, &report)?,
    }
    match args.json {
        true => print_json(&report)?,
        false => print_text(report.in_words(seen.place.as_ref().map(fits::in_words)))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Refuses a folder that cannot be created or written to; leaves nothing behind.
fn check_folder(path: &Path) -> Result<()> {
    let another = "choose another --out, which ends in .png or names a folder";
    let there = path.ancestors().find(|path| path.symlink_metadata().is_ok()).unwrap_or(Path::new("."));
    if !there.is_dir() {
        return Err(Error::file(there, "it is no folder", another));
    }
    let failed = |error| Error::file(there, format!("it cannot be written to ({error})"), another);
    tempfile::tempfile_in(there).map(drop).map_err(failed)
}

/// A class by its name, or by its number from 0.
fn find_class(text: &str, classes: &[String]) -> Result<usize> {
    let by_name = classes.iter().position(|class| class.eq_ignore_ascii_case(text));
    let by_number = text.parse().ok().filter(|&number| number < classes.len());
    by_name.or(by_number).ok_or_else(|| {
        let allowed = format!("0 to {}, or one of {}", classes.len().saturating_sub(1), classes.join(", "));
        Error::setting("--class", format!("\"{text}\""), allowed)
    })
}

fn inspect(args: &Args, weights: &Weights, pixels: &[u8], class: Option<usize>) -> Result<Inspection> {
    let device = Device::for_weights(&args.device.recipe()?, weights, &mut note)?;
    let mut inspector = Inspector::new(weights, &device.setup(1), &device.profile, |plan| device.engine(plan))?;
    inspector.inspect(pixels, class, Smooth { samples: args.smooth, noise: args.noise, seed: args.seed })
}

fn write_folder(args: &Args, classes: &[String], found: &Inspection, report: &Report) -> Result<()> {
    let folder = &args.out;
    std::fs::create_dir_all(folder).map_err(|error| Error::file(folder, error, "choose another --out"))?;
    inspection(found, classes, args.channels, &folder.join("overview.png"))?;
    for block in found.blocks.iter().filter(|block| block.shape.image().is_some()) {
        let name = block.layers.first().map_or("block", |name| name);
        feature_maps(block, usize::MAX, &folder.join(format!("{name}.png")))?;
    }
    found.save(&folder.join("inspection.safetensors"))?;
    let path = folder.join("inspection.json");
    let text = serde_json::to_string_pretty(report).map_err(|error| Error::file(&path, error, "please report this"))?;
    write_whole(&path, (text + "\n").as_bytes())
}

impl<'a> Report<'a> {
    fn new(args: &'a Args, classes: &'a [String], found: &'a Inspection, seen: &Seen) -> Self {
        let best =
            (0..found.scores.len()).fold(0, |best, i| if found.scores[i] > found.scores[best] { i } else { best });
        let (height, width) = found.size;
        let saliency = found.saliency();
        let mut order: Vec<usize> = (0..saliency.len()).collect();
        order.sort_by(|&a, &b| saliency[b].total_cmp(&saliency[a]).then(a.cmp(&b)));
        let inner = |i: &usize| {
            let within = |place: usize, length: usize| (length / 4..length - length / 4).contains(&place);
            within(i / width, height) && within(i % width, width)
        };
        let sum = |places: &mut dyn Iterator<Item = usize>| places.map(|i| f64::from(saliency[i])).sum::<f64>();
        let middle = sum(&mut (0..saliency.len()).filter(inner)) / sum(&mut (0..saliency.len())).max(f64::MIN_POSITIVE);
        Self {
            image: args.picture.names(),
            place: seen.place.as_ref().and_then(|place| place.as_ref().ok()).map(fits::in_json),
            class: &classes[best],
            confidence: found.scores[best],
            explained: &classes[found.class],
            scores: classes.iter().zip(&found.scores).map(|(class, score)| (class.clone(), (*score).into())).collect(),
            smooth: (args.smooth, args.noise),
            most_salient: order.iter().take(5).map(|&i| (i / width, i % width, saliency[i])).collect(),
            saliency_in_the_middle: middle,
            blocks: (1..)
                .zip(&found.blocks)
                .map(|(n, block)| BlockReport::new(block, n == found.blocks.len()))
                .collect(),
            out: &args.out,
        }
    }

    fn in_words(&self, place: Option<String>) -> String {
        let mut text = format!("{}: {}, {:.2} %\n", self.image, self.class, 100.0 * self.confidence);
        text += &place.map_or(String::new(), |place| format!("{place}\n"));
        text += &format!(
            "saliency  of \"{}\": {:.0} % of it in the middle quarter of the picture; most at row {}, column {}\n",
            self.explained,
            100.0 * self.saliency_in_the_middle,
            self.most_salient.first().map_or(0, |place| place.0),
            self.most_salient.first().map_or(0, |place| place.1),
        );
        for (number, block) in (1..).zip(&self.blocks) {
            let shape: Vec<String> = block.shape.iter().map(usize::to_string).collect();
            let strongest: Vec<String> = block.channels.iter().take(3).map(|c| c.channel.to_string()).collect();
            let silent = if block.silent > 0 { format!(", {} silent", block.silent) } else { String::new() };
            let what = match block.shape.len() {
                _ if number == self.blocks.len() => "largest values",
                3 => "strongest channels",
                _ => "strongest values",
            };
            let (layers, shape) = (block.layers.join(" + "), shape.join("x"));
            text += &format!("block     {layers}: {shape}, {what} {}{silent}\n", strongest.join(", "));
        }
        text + &format!("written   {}\n", self.out.display())
    }
}

impl<'a> BlockReport<'a> {
    fn new(block: &'a FeatureMaps, is_last: bool) -> Self {
        let of = |channel: usize| {
            let values = block.channel(channel);
            let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / values.len().max(1) as f64;
            ChannelReport { channel, mean, largest: values.iter().copied().fold(f32::NEG_INFINITY, f32::max) }
        };
        let mut channels: Vec<ChannelReport> = block.strongest().into_iter().map(of).collect();
        if is_last {
            channels.sort_by(|a, b| b.largest.total_cmp(&a.largest));
        }
        channels.truncate(16);
        let silent = (0..block.channels()).filter(|&channel| block.channel(channel).iter().all(|value| *value == 0.0));
        Self { layers: &block.layers, shape: block.shape.sizes(), channels, silent: silent.count() }
    }
}
