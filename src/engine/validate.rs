//! Holds an implementation to its twin on one case: what the kernel tests, `kernels validate` and the user's own card
//! all run.
//!
//! Inputs are filled as the contract says, outputs with NaN, and guard bytes stand on both sides of every range.

use super::{Engine, Gpu, GpuEngine};
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::kernels::compare::Deviation;
use crate::kernels::{
    Access, Args, Binding, Case, Contract, Element, Implementation, Precision, Shaders, Tolerance, View, ViewMut,
    matrix,
};
use crate::plan::{ALIGNMENT, Choice, Options, Place, Plan, Program};
use half::f16;
use std::sync::Arc;

/// How kernels are compiled.
#[derive(Clone, Debug, Default)]
pub struct Compile {
    /// Let the driver check every access of the crate's own kernels, too.
    pub checked: bool,
    /// The crate's shaders, or a user's in their place.
    pub shaders: Shaders,
}

impl Compile {
    /// The crate's own kernels, checked or trusted.
    pub fn own(checked: bool) -> Self {
        Self { checked, shaders: Shaders::default() }
    }
}

/// Contents of a binding.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Floats.
    Float(Vec<f32>),
    /// Integers.
    Index(Vec<u32>),
}

impl Values {
    /// What memory keeps of floats.
    fn stored_as(self, element: Element) -> Self {
        match (self, element) {
            (Self::Float(values), Element::F16) => {
                Self::Float(values.into_iter().map(|value| f16::from_f32(value).to_f32()).collect())
            }
            (values, _) => values,
        }
    }

    /// As a buffer of such elements holds them.
    pub fn bytes(&self, element: Element) -> Vec<u8> {
        match self {
            Self::Float(values) => super::bytes_of(values, element),
            Self::Index(values) => bytemuck::cast_slice(values).to_vec(),
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
    /// What it is allowed: the contract's tolerance, and f16's rounding where the output is stored so.
    pub tolerance: Tolerance,
}

/// The verdict on an implementation and case.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// How each output compares.
    pub outputs: Vec<Output>,
    /// Bindings whose guard bytes changed.
    pub overrun: Vec<&'static str>,
}

impl Verdict {
    /// Whether every output is within its tolerance and nothing was written out of bounds.
    pub fn passed(&self) -> bool {
        self.overrun.is_empty() && self.outputs.iter().all(|output| output.deviation.passed)
    }

