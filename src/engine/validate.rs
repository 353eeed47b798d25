//! Holds an implementation to its twin on one case: what the kernel tests, `kernels validate` and the user's own card
//! all run.
//!
//! Inputs are filled as the contract says, outputs with NaN, and guard bytes stand on both sides of every range.

use super::{Engine, Gpu, GpuEngine};
use crate::error::Result;
use crate::graph::Graph;
use crate::kernels::compare::Deviation;
use crate::kernels::{Access, Args, Binding, Case, Contract, Element, Implementation, Tolerance, View, ViewMut};
use crate::plan::{ALIGNMENT, Choice, Options, Place, Plan, Program};
use std::sync::Arc;

/// Contents of a binding.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Floats.
    Float(Vec<f32>),
    /// Integers.
    Index(Vec<u32>),
}

impl Values {
    /// As a buffer holds them.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Float(values) => bytemuck::cast_slice(values),
            Self::Index(values) => bytemuck::cast_slice(values),
        }
    }
}

/// How one output compares.
#[derive(Clone, Debug)]
pub struct Output {
    /// Name of the binding.
    pub name: &'static str,
    /// Worst element.
    pub deviation: Deviation,
}

/// The verdict on an implementation and case.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// How each output compares.
    pub outputs: Vec<Output>,
    /// The contract's tolerance.
    pub tolerance: Tolerance,
    /// Bindings whose guard bytes changed.
    pub overrun: Vec<&'static str>,
}

impl Verdict {
    /// Whether every output is within its tolerance and nothing was written out of bounds.
    pub fn passed(&self) -> bool {
        self.overrun.is_empty() && self.outputs.iter().all(|output| output.deviation.passed)
    }

    /// The output that is furthest off.
    pub fn worst(&self) -> Option<&Output> {
        self.outputs.iter().max_by(|a, b| a.deviation.error.total_cmp(&b.deviation.error))
    }
}

/// Runs an implementation on a case and compares it with the twin.
///
/// # Errors
/// A shader that does not compile, a case beyond the adapter's limits, a lost device.
pub fn validate(
    gpu: &Arc<Gpu>,
    contract: &'static Contract,
    implementation: &'static Implementation,
    case: &Case,
    checked: bool,
) -> Result<Verdict> {
    let start = fill(contract, case);
    let mut engine = prepared_engine(gpu, contract, implementation, case, checked)?;
    engine.run(Program::Train, &[case.step])?;
    engine.wait()?;
    let want = run_twin(contract, case, &start);
    let tolerance = (contract.tolerance)(&case.constants);
    let mut verdict = Verdict { outputs: Vec::new(), tolerance, overrun: Vec::new() };
    for (id, binding) in contract.bindings.iter().enumerate() {
        let (got, intact) = read_guarded(&mut engine, id, binding)?;
        if !intact {
            verdict.overrun.push(binding.name);
        }
        let deviation = match (&got, &want[id]) {
            (Values::Float(got), Values::Float(want)) if binding.access != Access::Read => tolerance.measure(got, want),
            (got, want) => exact(got, want),
        };
        verdict.outputs.push(Output { name: binding.name, deviation });
    }
    Ok(verdict)
}

/// An engine for one call with its inputs filled, as benches and `kernels time` need it.
///
/// # Errors
/// As [`GpuEngine::new`].
pub fn prepared_engine(
    gpu: &Arc<Gpu>,
    contract: &'static Contract,
    implementation: &'static Implementation,
    case: &Case,
    checked: bool,
) -> Result<GpuEngine> {
    let mut engine = single_engine(gpu, (contract, implementation.name), case, (true, checked))?;
    for (id, values) in fill(contract, case).iter().enumerate() {
        write_guarded(&mut engine, id, values)?;
    }
    Ok(engine)
}

