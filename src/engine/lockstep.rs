//! Runs one step on two engines side by side and compares them call by call: the GPU's kernels with the twins, on the numbers
//! of a real training.
//!
//! Before each call, the other engine gets the twin's inputs. So each call is judged by itself, the first one that is wrong is
//! the one at fault, and tolerances need not grow with the depth of the network. Outputs that a kernel must overwrite hold NaN
//! before the call.

use super::validate::exact_words;
use super::{Engine, read_floats, write_floats};
use crate::error::{Error, Result};
use crate::graph::TensorId;
use crate::kernels::compare::Deviation;
use crate::kernels::{Access, Binding, Element, StepParams, Tolerance};
use crate::plan::{Plan, Program, Step};

/// The comparison of one output of a call.
#[derive(Clone, Debug)]
pub struct Compared {
    /// Name of the tensor.
    pub tensor: String,
    /// Name of the contract's binding.
    pub binding: &'static str,
    /// The worst element or, for integers, how many words differ.
    pub deviation: Deviation,
    /// The error that is allowed.
    pub tolerance: Tolerance,
}

/// The comparison of one call.
#[derive(Clone, Debug)]
pub struct Compare {
    /// Number of the call in the program.
    pub number: usize,
    /// Name of the layer.
    pub layer: String,
    /// Name of the contract.
    pub contract: &'static str,
    /// The implementation that the first engine ran.
    pub implementation: &'static str,
    /// Files of its kernels.
    pub shaders: Vec<String>,
    /// The outputs of the call.
    pub outputs: Vec<Compared>,
}

impl Compare {
    /// The first output outside its tolerance.
    pub fn fault(&self) -> Option<&Compared> {
        self.outputs.iter().find(|output| !output.deviation.passed)
    }

    /// The output whose error is the largest fraction of its tolerance.
    pub fn worst(&self) -> Option<&Compared> {
        let fraction = |output: &Compared| match output.tolerance.relative {
            _ if output.deviation.error == 0.0 => 0.0,
            allowed => output.deviation.error / allowed.max(f64::MIN_POSITIVE),
        };
        self.outputs.iter().max_by(|a, b| fraction(a).total_cmp(&fraction(b)))
    }
}

/// Runs one step of a program (with all its micro-batches) on both engines, which must hold plans of one graph and the same data.
/// Stops at the first call with an output outside its tolerance, which is then the last of the list.
///
/// # Errors
/// Plans of different graphs; a lost device.
pub fn lockstep(
    engine: &mut dyn Engine,
    twins: &mut dyn Engine,
    program: Program,
    params: &StepParams,
) -> Result<Vec<Compare>> {
    let calls = |plan: &Plan| plan.steps(program).iter().map(|step| step.contract.name).collect::<Vec<_>>();
    if calls(engine.plan()) != calls(twins.plan()) {
        return Err(Error::setting("the plans of a lockstep", "of different graphs", "of one graph"));
    }
    let mut compared = Vec::new();
    for part in engine.plan().parts(params) {
        let steps = engine.plan().steps_of(program, &part).to_vec();
        for (number, step) in steps.iter().enumerate() {
            let call = one_call(engine, twins, (program, number, step), &part)?;
            let ends = call.fault().is_some();
            compared.push(call);
            if ends {
                return Ok(compared);
            }
        }
    }
    Ok(compared)
}

/// Runs one call on both engines and compares its outputs.
fn one_call(
    engine: &mut dyn Engine,
    twins: &mut dyn Engine,
    (program, number, step): (Program, usize, &Step),
    params: &StepParams,
) -> Result<Compare> {
    let tensors: Vec<(TensorId, &Binding)> = step.tensors.iter().copied().zip(step.contract.bindings).collect();
    for (tensor, binding) in &tensors {
        match binding.access {
            Access::Read | Access::Update => hand_over(twins, engine, *tensor)?,
            Access::Write => spoil(engine, *tensor)?,
        }
    }
    engine.run_alone(program, number, params)?;
    twins.run_alone(program, number, params)?;
    let written = tensors.iter().filter(|(_, binding)| binding.access != Access::Read);
    let tolerance = (step.contract.tolerance)(&step.constants);
    let outputs = written.map(|(tensor, binding)| compare(engine, twins, *tensor, binding, tolerance));
    Ok(Compare {
        number,
        layer: step.layer.clone(),
        contract: step.contract.name,
        implementation: step.implementation,
        shaders: step.dispatches.iter().map(|dispatch| dispatch.source.kernel().place()).collect(),
        outputs: outputs.collect::<Result<_>>()?,
    })
}

