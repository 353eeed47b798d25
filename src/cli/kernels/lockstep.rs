//! `kernels validate --lockstep`: compares a whole training step and a batch of inference with the twins, call by call.

use super::Selection;
use crate::cli::model::check_range;
use crate::cli::{note, print_json, print_text};
use crate::data::simulate;
use crate::engine::lockstep::{Compare, Compared, lockstep};
use crate::engine::validate::Compile;
use crate::engine::{CpuEngine, Engine};
use crate::error::{Error, Result};
use crate::graph::Augment;
use crate::kernels::{Precision, StepParams};
use crate::model::{Model, initialise};
use crate::plan::{Choice, Plan, Program};
use crate::report::Table;
use crate::run::{DeviceKind, OpenDevice, PrecisionChoice, Recipe, unused_choices};
use crate::train::{Adam, Session, Setup};
use serde::Serialize;
use std::process::ExitCode;

/// Options of --lockstep.
#[derive(clap::Args)]
pub struct Options {
    /// Run a whole training step and a batch of inference of a network, kernels beside twins, and stop at the first wrong call
    #[arg(long, conflicts_with = "filter")]
    pub lockstep: bool,
    /// Where --lockstep runs its kernels [default: the first adapter]
    #[arg(long, value_enum, requires = "lockstep")]
    device: Option<DeviceKind>,
    /// Network of --lockstep: conv3, conv4, or a TOML file
    #[arg(long, default_value = "conv4", value_name = "NAME|FILE.toml", requires = "lockstep")]
    model: String,
    /// Side of an image of --lockstep in pixels
    #[arg(long, default_value_t = 32, value_name = "PIXELS", requires = "lockstep")]
    size: usize,
    /// Images in the step of --lockstep
    #[arg(long, default_value_t = 4, value_name = "N", requires = "lockstep")]
    batch: usize,
    /// What the step of --lockstep stores activations and weights in
    #[arg(long, value_enum, default_value = "f32", requires = "lockstep")]
    precision: PrecisionChoice,
    /// Run every layer of --lockstep alone, without fused blocks
    #[arg(long, requires = "lockstep")]
    no_fuse: bool,
    /// Insist on an implementation in --lockstep, such as conv_block.forward=direct (may be repeated)
    #[arg(long = "use", value_name = "CONTRACT=NAME", requires = "lockstep")]
    choices: Vec<Choice>,
    /// Seed of the weights, the augmentation and dropout of --lockstep
    #[arg(long, default_value_t = 0, requires = "lockstep")]
    seed: u32,
}

/// An output of a call in the JSON.
#[derive(Serialize)]
struct OutputReport {
    tensor: String,
    /// Name of the contract's binding.
    binding: &'static str,
    /// Null if it is infinite: NaN, or integers that differ.
    worst_error: Option<f64>,
    tolerance: f64,
    /// Index of the worst element.
    index: usize,
    got: Option<f64>,
    twin: Option<f64>,
    passed: bool,
}

/// A call in the JSON.
#[derive(Serialize)]
struct CallReport {
    program: &'static str,
    number: usize,
    layer: String,
    contract: &'static str,
    implementation: &'static str,
    shaders: Vec<String>,
    passed: bool,
    outputs: Vec<OutputReport>,
}

#[derive(Serialize)]
struct Report<'a> {
    adapter: String,
    model: &'a str,
    size: usize,
    batch: usize,
    precision: Precision,
    passed: bool,
    calls: Vec<CallReport>,
}

/// Runs both programs in lockstep and prints the result of each call; exit code 1 if one is wrong.
///
/// # Errors
/// There is no adapter, a size is out of range, the network cannot be built, a choice cannot be followed, or a shader does not
/// compile.
pub fn run(selection: &Selection, options: &Options, compile: &Compile) -> anyhow::Result<ExitCode> {
    let Options { size, batch, .. } = *options;
    check_range("--batch", batch, 1024)?;
    options.choices.iter().try_for_each(|choice| choice.check(&compile.shaders))?;
    let dataset = simulate::simulate(&simulate::Settings { images: batch.max(10), size, seed: options.seed.into() })?;
    let network = Model::load(&options.model)?.build(size, size, dataset.classes.len())?;
    let open = options.open(selection)?;
    let (precision, profile) = open.precision(options.precision, &mut note)?;
    let setup = Setup {
        training: true,
        augment: Some(Augment::default()),
        ema: true,
        fuse: !options.no_fuse,
        precision,
        choices: options.choices.clone(),
        shaders: compile.shaders.clone(),
        ..Setup::inference(batch)
    };
    let on_device = |plan: Plan| open.engine(plan, compile.checked);
    let twins = |plan: Plan| Ok(Box::new(CpuEngine::<f32>::new(plan)) as Box<dyn Engine>);
    let mut kernels = Session::new(&network, &dataset, &setup, &profile, on_device)?;
    unused_choices(kernels.engine().plan(), &setup.choices).into_iter().for_each(note);
    let mut twins = Session::new(&network, &dataset, &setup, &profile, twins)?;
    let weights: Vec<Vec<f32>> =
        network.parameters().enumerate().map(|(i, p)| initialise(p, i, options.seed.into())).collect();
    let order: Vec<u32> = (0..dataset.len() as u32).collect();
    for session in [&mut kernels, &mut twins] {
        session.set_parameters(&weights)?;
        session.set_order(&order)?;
    }
    let calls = both_programs(&mut kernels, &mut twins, options)?;
    let fault = calls.iter().find_map(|(program, call)| Some((program, call, call.fault()?)));
    if selection.json {
        let (adapter, model) = (kernels.engine().device(), &options.model[..]);
        let passed = fault.is_none();
        let calls = calls.into_iter().map(|(program, call)| CallReport::new(program, call)).collect();
        print_json(&Report { adapter, model, size, batch, precision, passed, calls })?;
        return Ok(ExitCode::from(u8::from(!passed)));
    }
    print_text(format!(
        "{}\n{}, {size} px, batch {batch}, {precision}: inputs of every call are the twin's\n\n{}",
        kernels.engine().device(),
        network.name,
        table(&calls)
    ))?;
    print_text(match fault {
        Some((program, call, output)) => in_words(program, call, output),
        None => format!("\n{} calls agree with their twins\n", calls.len()),
    })?;
    Ok(ExitCode::from(u8::from(fault.is_some())))
}

