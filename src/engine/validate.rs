//! Compares an implementation with its twin on one case. The kernel tests and `kernels validate` both run this.
//!
//! Inputs are filled as the contract says, outputs with NaN, and guard bytes surround every range.

use super::{CpuEngine, Engine, Gpu, GpuEngine};
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::kernels::compare::Deviation;
use crate::kernels::{
    Access, Args, Binding, Case, Contract, Element, Fill, Implementation, Native, Precision, Shaders, Tolerance, View,
    ViewMut, matrix,
};
use crate::plan::{ALIGNMENT, Choice, Options, Place, Plan, Profile, Program};
use crate::simd::InstructionSet;
use half::f16;
use std::sync::Arc;

/// How kernels are compiled.
#[derive(Clone, Debug, Default)]
pub struct Compile {
    /// Whether the driver checks every access of the crate's own kernels, too.
    pub checked: bool,
    /// The crate's shaders, some perhaps replaced by a user's.
    pub shaders: Shaders,
}

impl Compile {
    /// The crate's own kernels, checked or trusted.
    pub fn own(checked: bool) -> Self {
        Self { checked, shaders: Shaders::default() }
    }
}

/// The contents of a binding.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Floats.
    Float(Vec<f32>),
    /// Integers.
    Index(Vec<u32>),
}

impl Values {
    /// The same values, rounded as a buffer of such elements rounds them.
    fn stored_as(self, element: Element) -> Self {
        match (self, element) {
            (Self::Float(values), Element::F16) => {
                Self::Float(values.into_iter().map(|value| f16::from_f32(value).to_f32()).collect())
            }
            (values, _) => values,
        }
    }

    /// The bytes of a buffer of such elements.
    pub fn bytes(&self, element: Element) -> Vec<u8> {
        match self {
            Self::Float(values) => super::bytes_of(values, element),
            Self::Index(values) => bytemuck::cast_slice(values).to_vec(),
        }
    }
}

/// The comparison of one output.
#[derive(Clone, Debug)]
pub struct Output {
    /// Name of the binding.
    pub name: &'static str,
    /// The worst element.
    pub deviation: Deviation,
    /// The error that is allowed: the contract's tolerance, plus f16's rounding if the output is stored as f16.
    pub tolerance: Tolerance,
}

/// The verdict on an implementation in one case.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The comparison of each output.
    pub outputs: Vec<Output>,
    /// Bindings whose guard bytes changed.
    pub overrun: Vec<&'static str>,
}

impl Verdict {
    /// Whether every output is within its tolerance and nothing was written out of bounds.
    pub fn passed(&self) -> bool {
        self.overrun.is_empty() && self.outputs.iter().all(|output| output.deviation.passed)
    }

