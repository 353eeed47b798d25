//! `data inspect`: what is in a data set, as tables or JSON.

use super::Source;
use crate::data::DUPLICATE_ARCSEC;
use crate::data::conflicts::Same;
use crate::data::inspect::Overlaps;
use crate::data::split::PATCH_ARCSEC;
use crate::data::{Inspection, inspect};
use crate::plan::bytes_in_words;
use crate::report::Table;
use crate::run::SIMULATED;

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

/// The most galaxies with several labels that the text lists, and the most images of each.
const LISTED: usize = 20;
const SHOWN: usize = 4;

/// Prints what is in the data set.
///
/// # Errors
/// The data cannot be read.
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
        let share = format!("{:.1} %", 100.0 * class.fraction);
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
         Brightness, 0 to 1, of {} images:\n\n{channels}\n{}\n{}",
        found.name,
        found.count,
        found.height,
        found.width,
        bytes_in_words(found.bytes as u64),
        most as f64 / least.max(1) as f64,
        found.sampled,
        found.sky.as_ref().map_or("No positions on the sky are known.\n".to_owned(), sky_in_words),
        conflicts_in_words(found),
    )
}

fn sky_in_words(sky: &Overlaps) -> String {
    format!(
        "Positions on the sky: {} known\n  {} images have a neighbour within {PATCH_ARCSEC} arcseconds\n  {}{} pairs \
         within {DUPLICATE_ARCSEC} arcsecond show the same galaxy, {} of them with two different labels\n",
        sky.positions,
        sky.overlapping_images,
        if sky.all_pairs { "" } else { "at least " },
        sky.duplicate_pairs,
        sky.conflicting_pairs,
    )
}

/// The galaxies with more than one label, the first ones as a table.
fn conflicts_in_words(found: &Inspection) -> String {
    let count = found.conflicts.len();
    if count == 0 {
        return "No galaxy is known to have two labels.\n".into();
    }
    let class = |label: &u32| found.classes.get(*label as usize).map_or("?", |class| &class.name).to_owned();
    let mut galaxies = Table::new(&["images", "same", "classes"]);
    for conflict in found.conflicts.iter().take(LISTED) {
        let (mut images, mut classes): (Vec<String>, Vec<String>) =
            (conflict.images.iter().map(usize::to_string).collect(), conflict.labels.iter().map(class).collect());
        let more = images.len().saturating_sub(SHOWN);
        for words in [&mut images, &mut classes] {
            words.truncate(SHOWN);
            words.extend((more > 0).then(|| format!("{more} more")));
        }
        let same = match conflict.same {
            Same::Pixels => "pixels",
            Same::Position => "position",
        };
        galaxies.row(&[images.join(", "), same.to_owned(), classes.join(", ")]);
    }
    let images: usize = found.conflicts.iter().map(|conflict| conflict.images.len()).sum();
    let more = match count.saturating_sub(LISTED) {
        0 => String::new(),
        more => format!("and {more} more (all of them with --json)\n"),
    };
    format!("{count} galaxies with different labels, in {images} images:\n\n{galaxies}{more}")
}
