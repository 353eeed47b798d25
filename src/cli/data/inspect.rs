//! `data inspect`: what is in a data set, as tables or JSON.

use super::Source;
use crate::cli::options::SIMULATED;
use crate::data::inspect::{DUPLICATE_ARCSEC, Overlaps};
use crate::data::split::PATCH_ARCSEC;
use crate::data::{Inspection, inspect};
use crate::plan::bytes_in_words;
use crate::report::Table;

/// Arguments of `data inspect`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  galaxy-gpu data inspect Galaxy10_DECals.h5
  galaxy-gpu data inspect pictures/ --json")]
pub struct Args {
    #[command(flatten)]
    source: Source,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Most contradicting pairs that the text lists.
const LISTED: usize = 20;

/// Prints what is in the data set.
///
/// # Errors
/// Data that cannot be read.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let dataset = args.source.load(SIMULATED)?;
    let inspection = inspect(&dataset);
    if args.json {
        return crate::cli::print_json(&inspection);
    }
    crate::cli::print_text(in_words(&inspection))
}

fn in_words(found: &Inspection) -> String {
    let mut classes = Table::new(&["label", "class", "images", "share"]).right([0, 2, 3]);
    for (label, class) in found.classes.iter().enumerate() {
        let share = format!("{:.1} %", 100.0 * class.share);
        classes.row(&[label.to_string(), class.name.clone(), class.count.to_string(), share]);
    }
    let mut channels = Table::new(&["channel", "mean", "deviation"]).right([1, 2]);
    for (channel, name) in ["red", "green", "blue"].iter().enumerate() {
        let [mean, deviation] = [found.channel_mean, found.channel_std].map(|of| format!("{:.4}", of[channel]));
        channels.row(&[name.to_string(), mean, deviation]);
    }
    let counts = found.classes.iter().map(|class| class.count);
    let (most, least) = (counts.clone().max().unwrap_or(0), counts.min().unwrap_or(0));
    format!(
        "{}: {} images of {} x {} pixels, {}\n\n{classes}\nThe largest class has {:.1} times the images of the \
         smallest.\n\n\
         Brightness, 0 to 1, of {} images:\n\n{channels}\n{}",
        found.name,
        found.count,
        found.height,
        found.width,
        bytes_in_words(found.bytes as u64),
        most as f64 / least.max(1) as f64,
        found.sampled,
        found.sky.as_ref().map_or("No positions on the sky are known.\n".to_owned(), |sky| sky_in_words(sky, found)),
    )
}

fn sky_in_words(sky: &Overlaps, found: &Inspection) -> String {
    let mut text = format!(
        "Positions on the sky: {} known\n  {} images have a neighbour within {PATCH_ARCSEC} arcseconds\n  {} pairs \
         within {DUPLICATE_ARCSEC} arcsecond show the same galaxy, {} of them with two different labels\n",
        sky.positions, sky.overlapping_images, sky.duplicate_pairs, sky.conflicting_pairs,
    );
    if sky.conflicts.is_empty() {
        return text;
    }
    let class = |label: u32| found.classes.get(label as usize).map_or("?", |class| &class.name);
    let mut pairs = Table::new(&["image", "image", "arcseconds", "class", "class"]).right([0, 1, 2]);
    for pair in sky.conflicts.iter().take(LISTED) {
        let (a, b) = (pair.a.to_string(), pair.b.to_string());
        let separation = format!("{:.2}", pair.separation_arcsec);
        pairs.row(&[a, b, separation, class(pair.label_a).to_owned(), class(pair.label_b).to_owned()]);
    }
    text += &format!("\nSame galaxy, different labels:\n\n{pairs}");
    match sky.conflicting_pairs.saturating_sub(LISTED) {
        0 => text,
        more => text + &format!("and {more} more (up to 100 of them with --json)\n"),
    }
}
