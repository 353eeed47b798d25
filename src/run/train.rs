//! A training from its recipe to its run folder.

use super::files::RunFiles;
use super::identity::{recipe_of, resumed};
use super::memory::DeviceMemory;
use super::meter::Meter;
use super::observer::{Begun, Finished, Observer};
use super::pace::Work;
use super::page::{self, EndedRun};
use super::series::Series;
use super::tensorboard::Board;
use super::watcher::Watcher;
use super::{Changes, Note, Opened, PrecisionChoice, Recipe, ScheduleKind, SplitSizes, choosing_set, resume_command};
use crate::data::{Dataset, Split};
use crate::error::{Error, Result};
use crate::kernels::Precision;
use crate::model::{Model, Network};
use crate::report::curves;
use crate::train::{
    self, Assessment, Checkpoint, Identity, MicroBatch, Outcome, RunFolder, Session, Settings, Weights,
    default_per_submit, find_weights,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a training leaves its run, and with what.
#[derive(Clone, Debug)]
pub struct Target {
    /// The folder; `runs/1`, `runs/2`, ... without.
    pub folder: Option<PathBuf>,
    /// Whether an earlier run or series in it is replaced.
    pub force: bool,
    /// Whether to leave `report.html` and its pictures.
    pub report: bool,
    /// Whether to train the network that [`Recipe::weights`] are of, instead of [`Recipe::model`].
    pub model_of_weights: bool,
}

impl Default for Target {
    fn default() -> Self {
        Self { folder: None, force: false, report: true, model_of_weights: false }
    }
}

impl Target {
    /// A new run in this folder.
    pub fn folder(path: impl Into<PathBuf>) -> Self {
        Self { folder: Some(path.into()), ..Self::default() }
    }
}

/// What is done once all refusals are passed, before anything but the run folder is written.
pub(super) type Begins<'b> = &'b mut dyn FnMut() -> Result<()>;

/// Trains, and leaves a run folder: weights, history, checkpoints, what the test set measured, and a report.
///
/// # Errors
/// Bad input, before anything is written; a device or a disk that fails; a training that diverges, after what it has was written.
pub fn train(recipe: &Recipe, target: &Target, observer: &mut dyn Observer) -> Result<Finished> {
    begin(recipe, target, &mut || Ok(()), observer)
}

/// Resumes a run from its newest checkpoint, with its own settings but for these changes. It ends as if it had never been stopped, to the bit.
///
/// # Errors
/// As [`train()`]; no checkpoint; a setting that may not change.
pub fn resume(folder: &Path, changes: &Changes, report: bool, observer: &mut dyn Observer) -> Result<Finished> {
    reopen(folder, changes, report, &mut || Ok(()), observer)
}

pub(super) fn begin(recipe: &Recipe, target: &Target, begins: Begins, observer: &mut dyn Observer) -> Result<Finished> {
    RunFolder::check(target.folder.as_deref(), target.force)?;
    recipe.validate()?;
    let start = recipe.weights.as_deref().map(|run| find_weights(run, false)).transpose()?;
    let model = start.as_ref().filter(|_| target.model_of_weights).map(|start| start.card.model.clone());
    let check = |_: &Dataset, _: &Split, network: &Network| check_start(start.as_ref(), network);
    let opened = Opened::new(recipe, model, None, check, &mut |text| observer.note(text))?;
    let start = start.map(|start| Arc::new(start.tensors));
    let create = |recipe: &Recipe, _: &mut dyn Observer| {
        let path = target.folder.clone().unwrap_or_else(RunFolder::next_free);
        if target.force && path.is_dir() {
            Series::clear(&path, &[], None)?;
        }
        Ok((RunFolder::create(Some(&path), target.force)?, opened.identity(recipe)))
    };
    Training { opened: &opened, report: target.report, start, checkpoint: None }.run(recipe, create, begins, observer)
}

pub(super) fn reopen(
    path: &Path,
    changes: &Changes,
    report: bool,
    begins: Begins,
    observer: &mut dyn Observer,
) -> Result<Finished> {
    let (folder, checkpoint, note) = RunFolder::reopen(path)?;
    let own = recipe_of(&checkpoint.identity)?;
    let recipe = own.resumed(changes, checkpoint.state.standing.history.epochs.len())?;
    note.into_iter().for_each(|text| observer.note(text));
    if let (Some(shaders), false) = (checkpoint.identity.options["shaders"].as_str(), changes.give("shaders")) {
        let again = resume_command(path, Some(Path::new(shaders)));
        observer.note(format!("this run had shaders of its user, which only a command line can name: `{again}`"));
    }
    if recipe.schedule == ScheduleKind::Cosine && own.epochs != recipe.epochs {
        observer.note(format!(
            "the learning rate follows the cosine of {} epochs from here on; until here it followed that of {}",
            recipe.epochs, own.epochs
        ));
    }
    let model = (!changes.give("model")).then(|| checkpoint.identity.card.model.clone());
    let model = model.map_or_else(|| Model::load(&recipe.model), Ok)?;
    let check = |dataset: &Dataset, split: &Split, _: &Network| checkpoint.identity.check(&model, dataset, split);
    let opened = Opened::new(&recipe, Some(model.clone()), None, check, &mut |text| observer.note(text))?;
    let create = |now: &Recipe, observer: &mut dyn Observer| {
        folder.rewind()?.into_iter().for_each(|text| observer.note(text));
        let (before, identity) = (checkpoint.identity.clone(), opened.identity(now));
        Ok((folder, resumed(before, identity, &own, now, &mut |text| observer.note(text))))
    };
    Training { opened: &opened, report, start: None, checkpoint: Some(&checkpoint) }
        .run(&recipe, create, begins, observer)
}

/// Refuses trained weights of another network: another layer, another size of images or number of classes.
fn check_start(start: Option<&Weights>, network: &Network) -> Result<()> {
    let Some(weights) = start else { return Ok(()) };
    let list = |network: &Network| -> Vec<String> {
        network.parameters().map(|parameter| format!("{} of {}", parameter.name, parameter.shape)).collect()
    };
    let (found, wanted) = (list(&weights.network()?), list(network));
    let differs = (0..found.len().max(wanted.len())).find(|&index| found.get(index) != wanted.get(index));
    let Some(index) = differs else { return Ok(()) };
    let name = |list: &[String]| list.get(index).cloned().unwrap_or_else(|| "no more parameters".into());
    let got = format!("those of {}, with {}", weights.card.model.name, name(&found));
    let allowed = format!("those of the network that is trained, {}, with {}", network.name, name(&wanted));
    Err(Error::setting("--weights", got, allowed))
}

/// A training that is ready to begin.
struct Training<'t> {
    opened: &'t Opened,
    report: bool,
    /// Parameters to start from.
    start: Option<Arc<Vec<Vec<f32>>>>,
    /// What a resumed run continues from.
    checkpoint: Option<&'t Checkpoint>,
}

