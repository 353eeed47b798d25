//! `galaxy-gpu classify`: classifies any number of pictures into a catalogue.

use super::fits::arcseconds;
use super::flags::{DeviceFlags, FitsFlags};
use super::interrupt::{INCOMPLETE, listen_for_interrupts};
use super::options::check_output;
use super::{note, print_note, print_text, voice};
use crate::catalogue::{Columns, Format, Mode, Monitor, Provenance, Summary, TableFile, Task, run as run_job, views};
use crate::data::fits::Stretch;
use crate::data::hdf5::Reader;
use crate::data::{FitsOptions, Items, LoadOptions};
use crate::error::{Error, Result};
use crate::report::table::with_separators;
use crate::run::{Device, quoted};
use crate::train::{Weights, find_weights};
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Arguments of `classify`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  galaxy-gpu classify runs/a pictures/ --out galaxies.csv
  galaxy-gpu classify runs/a catalogue.vot --out galaxies.fits --views 8 --min-confidence 0.7
  galaxy-gpu classify runs/a catalogue.parquet --out galaxies.parquet
  galaxy-gpu classify runs/a Galaxy10_DECals.h5 'more/**/*.png' --out galaxies.csv --continue
  galaxy-gpu classify runs/a bricks.csv --crop-arcsec 67 --out galaxies.csv

Columns: id, path, index (the row of an HDF5 file), ra, dec, p_<class> for each class, class, confidence (the largest \
probability), entropy (of the probabilities, in nats, from 0 to the logarithm of the number of classes), status (ok, \
or why the item could not be classified). One row an item, in the order of the inputs; folders and globs are sorted by \
name.

A catalogue is a table (.csv, .parquet, .vot, .votable, .xml, or .fits with a table and no image) with a \
column path (relative to the catalogue's folder) and perhaps id, ra and dec (degrees); capitals do not matter. A \
Parquet file may hold the pictures themselves, in a column image of bytes and path; index is the row then. In \
VOTables and FITS, id, ra and dec are also found by their UCDs (meta.id, pos.eq.ra, pos.eq.dec; each with ;meta.main).

FITS images are cubes of the planes g, r and z, or three files NAME-g.fits, NAME-r.fits and NAME-z.fits, which are one \
item, or in a catalogue the columns path_g, path_r and path_z. They are stretched as the Legacy Survey's viewer does \
it; an image with coordinates gives an item its ra and dec where it has none. With --crop-arcsec a row's path may name \
a larger image.

The table's format follows from its ending: .csv, .jsonl (JSON Lines), .parquet, .fits, .vot, .votable or .xml \
(VOTable 1.4). In the last five the columns have units, UCDs and descriptions, names are p_ and the class with _ for \
blanks and the like, what is missing is null, and the header says which program, weights, network and settings made \
the rows. Beside F, F.meta.json says so.

An item that cannot be classified is a row with its reason, and the job goes on. A job that was stopped or killed \
keeps all rows it has written; the same command with --continue makes those that are missing and tries the failed ones \
again. While a job runs, the rows of a Parquet file, FITS file or VOTable F are in F.rows.csv; F is written whole when \
the job ends or Ctrl-C stops it, and F.rows.csv is removed.

Exit codes: 0 every item was classified, 1 some were not, Ctrl-C stopped the job, or the device or disk failed, 2 the \
command or the weights are at fault and nothing was done.")]
pub struct Args {
    /// Run folder, or a weights file
    run: PathBuf,
    /// PNG, JPEG or FITS pictures, folders (searched with all that is in them), globs, HDF5 files in Galaxy10's layout, catalogues
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,
    /// Table to write: .csv, .jsonl, .parquet, .fits, .vot, .votable or .xml
    #[arg(long, value_name = "F")]
    out: PathBuf,
    /// Continue the table: keep its good rows, do what is missing or failed; start one if there is none
    #[arg(long = "continue")]
    go_on: bool,
    /// Replace the table
    #[arg(long, conflicts_with = "go_on")]
    force: bool,
    /// Use the last weights instead of the best
    #[arg(long)]
    last: bool,
    /// Images in a step, where each view counts
    #[arg(long, default_value_t = 64)]
    batch: usize,
    /// Views of each picture to average: 8 takes all turns and mirror images of a square picture
    #[arg(long, default_value_t = 1, value_name = "1|8", value_parser = views_of)]
    views: usize,
    /// Leave the class empty if the largest probability is below this
    #[arg(long, default_value_t = 0.0, value_name = "P", allow_negative_numbers = true)]
    min_confidence: f32,
    /// Cut this many arcseconds, to the nearest pixel, around each row's ra and dec out of its image; pictures of Galaxy10 DECaLS
    /// show 67
    #[arg(long, value_name = "A", value_parser = arcseconds, help_heading = "FITS images")]
    crop_arcsec: Option<f64>,
    #[command(flatten)]
    fits: FitsFlags,
    #[command(flatten)]
    device: DeviceFlags,
}

fn views_of(text: &str) -> std::result::Result<usize, String> {
    match text {
        "1" => Ok(1),
        "8" => Ok(views::ALL),
        _ => Err("choose 1 or 8".into()),
    }
}

/// Classifies everything and prints a summary.
///
/// # Errors
/// The input is bad, before anything is written; or the device or disk fails.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    check_output("--out", &args.out, &Format::endings())?;
    let weights = find_weights(&args.run, args.last)?;
    args.check(&weights)?;
    let fits = args.fits.options()?;
    Items::check(&args.inputs)?;
    let mode = match (args.go_on, args.force) {
        (true, _) => Mode::Continue,
        (_, true) => Mode::Force,
        _ => Mode::New,
    };
    let device = Device::for_weights(&args.device.recipe()?, &weights, &mut note)?;
    let made = made(args, &weights, &device)?;
    TableFile::check(&args.out, mode, &made)?.into_iter().for_each(print_note);
    let mut classifier = device.classifier(&weights, args.batch)?;

    let mut console = Console::new(args)?;
    let options = LoadOptions { reader: Reader::own_child(), fits, ..LoadOptions::default() };
    let mut items = Items::new(&args.inputs, options).cropped(args.crop_arcsec);
    let columns = Columns { classes: weights.card.classes.clone(), min_confidence: args.min_confidence };
    let (mut table, earlier) = TableFile::open(&args.out, mode, &made, &columns, &mut items)?;
    let size = (weights.card.height, weights.card.width);
    let task = Task { items, size, views: args.views, columns: columns.clone() };
    let outcome = run_job(&mut classifier, (&mut table, earlier), task, &mut console);
    // from here on, no error is the input's fault
    let rows = table.rows().to_owned();
    let finished = outcome.and_then(|summary| {
        console.finishing(&table, &args.out);
        Ok((summary, table.finish(&columns, &made)?))
    });
    console.bar.finish_and_clear();
    voice::set_bar(None);
    let failed = |error| anyhow::anyhow!("{error}\n{} rows are in {}", with_separators(console.rows), rows.display());
    let (summary, place) = finished.map_err(failed)?;
    print_text(in_words(&summary, &place, &continuing()))?;
    Ok(ExitCode::from(if summary.stopped { INCOMPLETE } else { u8::from(summary.failed > 0) }))
}

