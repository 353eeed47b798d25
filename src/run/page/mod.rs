//! The pictures and the page of a run that has ended: made at the end of a training, and anew by `galaxy-gpu report`.

mod facts;
mod pictures;

pub use facts::utc;

use super::{Changes, Note, Opened, Recipe, choosing_set, recipe_of};
use crate::data::{Dataset, Split};
use crate::error::Result;
use crate::graph::Augment;
use crate::model::Network;
use crate::report::{Report, chosen, curves};
use crate::train::history::History;
use crate::train::{
    Assessment, Checkpoint, Identity, RunFolder, Scored, Session, Weights, default_per_submit, find_weights,
};
use std::path::Path;

/// A run that has ended, and what was measured of it.
pub struct EndedRun<'a> {
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

impl EndedRun<'_> {
    /// Which set chose the best epoch.
    fn choosing_set(&self) -> &'static str {
        choosing_set(self.split.chosen_by())
    }

    /// How images were augmented; `None` also where nobody knows any more.
    fn augment(&self) -> Option<Augment> {
        recipe_of(self.identity).ok()?.augmentation().ok().flatten()
    }
}

/// Draws the pictures, charts in each of `formats`, and writes the page. A picture that cannot be drawn is a note. The session is of
/// no use afterwards, as its kernels are timed by training on.
///
/// # Errors
/// The page cannot be written.
pub fn leave(run: &EndedRun, session: &mut Session, formats: &[&str], note: Note) -> Result<()> {
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
        side: run.choosing_set(),
        assessment: run.assessment,
        scored: run.scored,
        mistakes: chosen::mistakes(&run.scored.predictions(), &run.weights.card.classes),
        samples: pictures::with_names(dataset, &samples),
        augmented: pictures::augmented(dataset, &samples, run.augment(), seed, note),
        layers: facts::layers(run),
        kernels,
        provenance: facts::provenance(run),
        command: facts::command(run),
        size: (dataset.height, dataset.width),
        image: &image,
    };
    pictures::draw(&report, run.folder, formats, note);
    report.write(&run.folder.join("report.html"))
}

/// Makes the report of a run anew. `changes` may name the run's data and split where they have moved; where it computes is what
/// `device` says. Charts are drawn as PNG, and in `format`, too.
///
/// # Errors
/// No run there, or one that another process trains into; data, split or network that are not the run's own; a device that fails.
pub fn remake(path: &Path, changes: &Changes, device: &Recipe, format: &str, note: Note) -> Result<()> {
    let folder = RunFolder::open(path)?;
    let (Checkpoint { identity, .. }, _) = Checkpoint::load(path)?;
    let weights = find_weights(path, false)?;
    let recipe = recipe_of(&identity)?.with(changes)?.on_device_of(device);
    let check = |dataset: &Dataset, split: &Split, _: &Network| identity.check(&weights.card.model, dataset, split);
    let (model, trained) = (Some(weights.card.model.clone()), Some(weights.card.precision));
    let opened = Opened::new(&recipe, model, trained, check, note)?;
    // where there is no room to train a step there may be room to measure
    let mut session = opened.session_or_inference()?;
    let (assessment, scored) = opened.assess(&mut session, &weights, default_per_submit(opened.device.profile.kind))?;
    let (split, network, history) = (&opened.split, &opened.network, folder.history());
    let formats = if format == "png" { vec!["png"] } else { vec!["png", format] };
    for format in &formats {
        let drawn = curves(history, choosing_set(split.chosen_by()), &path.join(format!("curves.{format}")));
        drawn.unwrap_or_else(|error| note(error.to_string()));
    }
    let (identity, weights, assessment, scored) = (&identity, &weights, &assessment, &scored);
    let run = EndedRun { folder: path, identity, weights, network, split, history, assessment, scored };
    leave(&run, &mut session, &formats, note)
}