impl Training<'_> {
    fn run(
        self,
        recipe: &Recipe,
        create: impl FnOnce(&Recipe, &mut dyn Observer) -> Result<(RunFolder, Identity)>,
        begins: Begins,
        observer: &mut dyn Observer,
    ) -> Result<Finished> {
        let Opened { dataset, split, network, device, .. } = self.opened;
        recipe.note_conflicts(dataset, &mut |text| observer.note(text));
        let mut session = self.opened.session()?;
        device.unused_choices(session.engine().plan()).into_iter().for_each(|text| observer.note(text));
        // what `auto` has become, for a run that is resumed elsewhere
        let precision = match device.precision {
            Precision::Mixed => PrecisionChoice::Mixed,
            Precision::F32 if device.profile.exact => PrecisionChoice::Exact,
            Precision::F32 => PrecisionChoice::F32,
        };
        let recipe = &Recipe { precision, micro_batch: MicroBatch::of(session.engine().plan()), ..recipe.clone() };
        let (folder, identity) = create(recipe, observer)?;
        folder.settings(&recipe.to_toml(), &identity.card.model.to_toml())?;
        begins()?;
        if !folder.is_locked() {
            let text = "this file system has no locks: see to it that no other process trains into the same folder";
            observer.note(text.into());
        }
        let state = self.checkpoint.map(|checkpoint| &checkpoint.state);
        let standing = state.map(|state| &state.standing);
        let work = Work { epochs: recipe.epochs, images: split.train.len(), validation: split.choosing().len() };
        let steps_per_epoch = work.images.div_ceil(recipe.batch) as u32;
        let bytes = session.engine().plan().bytes();
        let meter = Meter::new(work, DeviceMemory::of(&device.open), bytes.0, standing.map_or(0, |at| at.steps));
        let files = RunFiles::new(folder, identity, recipe, standing, steps_per_epoch);
        let begun = Begun {
            folder: files.folder.path(),
            identity: &files.identity,
            recipe,
            dataset,
            split,
            network,
            device: session.engine().device(),
            why_device: device.why,
            bytes,
            streamed: session.streams(),
            steps_per_epoch,
            standing,
        };
        observer.begin(&begun);
        let board = recipe.tensorboard.then(|| Board::open(&begun));
        let mut watcher = Watcher { files, meter, board, observer };
        let settings = Settings {
            epochs: recipe.epochs,
            seed: recipe.seed,
            adam: recipe.adam()?,
            schedule: recipe.learning_schedule()?,
            patience: recipe.patience,
            time_budget: recipe.time_budget.map(|span| span.0),
            start: self.start,
            per_submit: recipe.steps_per_submit.map_or(default_per_submit(device.profile.kind), |steps| steps as usize),
        };
        let outcome = match state {
            Some(state) => train::resume(&mut session, split, &settings, state, &mut watcher)?,
            None => train::train(&mut session, network, split, &settings, &mut watcher)?,
        };
        finish(self.opened, recipe, &mut session, (outcome, settings.per_submit), watcher, self.report)
    }
}