impl Options {
    /// The device that is named, or the adapter.
    fn open(&self, selection: &Selection) -> Result<OpenDevice> {
        let Some(device) = self.device else { return selection.open().map(OpenDevice::Gpu) };
        Recipe { device, adapter: selection.adapter.clone(), ..Recipe::default() }.open_device()
    }
}

/// The calls of a training step, then those of inference, up to the first that is wrong.
fn both_programs(
    kernels: &mut Session,
    twins: &mut Session,
    options: &Options,
) -> Result<Vec<(&'static str, Compare)>> {
    // the second step, in which Adam's moments are in use; the norm of any gradient that is not nearly zero is clipped
    let adam = Adam { clip_norm: Some(1e-3), ema: Some(0.999), ..Adam::default() };
    let params = StepParams { seed: options.seed, count: options.batch as u32, ..adam.params(1) };
    let mut calls: Vec<(&'static str, Compare)> = Vec::new();
    for (name, program) in [("train", Program::Train), ("infer", Program::Infer)] {
        if calls.last().is_some_and(|(_, call)| call.fault().is_some()) {
            break;
        }
        let compared = lockstep(kernels.engine_mut(), twins.engine_mut(), program, &params)?;
        calls.extend(compared.into_iter().map(|call| (name, call)));
    }
    match calls.is_empty() {
        true => Err(Error::setting("--model", "without calls", "a network that computes something")),
        false => Ok(calls),
    }
}

fn table(calls: &[(&'static str, Compare)]) -> Table {
    let header = ["program", "layer", "contract", "implementation", "worst tensor", "error", "allowed", "verdict"];
    let mut table = Table::new(&header).right([5, 6]);
    for (program, call) in calls {
        let fault = call.fault();
        let worst = fault.or_else(|| call.worst());
        let [error, allowed] = match worst {
            Some(Compared { deviation, .. }) if deviation.error == 0.0 => ["exact".into(), String::new()],
            Some(output) => [output.deviation.error, output.tolerance.relative].map(|number| format!("{number:.1e}")),
            None => [String::new(), String::new()],
        };
        table.row(&[
            (*program).to_owned(),
            call.layer.clone(),
            call.contract.to_owned(),
            call.implementation.to_owned(),
            worst.map_or(String::new(), |output| output.tensor.clone()),
            error,
            allowed,
            (if fault.is_some() { "WRONG" } else { "agrees" }).to_owned(),
        ]);
    }
    table
}

/// The call that is wrong, all of it.
fn in_words(program: &str, call: &Compare, output: &Compared) -> String {
    let Compared { tensor, binding, deviation, tolerance } = output;
    format!(
        "\nWRONG in {program}, call {}: {}={} of layer {}\n  tensor   {tensor} (the contract's {binding})\n  element  {}: the \
         kernel has {:e}, the twin {:e}\n  error    {:.2e}, mean square {:.2e}; allowed {:.2e} and its square\n{}",
        call.number,
        call.contract,
        call.implementation,
        call.layer,
        deviation.index,
        deviation.got,
        deviation.want,
        deviation.error,
        deviation.nmse,
        tolerance.relative,
        if call.shaders.is_empty() { String::new() } else { format!("  shader   {}\n", call.shaders.join(", ")) },
    )
}

impl CallReport {
    fn new(program: &'static str, call: Compare) -> Self {
        let passed = call.fault().is_none();
        let finite = |number: f64| Some(number).filter(|number| number.is_finite());
        let outputs = call.outputs.into_iter().map(|Compared { tensor, binding, deviation, tolerance }| OutputReport {
            tensor,
            binding,
            worst_error: finite(deviation.error),
            tolerance: tolerance.relative,
            index: deviation.index,
            got: finite(deviation.got),
            twin: finite(deviation.want),
            passed: deviation.passed,
        });
        Self {
            program,
            number: call.number,
            layer: call.layer,
            contract: call.contract,
            implementation: call.implementation,
            shaders: call.shaders,
            passed,
            outputs: outputs.collect(),
        }
    }
}
