//! What a report says of a run in words: data, split, model, device, and what decides its numbers.

use super::EndedRun;
use crate::plan::{Program, Step};
use crate::report::html::{Fact, Kernel, Kernels, Layer};
use crate::report::table::with_separators;
use crate::run::{recipe_of, split_in_words};
use crate::train::Session;
use crate::train::bench::session_dispatches;
use chrono::{DateTime, Utc};
use std::time::SystemTime;

/// Longest step that is timed again and again on the side, in seconds.
const LONGEST_STEP: f64 = 0.5;
/// Seconds for the timing of kernels, where a few runs do not take longer.
const BUDGET: f64 = 0.5;

/// The heading.
pub fn title(run: &EndedRun, session: &Session) -> String {
    format!("{} on {}", run.network.name, session.dataset().name)
}

/// When the report was made.
pub fn made(run: &EndedRun) -> String {
    format!("{}, made {} by galaxy-gpu {}", run.folder.display(), utc(SystemTime::now()), env!("CARGO_PKG_VERSION"))
}

/// The run in a few facts.
pub fn summary(run: &EndedRun, session: &Session) -> Vec<Fact> {
    let (dataset, card, history) = (session.dataset(), &run.weights.card, run.history);
    let (images, classes) = (dataset.len(), dataset.classes.len());
    let seconds: f64 = history.epochs.iter().map(|record| f64::from(record.seconds)).sum();
    let trained = history.epochs.len() * run.split.train.len();
    let mut training = format!("{} epochs", history.epochs.len());
    if let Ok(recipe) = recipe_of(run.identity) {
        let augment = if recipe.augment { "on" } else { "off" };
        let (batch, rate) = (recipe.batch, recipe.learning_rate);
        training += &format!(", {batch} images a step, {rate} learning rate, augmentation {augment}");
    }
    let speed = trained as f64 / seconds.max(1e-9);
    vec![
        Fact::new(
            "Model",
            format!("{}, {} parameters", run.network.name, with_separators(run.network.parameter_count())),
        ),
        Fact::new(
            "Data",
            format!("{}: {images} images of {} × {}, {classes} classes", dataset.name, dataset.width, dataset.height),
        ),
        Fact::new("Split", split_in_words(run.split)),
        Fact::new("Training", training),
        Fact::new("Device", &run.identity.device),
        Fact::new("Precision", card.precision),
        Fact::new(
            "Time",
            format!("{seconds:.1} s in epochs, {speed:.0} training images a second, validation included"),
        ),
        Fact::new(
            "Measured",
            format!(
                "{} {} images, with the weights of epoch {}, chosen by the {} set",
                run.assessment.count,
                run.assessment.images,
                card.epochs,
                run.choosing_set()
            ),
        ),
    ]
}

/// Where it ran and what else decides its numbers.
pub fn provenance(run: &EndedRun) -> Vec<Fact> {
    let (identity, card) = (run.identity, &run.weights.card);
    vec![
        Fact::new("Program", format!("galaxy-gpu {}", identity.program)),
        Fact::new("Device", &identity.device),
        Fact::new("System", format!("{} on {}", std::env::consts::OS, std::env::consts::ARCH)),
        Fact::new("Precision", card.precision),
        Fact::new("Seed", card.seed),
        Fact::new("Data", format!("hash {}", identity.data_hash)),
        Fact::new("Split", format!("hash {}", card.split_hash)),
        Fact::new("Weights", format!("hash {} (those that are measured)", run.weights.hash())),
        Fact::new(
            "Same bits",
            "the same program, device, driver, seed, data and split give the same weights to the bit",
        ),
    ]
}

/// The command that makes the run again.
pub fn command(run: &EndedRun) -> Vec<String> {
    let unknown = "# not known: the settings of this run are gone with its checkpoint, or of another version";
    recipe_of(run.identity).map_or_else(|_| vec![unknown.into()], |recipe| recipe.command())
}

/// The network's layers.
pub fn layers(run: &EndedRun) -> Vec<Layer> {
    let layer = |node: &crate::model::Node| Layer {
        name: node.name.clone(),
        output: node.output.sizes().to_vec(),
        parameters: node.parameters.iter().map(|parameter| parameter.shape.elements()).sum(),
    };
    run.network.nodes.iter().map(layer).collect()
}

/// Times the kernels of a step of the session, or says why not. The session trains a few steps meanwhile.
pub fn kernels(run: &EndedRun, session: &mut Session) -> Result<Kernels, String> {
    let device = session.engine().device();
    let by_hand = "`galaxy-gpu bench step --kernels` times them";
    if session.engine().clock() == "wall" {
        return Err(format!("not available: {device} has no clock that tells kernels apart"));
    }
    if let Some(seconds) = run.seconds_a_step(session.batch()).filter(|seconds| *seconds > LONGEST_STEP) {
        return Err(format!("not measured, as a step takes about {seconds:.1} s here; {by_hand}"));
    }
    let failed = |error: crate::Error| format!("not measured: {error}");
    let (program, dispatches) = session_dispatches(session, BUDGET).map_err(failed)?;
    let call = |(step, seconds): (&Step, &Vec<f64>)| Kernel {
        layer: step.layer.clone(),
        contract: step.contract.name.to_owned(),
        implementation: step.implementation.to_owned(),
        seconds: seconds.iter().sum(),
        flops: step.cost.flops,
        bytes: step.cost.bytes,
    };
    let calls = session.engine().plan().steps(program).iter().zip(&dispatches.seconds).map(call).collect();
    let what = if program == Program::Train { "training step" } else { "inference batch" };
    let (batch, precision) = (session.batch(), session.precision());
    let clock = if session.engine().clock() == "gpu" { "on the device's own clock" } else { "by the CPU's clock" };
    let about = format!(
        "a {what} of {batch} images in {precision} on {device}, kernel by kernel in its order: medians of a few runs {clock}, each kernel timed alone"
    );
    Ok(Kernels { about, calls })
}

/// A time as `2026-03-01 09:05:00Z` (ISO 8601, with a space for its T), in universal time.
pub fn utc(time: SystemTime) -> String {
    DateTime::<Utc>::from(time).format("%Y-%m-%d %H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn moments_are_written_in_universal_time() {
        let at = |seconds| utc(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01 00:00:00Z");
        assert_eq!(at(951_782_400 + 86_399), "2000-02-29 23:59:59Z");
        assert_eq!(at(951_868_800), "2000-03-01 00:00:00Z");
        assert_eq!(at(1_709_164_800), "2024-02-29 00:00:00Z");
        assert_eq!(at(4_107_542_400), "2100-03-01 00:00:00Z", "2100 has no leap day");
        assert_eq!(at(1_798_761_599), "2026-12-31 23:59:59Z");
    }
}