/// Copies a tensor from one engine to the other, bit for bit.
fn hand_over(from: &mut dyn Engine, to: &mut dyn Engine, tensor: TensorId) -> Result<()> {
    let bytes = from.read(tensor)?;
    to.write(tensor, &bytes)
}

/// Fills a tensor with values that no kernel writes.
fn spoil(engine: &mut dyn Engine, tensor: TensorId) -> Result<()> {
    let (element, elements) = (engine.plan().tensors[tensor].element, engine.plan().tensors[tensor].elements);
    match element {
        Element::U32 => engine.write(tensor, bytemuck::cast_slice(&vec![0xDEAD_BEEF_u32; elements])),
        Element::F32 | Element::F16 => write_floats(engine, tensor, &vec![f32::NAN; elements]),
    }
}

fn compare(
    engine: &mut dyn Engine,
    twins: &mut dyn Engine,
    tensor: TensorId,
    binding: &Binding,
    tolerance: Tolerance,
) -> Result<Compared> {
    let (name, element) = (engine.plan().tensors[tensor].name.clone(), engine.plan().tensors[tensor].element);
    let (tolerance, deviation) = match element {
        Element::U32 => {
            let [got, want] =
                [engine.read(tensor)?, twins.read(tensor)?].map(|bytes| bytemuck::pod_collect_to_vec(&bytes));
            (tolerance, choices(&got, &want, tolerance))
        }
        Element::F16 | Element::F32 => {
            let tolerance = if element == Element::F16 { tolerance.stored_in_half() } else { tolerance };
            let [got, want] = [read_floats(engine, tensor)?, read_floats(twins, tensor)?];
            (tolerance, tolerance.measure(&got, &want))
        }
    };
    Ok(Compared { tensor: name, binding: binding.name, deviation, tolerance })
}

/// Compares integers. They may say which of several sums is the largest, and two sums that agree within the tolerance may come out
/// either way, about as often as the tolerance says. So up to `16 * tolerance` of the words may differ (each holds four choices,
/// each between four sums), which is none if there are few words. The sums themselves must agree within it.
fn choices(got: &[u32], want: &[u32], tolerance: Tolerance) -> Deviation {
    let deviation = exact_words(got, want);
    let differ = got.iter().zip(want).filter(|(got, want)| got != want).count();
    let allowed = (16.0 * tolerance.relative * want.len() as f64).floor();
    match deviation.passed || differ as f64 > allowed || got.len() != want.len() {
        true => deviation,
        false => Deviation { error: differ as f64 / want.len() as f64 / 16.0, passed: true, ..deviation },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_choices_between_equals_may_differ_and_no_more() {
        let tolerance = Tolerance { relative: 1e-4 };
        let want = vec![7u32; 2000];
        let with = |count: usize| {
            let mut got = want.clone();
            got[5..5 + count].fill(8);
            choices(&got, &want, tolerance)
        };
        assert!(with(0).passed && with(0).error == 0.0);
        assert!(with(3).passed && with(3).error > 0.0 && with(3).error <= tolerance.relative);
        assert!(!with(4).passed && with(4).index == 5);
        assert!(!choices(&[1, 2], &[1, 3], tolerance).passed, "two words are few");
        assert!(!choices(&[1], &[1, 3], tolerance).passed);
        assert!(!choices(&[0; 2000], &want, Tolerance::EXACT).passed);
    }
}