impl Args {
    fn check(&self, weights: &Weights) -> Result<()> {
        if !(0.0..=1.0).contains(&self.min_confidence) {
            return Err(Error::setting("--min-confidence", self.min_confidence, "from 0 to 1"));
        }
        // --force would remove it before it is read
        let same =
            |input: &&PathBuf| matches!((input.canonicalize(), self.out.canonicalize()), (Ok(a), Ok(b)) if a == b);
        if let Some(input) = self.inputs.iter().find(same) {
            return Err(Error::setting("--out", format!("\"{}\"", input.display()), "a file that is no input as well"));
        }
        let (height, width) = (weights.card.height, weights.card.width);
        if self.views > 1 && height != width {
            let got = format!("{} for images of {height} x {width} pixels", self.views);
            return Err(Error::setting("--views", got, "1 for a network whose images are not square"));
        }
        if self.batch < self.views {
            return Err(Error::setting("--batch", self.batch, format!("at least {} with --views 8", self.views)));
        }
        Ok(())
    }
}

fn made(args: &Args, weights: &Weights, device: &Device) -> anyhow::Result<Provenance> {
    let card = &weights.card;
    Ok(Provenance {
        program: env!("CARGO_PKG_VERSION").into(),
        weights_hash: weights.hash(),
        data: card.data.clone(),
        fits: fits_in_words(&args.fits.options()?, args.crop_arcsec),
        network: serde_json::json!({
            "model": serde_json::to_value(&card.model)?,
            "classes": card.classes,
            "height": card.height,
            "width": card.width,
            "preprocessing": card.preprocessing,
        }),
        precision: device.precision.to_string(),
        views: args.views,
        batch: args.batch,
        device: device.identity(),
    })
}

/// How FITS images become pictures: the same words for the same pictures.
fn fits_in_words(options: &FitsOptions, crop_arcsec: Option<f64>) -> String {
    let piece = crop_arcsec.map_or("whole images".into(), |side| format!("pieces of {side} arcseconds"));
    let part = options.hdu.as_ref().map_or("the first image of a file".into(), |part| format!("part {part}"));
    let named = |bands: &Vec<char>| format!("bands {}", bands.iter().collect::<String>().to_lowercase());
    let bands = options.bands.as_ref().map_or("bands as the file has them".into(), named);
    let Stretch { m, q, scales: [g, r, z] } = options.stretch;
    format!("{piece}, {part}, {bands}, stretch m={m},Q={q},g={g},r={r},z={z}")
}