    /// The output whose error is the largest fraction of its tolerance.
    pub fn worst(&self) -> Option<&Output> {
        let fraction = |output: &Output| match output.deviation.error {
            0.0 => 0.0,
            error => error / output.tolerance.relative,
        };
        let widest = |a: &Output, b: &Output| a.tolerance.relative.total_cmp(&b.tolerance.relative);
        self.outputs.iter().max_by(|a, b| fraction(a).total_cmp(&fraction(b)).then(widest(a, b)))
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
    let mut verdict = Verdict { outputs: Vec::new(), overrun: Vec::new() };
    let mut got = Vec::new();
    for (id, binding) in contract.bindings.iter().enumerate() {
        let (values, intact) = read_guarded(&mut engine, id, binding.element_in(precision))?;
        if !intact {
            verdict.overrun.push(binding.name);
        }
        got.push(values);
    }
    let tolerance = (contract.tolerance)(&case.constants);
    verdict.outputs = compare(contract, case, (precision, tolerance, false), &start, &got);
    Ok(verdict)
}

/// Runs a contract's native kernel on a case and compares it with the twin. Guards surround what it writes.
pub fn validate_native(contract: &'static Contract, native: &Native, case: &Case, set: InstructionSet) -> Verdict {
    // kernels that round otherwise break ties otherwise, so that they get values without ties
    let start = match native.is_direct() {
        true => fill(contract, case, Precision::F32),
        false => {
            fill_by(contract, case, Precision::F32, |fill| if fill == Fill::Dyadic { Fill::Shuffled } else { fill })
        }
    };
    let guard = |values: &Values| match values {
        Values::Float(values) => Values::Float([&GUARD_FLOATS[..], &values[..], &GUARD_FLOATS[..]].concat()),
        Values::Index(values) => Values::Index([&GUARD_WORDS[..], &values[..], &GUARD_WORDS[..]].concat()),
    };
    let mut guarded: Vec<Values> = start.iter().map(guard).collect();
    let (reads, writes) = guarded.split_at_mut(contract.reads());
    let reads = reads.iter().map(|values| match values {
        Values::Float(values) => View::Float(&values[GUARDS..values.len() - GUARDS]),
        Values::Index(values) => View::Index(&values[GUARDS..values.len() - GUARDS]),
    });
    let writes = writes.iter_mut().map(|values| match values {
        Values::Float(values) => Some(ViewMut::Float(within(values))),
        Values::Index(values) => Some(ViewMut::Index(within(values))),
    });
    let (reads, writes) = (reads.collect(), writes.collect());
    (native.run)(Args { constants: &case.constants, step: &case.step, reads, writes }, set);
    let mut verdict = Verdict { outputs: Vec::new(), overrun: Vec::new() };
    let mut got = Vec::new();
    for (values, binding) in guarded.into_iter().zip(contract.bindings) {
        let words = match &values {
            Values::Float(values) => values.iter().map(|value| value.to_bits()).collect(),
            Values::Index(values) => values.clone(),
        };
        if words[..GUARDS] != GUARD_WORDS || words[words.len() - GUARDS..] != GUARD_WORDS {
            verdict.overrun.push(binding.name);
        }
        got.push(match values {
            Values::Float(values) => Values::Float(values[GUARDS..values.len() - GUARDS].to_vec()),
            Values::Index(values) => Values::Index(values[GUARDS..values.len() - GUARDS].to_vec()),
        });
    }
    let tolerance = (contract.tolerance)(&case.constants).times(native.rounding);
    verdict.outputs = compare(contract, case, (Precision::F32, tolerance, !native.is_direct()), &start, &got);
    verdict
}

/// What lies between the guards.
fn within<T>(values: &mut [T]) -> &mut [T] {
    let end = values.len() - GUARDS;
    &mut values[GUARDS..end]
}

/// Words of a guard around what a native kernel writes.
const GUARDS: usize = 64;
const GUARD_WORDS: [u32; GUARDS] = [u32::from_le_bytes([GUARD; 4]); GUARDS];
const GUARD_FLOATS: [f32; GUARDS] = [f32::from_le_bytes([GUARD; 4]); GUARDS];

/// Compares what all bindings hold after a call with what the twin leaves there.
fn compare(
    contract: &Contract,
    case: &Case,
    (precision, tolerance, near_ties): (Precision, Tolerance, bool),
    start: &[Values],
    got: &[Values],
) -> Vec<Output> {
    let want = run_twin(contract, case, precision, start);
    let outputs = contract.bindings.iter().zip(got.iter().zip(&want)).map(|(binding, (got, want))| {
        let half = binding.element_in(precision) == Element::F16;
        let tolerance = if half { tolerance.stored_in_half() } else { tolerance };
        let (tolerance, deviation) = match (got, want) {
            (Values::Float(got), Values::Float(want)) if binding.access != Access::Read => {
                (tolerance, tolerance.measure(got, want))
            }
            (Values::Index(got), Values::Index(want))
                if near_ties && binding.access != Access::Read && few_differ(got, want) =>
            {
                (Tolerance::EXACT, exact_words(want, want))
            }
            (got, want) => (Tolerance::EXACT, exact(got, want)),
        };
        Output { name: binding.name, deviation, tolerance }
    });
    outputs.collect()
}

/// Tries the adapter's cooperative matrices on a product of asymmetric factors with exact sums, as drivers list shapes that nobody
/// has tried and wgpu passes them on.
///
/// Returns what is wrong with them, or `None` if they can be used.
///
/// # Errors
/// A lost device, or one out of memory.
pub fn test_matrices(gpu: &Arc<Gpu>) -> Result<Option<&'static str>> {
    let contract = &matrix::PRODUCT;
    let case = Case::new("start-up test", matrix::Sizes::new(32, 48, 80));
    let Some(implementation) = contract.implementation("matrix") else { return Ok(None) };
    match validate(gpu, contract, implementation, &case, Precision::Mixed, &Compile::own(false)) {
        Ok(verdict) if verdict.passed() => Ok(None),
        Ok(_) => Ok(Some("the product of two matrices is wrong")),
        Err(Error::Shader { .. }) => Ok(Some("the driver does not compile their shader")),
        Err(error) => Err(error),
    }
}