/// An engine for one call by a contract's implementation of this name, its buffers still empty; with guards around them
/// and with the driver's checks where wanted.
///
/// # Errors
/// As [`GpuEngine::new`].
pub fn single_engine(
    gpu: &Arc<Gpu>,
    (contract, implementation): (&'static Contract, &str),
    case: &Case,
    (guards, checked): (bool, bool),
) -> Result<GpuEngine> {
    let choice: Choice = format!("{}={implementation}", contract.name).parse()?;
    let options = Options { choices: vec![choice], guards };
    GpuEngine::new(gpu, Plan::new(&Graph::single(contract, case), gpu.profile(), &options)?, checked)
}

/// Contents of all bindings before the call: outputs hold NaN (or a number no kernel writes).
pub fn fill(contract: &Contract, case: &Case) -> Vec<Values> {
    let lengths = (contract.lengths)(&case.constants);
    let filled = contract.bindings.iter().zip(lengths).zip(1..);
    let fill = |((binding, count), seed): ((&Binding, usize), u64)| {
        let fill = case.fill(binding);
        match (binding.element, binding.access) {
            (Element::F32, Access::Write) => Values::Float(vec![f32::NAN; count]),
            (Element::U32, Access::Write) => Values::Index(vec![0xDEAD_BEEF; count]),
            (Element::F32, _) => Values::Float(fill.floats(count, seed)),
            (Element::U32, _) => Values::Index(fill.indices(count, &case.constants, seed)),
        }
    };
    filled.map(fill).collect()
}

/// Contents of all bindings after the twin has run on `start`.
pub fn run_twin(contract: &Contract, case: &Case, start: &[Values]) -> Vec<Values> {
    let mut values = start.to_vec();
    let (reads, writes) = values.split_at_mut(contract.reads());
    let reads = reads.iter().map(|values| match values {
        Values::Float(values) => View::Float(&values[..]),
        Values::Index(values) => View::Index(&values[..]),
    });
    let writes = writes.iter_mut().map(|values| match values {
        Values::Float(values) => Some(ViewMut::Float(&mut values[..])),
        Values::Index(values) => Some(ViewMut::Index(&mut values[..])),
    });
    let (reads, writes) = (reads.collect(), writes.collect());
    (contract.twin.single)(Args { constants: &case.constants, step: &case.step, reads, writes });
    values
}

/// Integers, and floats that may only be read, must agree to the bit.
fn exact(got: &Values, want: &Values) -> Deviation {
    let words = |values: &Values| match values {
        Values::Float(values) => values.iter().map(|v| v.to_bits()).collect::<Vec<u32>>(),
        Values::Index(values) => values.clone(),
    };
    let (got, want) = (words(got), words(want));
    let index = (0..want.len()).find(|&i| got.get(i) != want.get(i));
    let at = index.unwrap_or(0);
    let value = |words: &[u32]| words.get(at).copied().map_or(f64::NAN, f64::from);
    let error = if index.is_some() { f64::INFINITY } else { 0.0 };
    Deviation { index: at, got: value(&got), want: value(&want), error, nmse: 0.0, passed: index.is_none() }
}

const GUARD: u8 = 0xA5;

/// The range of a tensor with its guards.
fn guarded(engine: &GpuEngine, id: usize) -> Place {
    let place = engine.plan().places[id];
    Place { offset: place.offset - ALIGNMENT, bytes: place.bytes + 2 * ALIGNMENT, ..place }
}

fn write_guarded(engine: &mut GpuEngine, id: usize, values: &Values) -> Result<()> {
    let guard = [GUARD; ALIGNMENT as usize];
    let place = guarded(engine, id);
    engine.write_place(place, &[&guard, values.bytes(), &guard].concat())
}

fn read_guarded(engine: &mut GpuEngine, id: usize, binding: &Binding) -> Result<(Values, bool)> {
    let place = guarded(engine, id);
    let bytes = engine.read_place(place)?;
    let guard = ALIGNMENT as usize;
    let (front, rest) = bytes.split_at(guard);
    let (middle, back) = rest.split_at(rest.len() - guard);
    let intact = front.iter().chain(back).all(|&byte| byte == GUARD);
    let values = match binding.element {
        Element::F32 => Values::Float(bytemuck::pod_collect_to_vec(middle)),
        Element::U32 => Values::Index(bytemuck::pod_collect_to_vec(middle)),
    };
    Ok((values, intact))
}