/// `9,998 classified, 2 failed; see F.csv`.
fn in_words(summary: &Summary, out: &Path, again: &str) -> String {
    let mut text = format!("{} classified", with_separators(summary.classified));
    if summary.uncertain > 0 {
        text += &format!(" ({} below --min-confidence)", with_separators(summary.uncertain));
    }
    text += &format!(", {} failed", with_separators(summary.failed));
    if summary.kept > 0 {
        text += &format!(", {} of these rows kept", with_separators(summary.kept));
    }
    text += &format!("; see {}\n", out.display());
    if summary.stopped {
        text = format!("stopped: {text}continue with: {again}\n");
    }
    text
}

/// The command line that this process was given, as one that continues its table.
fn continuing() -> String {
    let given = std::env::args_os().skip(1).map(|word| quoted(&word.to_string_lossy()));
    let mut words: Vec<String> = given.filter(|word| word != "--force" && word != "--continue").collect();
    words.insert(0, "galaxy-gpu".into());
    words.push("--continue".into());
    words.join(" ")
}

/// What the first signal says.
const INTERRUPTED: &str = "the rows of what is being classified are written; Ctrl-C again ends at once, without";

/// The job on the terminal.
struct Console {
    bar: ProgressBar,
    interrupted: Arc<AtomicBool>,
    /// Number of all items, once they are counted; 0 before.
    total: Arc<AtomicU64>,
    started: Instant,
    rows: u64,
}

impl Console {
    fn new(args: &Args) -> anyhow::Result<Self> {
        let bar = ProgressBar::with_draw_target(None, voice::draw_target());
        let (interrupted, total) = (listen_for_interrupts(INTERRUPTED)?, Arc::new(AtomicU64::new(0)));
        if !bar.is_hidden() {
            // on a thread, as counting a folder of millions takes a while; without the count only the time left is missing
            let (inputs, total) = (args.inputs.clone(), total.clone());
            let count = move || total.store(Items::count_all(&inputs).unwrap_or(0), Ordering::Relaxed);
            let _ = std::thread::Builder::new().name("count".into()).spawn(count);
        }
        voice::set_bar(Some(bar.clone()));
        Ok(Self { bar, interrupted, total, started: Instant::now(), rows: 0 })
    }

    /// Shows what is going on after the last item.
    fn finishing(&self, table: &TableFile, out: &Path) {
        if table.is_to_be_made() {
            self.bar.set_message(format!("{} rows, writing {}", with_separators(self.rows), out.display()));
            self.bar.tick();
        }
    }
}

impl Monitor for Console {
    fn progress(&mut self, summary: &Summary, left: Option<u64>) {
        self.rows = summary.rows();
        let made = self.rows - summary.kept;
        let rate = made as f64 / self.started.elapsed().as_secs_f64().max(1e-9);
        let counted = Some(self.total.load(Ordering::Relaxed)).filter(|&total| total > 0);
        let total = counted.or(left.map(|left| self.rows + left)).map(|total| total.max(self.rows));
        let mut message = format!("{rate:.0} images/s");
        if summary.failed > 0 {
            message += &format!("  {} failed", with_separators(summary.failed));
        }
        let mut template = "{wide_msg}";
        if let Some(total) = total {
            let seconds = (total - self.rows) as f64 / rate.max(1e-9);
            message += &format!("  {} left", HumanDuration(Duration::from_secs_f64(seconds.min(1e9))));
            self.bar.set_length(total);
            template = "[{bar:20}] {wide_msg}";
        }
        let of = total.map(|total| format!(" of {}", with_separators(total))).unwrap_or_default();
        self.bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        self.bar.set_message(format!("{}{of}  {message}", with_separators(self.rows)));
        self.bar.set_position(self.rows);
    }

    fn note(&mut self, note: String) {
        print_note(note);
    }

    fn stop(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_one_line() {
        let summary = Summary { classified: 9998, failed: 2, ..Summary::default() };
        assert_eq!(in_words(&summary, Path::new("F.csv"), ""), "9,998 classified, 2 failed; see F.csv\n");
        let stopped = Summary { uncertain: 1, kept: 3, stopped: true, ..summary };
        let text = in_words(&stopped, Path::new("F.csv"), "");
        assert!(
            text.starts_with("stopped: 9,998 classified (1 below --min-confidence), 2 failed, 3 of these rows kept")
        );
    }
}