/// An engine for one call with its inputs filled, for benches and `kernels time`.
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
    let plan = single_plan(variant, case, gpu.profile(), true, &compile.shaders)?;
    let mut engine = GpuEngine::new(gpu, plan, compile.checked)?;
    for (id, values) in fill(contract, case, precision).iter().enumerate() {
        write_guarded(&mut engine, id, values, contract.bindings[id].element_in(precision))?;
    }
    Ok(engine)
}

/// The same for a native kernel.
///
/// # Errors
/// The case does not suit the kernel.
pub fn prepared_native(
    contract: &'static Contract,
    native: &Native,
    case: &Case,
    set: InstructionSet,
) -> Result<CpuEngine> {
    let variant = (contract, native.name, Precision::F32);
    let plan = single_plan(variant, case, &Profile::native(set), false, &Shaders::default())?;
    let mut engine = CpuEngine::native(plan, set);
    for (id, (values, binding)) in fill(contract, case, Precision::F32).iter().zip(contract.bindings).enumerate() {
        engine.write(id, &values.bytes(binding.element))?;
    }
    Ok(engine)
}

/// A plan of one call of a contract, by the implementation of this name, with or without guards around its buffers.
///
/// # Errors
/// As [`Plan::new`].
pub fn single_plan(
    (contract, implementation, precision): (&'static Contract, &str, Precision),
    case: &Case,
    profile: &Profile,
    guards: bool,
    shaders: &Shaders,
) -> Result<Plan> {
    let choice: Choice = format!("{}={implementation}", contract.name).parse()?;
    let options = Options { choices: vec![choice], guards, shaders: shaders.clone() };
    Plan::new(&Graph::single(contract, case, precision), profile, &options)
}

/// The contents of all bindings before the call, as the precision stores them. Outputs hold NaN, or an integer that no kernel
/// writes.
pub fn fill(contract: &Contract, case: &Case, precision: Precision) -> Vec<Values> {
    fill_by(contract, case, precision, |fill| fill)
}

/// The same with other fillings in place of the case's.
fn fill_by(contract: &Contract, case: &Case, precision: Precision, instead: fn(Fill) -> Fill) -> Vec<Values> {
    let lengths = (contract.lengths)(&case.constants);
    let filled = contract.bindings.iter().zip(lengths).zip(1..);
    let fill = |((binding, count), seed): ((&Binding, usize), u64)| {
        let fill = instead(case.fill(binding));
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

/// The contents of all bindings after the twin has run on `start`, as the precision stores them.
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

/// Integers, and floats that a kernel may only read, must agree to the bit.
fn exact(got: &Values, want: &Values) -> Deviation {
    let words = |values: &Values| match values {
        Values::Float(values) => values.iter().map(|v| v.to_bits()).collect::<Vec<u32>>(),
        Values::Index(values) => values.clone(),
    };
    exact_words(&words(got), &words(want))
}

/// Whether at most one argmax code in ten thousand differs. Where a window's two largest sums are as close as sums that are not direct
/// round, either may win: one of the 131 072 codes of `conv3 64 px`, and none of the other cases'.
fn few_differ(got: &[u32], want: &[u32]) -> bool {
    let (got, want): (&[u8], &[u8]) = (bytemuck::cast_slice(got), bytemuck::cast_slice(want));
    let differing = got.iter().zip(want).filter(|(got, want)| got != want).count();
    got.len() == want.len() && differing * 10_000 <= want.len()
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
    // the half word after an odd number of f16 values is guarded, too
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