    /// The output that is nearest to its tolerance, or furthest beyond it.
    pub fn worst(&self) -> Option<&Output> {
        let share = |output: &Output| match output.deviation.error {
            0.0 => 0.0,
            error => error / output.tolerance.relative,
        };
        let widest = |a: &Output, b: &Output| a.tolerance.relative.total_cmp(&b.tolerance.relative);
        self.outputs.iter().max_by(|a, b| share(a).total_cmp(&share(b)).then(widest(a, b)))
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
    precision: Precision,
    compile: &Compile,
) -> Result<Verdict> {
    let start = fill(contract, case, precision);
    let mut engine = prepared_engine(gpu, contract, implementation, case, precision, compile)?;
    engine.run(Program::Train, &[case.step])?;
    engine.wait()?;
    let want = run_twin(contract, case, precision, &start);
    let tolerance = (contract.tolerance)(&case.constants);
    let mut verdict = Verdict { outputs: Vec::new(), overrun: Vec::new() };
    for (id, binding) in contract.bindings.iter().enumerate() {
        let element = binding.element_in(precision);
        let (got, intact) = read_guarded(&mut engine, id, element)?;
        if !intact {
            verdict.overrun.push(binding.name);
        }
        let tolerance = if element == Element::F16 { tolerance.stored_in_half() } else { tolerance };
        let (tolerance, deviation) = match (&got, &want[id]) {
            (Values::Float(got), Values::Float(want)) if binding.access != Access::Read => {
                (tolerance, tolerance.measure(got, want))
            }
            (got, want) => (Tolerance::EXACT, exact(got, want)),
        };
        verdict.outputs.push(Output { name: binding.name, deviation, tolerance });
    }
    Ok(verdict)
}

/// Holds cooperative matrices to the twin, on exact sums of asymmetric factors: drivers list shapes, and wgpu passes on, what
/// nobody has tried.
///
/// What is wrong with them; `None` where they can be used.
///
/// # Errors
/// A lost device, or one out of memory.
pub fn test_matrices(gpu: &Arc<Gpu>) -> Result<Option<&'static str>> {
    let contract = &matrix::PRODUCT;
    let case = Case::new("start-up test", matrix::constants(32, 48, 80));
    let Some(implementation) = contract.implementation("matrix") else { return Ok(None) };
    match validate(gpu, contract, implementation, &case, Precision::Mixed, &Compile::own(false)) {
        Ok(verdict) if verdict.passed() => Ok(None),
        Ok(_) => Ok(Some("a product of two is wrong")),
        Err(Error::Shader { .. }) => Ok(Some("the driver does not compile their shader")),
        Err(error) => Err(error),
    }
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
    precision: Precision,
    compile: &Compile,
) -> Result<GpuEngine> {
    let variant = (contract, implementation.name, precision);
    let mut engine = single_engine(gpu, variant, case, true, compile)?;
    for (id, values) in fill(contract, case, precision).iter().enumerate() {
        write_guarded(&mut engine, id, values, contract.bindings[id].element_in(precision))?;
    }
    Ok(engine)
}

/// An engine for one call by a contract's implementation of this name, its buffers still empty; with guards around them
/// where wanted.
///
/// # Errors
/// As [`GpuEngine::new`].
pub fn single_engine(
    gpu: &Arc<Gpu>,
    (contract, implementation, precision): (&'static Contract, &str, Precision),
    case: &Case,
    guards: bool,
    compile: &Compile,
) -> Result<GpuEngine> {
    let choice: Choice = format!("{}={implementation}", contract.name).parse()?;
    let options = Options { choices: vec![choice], guards, shaders: compile.shaders.clone() };
    let plan = Plan::new(&Graph::single(contract, case, precision), gpu.profile(), &options)?;
    GpuEngine::new(gpu, plan, compile.checked)
}

/// Contents of all bindings before the call, as the precision stores them: outputs hold NaN (or a number no kernel
/// writes).
pub fn fill(contract: &Contract, case: &Case, precision: Precision) -> Vec<Values> {
    let lengths = (contract.lengths)(&case.constants);
    let filled = contract.bindings.iter().zip(lengths).zip(1..);
    let fill = |((binding, count), seed): ((&Binding, usize), u64)| {
        let fill = case.fill(binding);
        match (binding.element, binding.access) {
            (Element::F32 | Element::F16, Access::Write) => Values::Float(vec![f32::NAN; count]),
            (Element::U32, Access::Write) => Values::Index(vec![0xDEAD_BEEF; count]),
            (Element::F32 | Element::F16, _) => {
                Values::Float(fill.floats(count, seed)).stored_as(binding.element_in(precision))
            }
            (Element::U32, _) => Values::Index(fill.indices(count, &case.constants, seed)),
        }
    };
    filled.map(fill).collect()
}

/// Contents of all bindings after the twin has run on `start`, as the precision stores them.
pub fn run_twin(contract: &Contract, case: &Case, precision: Precision, start: &[Values]) -> Vec<Values> {
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
    let stored = values.into_iter().zip(contract.bindings);
    stored.map(|(values, binding)| values.stored_as(binding.element_in(precision))).collect()
}

/// Integers, and floats that may only be read, must agree to the bit.
fn exact(got: &Values, want: &Values) -> Deviation {
    let words = |values: &Values| match values {
        Values::Float(values) => values.iter().map(|v| v.to_bits()).collect::<Vec<u32>>(),
        Values::Index(values) => values.clone(),
    };
    exact_words(&words(got), &words(want))
}

/// Words that must agree to the bit.
pub(super) fn exact_words(got: &[u32], want: &[u32]) -> Deviation {
    let index = (0..want.len()).find(|&i| got.get(i) != want.get(i));
    let at = index.unwrap_or(0);
    let value = |words: &[u32]| words.get(at).copied().map_or(f64::NAN, f64::from);
    let error = if index.is_some() { f64::INFINITY } else { 0.0 };
    Deviation { index: at, got: value(got), want: value(want), error, nmse: 0.0, passed: index.is_none() }
}

const GUARD: u8 = 0xA5;

/// The range of a tensor with its guards.
fn guarded(engine: &GpuEngine, id: usize) -> Place {
    let place = engine.plan().places[id];
    Place { offset: place.offset - ALIGNMENT, bytes: place.bytes + 2 * ALIGNMENT, ..place }
}

fn write_guarded(engine: &mut GpuEngine, id: usize, values: &Values, element: Element) -> Result<()> {
    // half a word behind an odd number of f16 is guarded, too
    let mut bytes = values.bytes(element);
    bytes.truncate(element.size() * engine.plan().tensors[id].elements);
    let place = guarded(engine, id);
    let mut all = vec![GUARD; place.bytes as usize];
    all[ALIGNMENT as usize..][..bytes.len()].copy_from_slice(&bytes);
    engine.write_place(place, &all)
}

fn read_guarded(engine: &mut GpuEngine, id: usize, element: Element) -> Result<(Values, bool)> {
    let bytes = engine.read_place(guarded(engine, id))?;
    let (front, rest) = bytes.split_at(ALIGNMENT as usize);
    let (middle, back) = rest.split_at(element.size() * engine.plan().tensors[id].elements);
    let intact = front.iter().chain(back).all(|&byte| byte == GUARD);
    let values = match element {
        Element::F32 | Element::F16 => Values::Float(super::floats_of(middle, element)),
        Element::U32 => Values::Index(bytemuck::pod_collect_to_vec(middle)),
    };
    Ok((values, intact))
}
