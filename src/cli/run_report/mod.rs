//! The pictures and the page of a finished run: made at the end of `train`, and anew by `galaxy-gpu report`.

mod command;
mod facts;
mod pictures;

use super::options::{DataOptions, DeviceOptions, print_notes};
use super::{print_note, print_text, train};
use crate::data::{ChosenBy, Split};
use crate::error::{Error, Result};
use crate::graph::Augment;
use crate::model::Network;
use crate::report::{self, Report, chosen};
use crate::train::history::History;
use crate::train::{
    Assessment, Checkpoint, Identity, Measured, RunFolder, Scored, Session, Setup, Weights, assess_each,
    default_per_submit, find_weights,
};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Which run.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  galaxy-gpu report runs/1
  galaxy-gpu report runs/decals --data /elsewhere/Galaxy10_DECals.h5

Measures the best weights on the test side again and draws report.html, curves.png, confusion_matrix.png, \
reliability.png, mistakes.png, samples.png and augmented.png into the run folder. Data, split and settings are those \
of the run, which its checkpoint knows; data that has moved is named with --data, and refused where it is not the \
run's own.")]
pub struct Args {
    /// Run folder
    run: PathBuf,
    /// The run's data, where it has moved
    #[arg(long, value_name = "FILE|FOLDER")]
    data: Option<PathBuf>,
    /// The run's split, where it has moved
    #[arg(long, value_name = "FILE.csv")]
    split: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceOptions,
}

/// A run that has ended, and what was measured of it.
pub struct Finished<'a> {
    /// Its folder.
    pub folder: &'a Path,
    /// What it is.
    pub identity: &'a Identity,
    /// The weights that were measured.
    pub weights: &'a Weights,
    /// Their network.
    pub network: &'a Network,
    /// Which images trained and which tested.
    pub split: &'a Split,
    /// Its epochs.
    pub history: &'a History,
    /// What was measured, in all and image by image.
    pub assessment: &'a Assessment,
    /// Image by image.
    pub scored: &'a Scored,
}

impl Finished<'_> {
    /// Which side chose the best epoch.
    fn side(&self) -> &'static str {
        side(self.split)
    }

    /// How images were augmented; `None` also where nobody knows any more.
    fn augment(&self) -> Option<Augment> {
        stored(self.identity)?.augment.ranges().ok().flatten()
    }
}

/// Which side of a split chooses the best epoch.
pub fn side(split: &Split) -> &'static str {
    if split.chosen_by() == ChosenBy::Test { "test" } else { "validation" }
}

/// The settings of a run; `None` where it has none, or of another version.
fn stored(identity: &Identity) -> Option<train::Args> {
    serde_json::from_value(identity.options.clone()).ok()
}

/// Draws the pictures, of which those that cannot be drawn are notes, and writes the page. The session is of no use afterwards, as
/// its kernels are timed by training on.
///
/// # Errors
/// The page cannot be written.
pub fn leave(run: &Finished, session: &mut Session) -> Result<()> {
    // the only part that needs the device, and what it says is in the page
    let kernels = facts::kernels(run, session);
    let (dataset, seed) = (session.dataset(), run.identity.card.seed);
    let samples = pictures::samples(dataset, &run.split.train, seed);
    let image = |image: u32| dataset.image(image as usize);
    let report = Report {
        title: facts::title(run, session),
        made: facts::made(run),
        summary: facts::summary(run, session),
        classes: &run.weights.card.classes,
        history: run.history,
        side: run.side(),
        assessment: run.assessment,
        scored: run.scored,
        mistakes: chosen::mistakes(&run.scored.predictions(), &run.weights.card.classes),
        samples: pictures::with_names(dataset, &samples),
        augmented: pictures::augmented(dataset, &samples, run.augment(), seed),
        layers: facts::layers(run),
        kernels,
        provenance: facts::provenance(run),
        command: facts::command(run),
        size: (dataset.height, dataset.width),
        image: &image,
    };
    pictures::draw(&report, run.folder);
    report.write(&run.folder.join("report.html"))
}

/// Makes the report of a run anew.
///
/// # Errors
/// No run there, or one that another process trains into; data, split or network that are not the run's own; a device that fails.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let folder = RunFolder::open(&args.run)?;
    let (Checkpoint { identity, .. }, _) = Checkpoint::load(&args.run)?;
    let weights = find_weights(&args.run, false)?;
    let mut settings = stored(&identity).ok_or_else(|| {
        let problem = format!("written by version {} and unreadable", identity.program);
        Error::setting("the run's settings", problem, "those of this version; use the program that wrote them")
    })?;
    // where it trained, and with whose shaders, is of no matter here
    settings.device = args.device.clone();
    let data = args.data_of(&settings);
    let dataset = data.load()?;
    print_notes(&dataset);
    let split = data.split(&dataset, identity.card.seed)?;
    let split = split.set_aside(&dataset, identity.card.validation, identity.card.seed)?;
    identity.check(&weights.card.model, &dataset, &split)?;
    let network = weights.network()?;
    let device = args.device.open()?;
    let (precision, profile) = device.precision_of_run(args.device.precision, weights.card.precision)?;
    let setup =
        Setup { class_weights: settings.class_weights.weights(&dataset, &split)?, precision, ..settings.setup()? };
    let make_engine = |plan| device.engine(plan, args.device.checked);
    // where there is no room to train a step there may be room to measure
    let mut session = match Session::new(&network, &dataset, &setup, &profile, make_engine) {
        Err(Error::Memory { .. }) => {
            let setup = Setup { training: false, ..setup };
            Session::new(&network, &dataset, &setup, &profile, make_engine)?
        }
        opened => opened?,
    };
    let have_chosen = split.chosen_by() == ChosenBy::Test;
    let measured = Measured { name: "test", images: &split.test, validation: &split.validation, have_chosen };
    let (assessment, scored) = assess_each(&mut session, &weights, measured, default_per_submit(profile.kind))?;
    report::curves(folder.history(), side(&split), &args.run.join("curves.png")).unwrap_or_else(print_note);
    let (weights, network, split, history) = (&weights, &network, &split, folder.history());
    let (assessment, scored) = (&assessment, &scored);
    let run = Finished { folder: &args.run, identity: &identity, weights, network, split, history, assessment, scored };
    leave(&run, &mut session)?;
    print_text(format!("report   {}\n", args.run.join("report.html").display()))?;
    Ok(ExitCode::SUCCESS)
}

impl Args {
    /// The run's data options, where they are not given anew.
    fn data_of(&self, settings: &train::Args) -> DataOptions {
        let own = settings.data.clone();
        DataOptions { data: self.data.clone().or(own.data), split: self.split.clone().or(own.split), ..own }
    }
}
