//! What a report says of a run in words: data, split, model, device, and what decides its numbers.

use super::Finished;
use super::command::reproducing;
use crate::cli::assessment::split_in_words;
use crate::cli::log::utc;
use crate::plan::{Program, Step};
use crate::report::html::{Fact, Kernel, Kernels, Layer};
use crate::report::table::with_separators;
use crate::train::Session;
use crate::train::bench::session_dispatches;
use std::time::SystemTime;

/// Longest step that is timed again and again on the side, in seconds.
const LONGEST_STEP: f64 = 0.5;
/// Seconds for the timing of kernels, where a few runs do not take longer.
const BUDGET: f64 = 0.5;

/// The heading.
pub fn title(run: &Finished, session: &Session) -> String {
    format!("{} on {}", run.network.name, session.dataset().name)
}

/// When the report was made.
pub fn made(run: &Finished) -> String {
    format!("{}, made {} by galaxy-gpu {}", run.folder.display(), utc(SystemTime::now()), env!("CARGO_PKG_VERSION"))
}

/// The run in a few facts.
pub fn summary(run: &Finished, session: &Session) -> Vec<Fact> {
    let (dataset, card, history) = (session.dataset(), &run.weights.card, run.history);
    let (images, classes) = (dataset.len(), dataset.classes.len());
    let seconds: f64 = history.epochs.iter().map(|record| f64::from(record.seconds)).sum();
    let trained = history.epochs.len() * run.split.train.len();
    let options = &run.identity.options;
    let mut training = format!("{} epochs", history.epochs.len());
    for (name, unit) in [("batch", "images a step"), ("learning_rate", "learning rate")] {
        if let Some(value) = options.get(name) {
            training += &format!(", {value} {unit}");
        }
    }
    let augment = match options.get("augment").and_then(|value| value.as_str()) {
        Some(switch) => format!(", augmentation {}", switch.to_lowercase()),
        None => String::new(),
    };
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
        Fact::new("Training", training + &augment),
        Fact::new("Device", &run.identity.device),
        Fact::new("Precision", card.precision),
        Fact::new(
            "Time",
            format!("{seconds:.1} s in epochs, {speed:.0} training images a second, validation included"),
        ),
        Fact::new(
            "Measured",
            format!(
                "{} {} images, with the weights of epoch {}, chosen by the {} side",
                run.assessment.count,
                run.assessment.images,
                card.epochs,
                run.side()
            ),
        ),
    ]
}

/// Where it ran and what else decides its numbers.
pub fn provenance(run: &Finished) -> Vec<Fact> {
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
pub fn command(run: &Finished) -> Vec<String> {
    let unknown = "# not known: the settings of this run are gone with its checkpoint, or of another version";
    reproducing(&run.identity.options).unwrap_or_else(|| vec![unknown.into()])
}

/// The network's layers.
pub fn layers(run: &Finished) -> Vec<Layer> {
    let layer = |node: &crate::model::Node| Layer {
        name: node.name.clone(),
        output: node.output.sizes().to_vec(),
        parameters: node.parameters.iter().map(|parameter| parameter.shape.elements()).sum(),
    };
    run.network.nodes.iter().map(layer).collect()
}

/// Times the kernels of a step of the session, or says why not. The session trains a few steps meanwhile.
pub fn kernels(run: &Finished, session: &mut Session) -> Result<Kernels, String> {
    let device = session.engine().device();
    let by_hand = "`galaxy-gpu bench step --kernels` times them";
    if session.engine().clock() != "gpu" {
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
    let about = format!(
        "a {what} of {batch} images in {precision} on {device}, kernel by kernel in its order: medians of a few runs on the device's own clock, each kernel timed alone"
    );
    Ok(Kernels { about, calls })
}