/// Writes what the training has come to, measures it, and tells the observers.
fn finish(
    opened: &Opened,
    recipe: &Recipe,
    session: &mut Session,
    (mut outcome, per_submit): (Outcome, usize),
    mut watcher: Watcher,
    report: bool,
) -> Result<Finished> {
    watcher.settle();
    let weights = watcher.files.finish(&mut outcome)?;
    let folder = watcher.files.folder.path().to_owned();
    let set = choosing_set(opened.split.chosen_by());
    if let Err(error) = curves(&outcome.history, set, &folder.join("curves.png")) {
        watcher.observer.note(error.to_string());
    }
    // a training that was stopped is resumed, and the test is for its end
    let over = !outcome.stopped && outcome.failure.is_none();
    let measured = if over { measure(opened, session, &outcome, per_submit, &mut watcher, report) } else { None };
    note_failure(&outcome, &weights, &folder, &mut |text| watcher.observer.note(text));
    let failure = outcome.failure.clone();
    let finished = Finished {
        report: report && measured.is_some(),
        folder,
        recipe: recipe.clone(),
        outcome,
        weights,
        split: SplitSizes::of(&opened.split),
        measured,
        memory: watcher.meter.memory(),
    };
    watcher.tell(|observer| observer.end(&finished));
    failure.map_or(Ok(finished), Err)
}

/// Measures the test set with the best weights: the only look at it of a run whose validation set has chosen them. Then leaves the report,
/// which fails no training.
fn measure(
    opened: &Opened,
    session: &mut Session,
    outcome: &Outcome,
    per_submit: usize,
    watcher: &mut Watcher,
    report: bool,
) -> Option<Assessment> {
    let Opened { split, network, .. } = opened;
    let folder = watcher.files.folder.path();
    let found = find_weights(folder, false).and_then(|best| {
        let (found, scored) = opened.assess(session, &best, per_submit)?;
        Ok((best, found, scored))
    });
    let note = &mut |text| watcher.observer.note(text);
    let (weights, found, scored) = match found {
        Ok(found) => found,
        Err(error) => {
            note(format!("the test set is not measured: {error}; `galaxy-gpu evaluate` does it"));
            return None;
        }
    };
    watcher.files.folder.metrics(&found, outcome.early).unwrap_or_else(|error| note(error.to_string()));
    if report {
        let (identity, history) = (&watcher.files.identity, &outcome.history);
        let (weights, assessment, scored) = (&weights, &found, &scored);
        let run = EndedRun { folder, identity, weights, network, split, history, assessment, scored };
        page::leave(&run, session, &["png"], note).unwrap_or_else(|error| note(format!("there is no report: {error}")));
    }
    Some(found)
}

/// Says what is saved where the device failed, and what it means that steps were refused.
fn note_failure(outcome: &Outcome, weights: &Weights, folder: &Path, note: Note) {
    if matches!(outcome.failure, Some(Error::Device { .. })) {
        let (steps, resume) = (outcome.steps, resume_command(folder, None));
        note(format!("everything up to step {steps} is saved; `{resume}` continues from there"));
    }
    if outcome.refused > 0 && outcome.failure.is_none() {
        // in mixed precision a few are how the loss scale finds its place
        let few = weights.card.precision == Precision::Mixed && outcome.refused <= 10 + outcome.steps / 100;
        let advice = if few { "the loss scale has adapted to that" } else { "try a smaller --learning-rate" };
        note(format!(
            "{} of {} steps changed nothing, as their loss or gradient was not finite; {advice}",
            outcome.refused, outcome.steps
        ));
    }
}
