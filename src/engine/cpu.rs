//! Runs a plan without a driver: on the twins, slow and the reference for every GPU, or on native kernels where a plan chose those.

use super::{Engine, Metrics, Span, Timeline, bytes_of, floats_of};
use crate::error::{Error, Result};
use crate::graph::{Bank, Storage, TensorId};
use crate::kernels::{Access, Args, Element, Real, StepParams, View, ViewMut};
use crate::plan::{Plan, Program, Step};
use crate::simd::InstructionSet;
use half::f16;
use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Instant;

/// The contents of a tensor or of a bank.
enum Store<T> {
    Float(Vec<T>),
    Index(Vec<u32>),
}

/// The twins in f32, or in f64 for gradient checks; or native kernels.
pub struct CpuEngine<T: Real = f32> {
    plan: Plan,
    /// What native kernels compute with; none where all calls run on their twins.
    set: Option<InstructionSet>,
    stores: Vec<Store<T>>,
    /// The store and element range of each tensor. Tensors in banks share a store, all others have their own.
    ranges: Vec<(usize, Range<usize>)>,
    metrics: Vec<Metrics>,
    /// What the next run writes before it begins.
    staged: Vec<(TensorId, Vec<u8>)>,
}

impl CpuEngine<f32> {
    /// An engine that runs native kernels with an instruction set, and the twins of calls that have none.
    pub fn native(plan: Plan, set: InstructionSet) -> Self {
        Self { set: Some(set), ..Self::new(plan) }
    }
}

impl<T: Real> CpuEngine<T> {
    /// An engine whose tensors are all zero.
    pub fn new(plan: Plan) -> Self {
        let bank_elements = |bank: Bank| {
            let end = |tensor: &crate::graph::Tensor| match tensor.storage {
                Storage::Bank(b, offset) if b == bank => offset + tensor.elements,
                _ => 0,
            };
            plan.tensors.iter().map(end).max().unwrap_or(0)
        };
        let bank_store = |bank| Store::Float(vec![T::zero(); bank_elements(bank)]);
        let mut stores: Vec<Store<T>> = Bank::ALL.into_iter().map(bank_store).collect();
        let mut ranges = Vec::new();
        for tensor in &plan.tensors {
            if let Storage::Bank(bank, offset) = tensor.storage {
                ranges.push((bank as usize, offset..offset + tensor.elements));
                continue;
            }
            ranges.push((stores.len(), 0..tensor.elements));
            stores.push(match tensor.element {
                Element::F32 | Element::F16 => Store::Float(vec![T::zero(); tensor.elements]),
                Element::U32 => Store::Index(vec![0; tensor.elements]),
            });
        }
        Self { plan, set: None, stores, ranges, metrics: Vec::new(), staged: Vec::new() }
    }

    /// The values of a tensor of floats; empty if it holds integers.
    pub fn floats(&self, tensor: TensorId) -> &[T] {
        let (store, range) = &self.ranges[tensor];
        match &self.stores[*store] {
            Store::Float(values) => &values[range.clone()],
            Store::Index(_) => &[],
        }
    }

    /// The values of a tensor of floats, to be changed.
    pub fn floats_mut(&mut self, tensor: TensorId) -> &mut [T] {
        let (store, range) = &self.ranges[tensor];
        match &mut self.stores[*store] {
            Store::Float(values) => &mut values[range.clone()],
            Store::Index(_) => &mut [],
        }
    }

    /// Runs one step of a program.
    pub fn run_step(&mut self, step: &Step, params: &StepParams)
    where
        Self: Dispatch<T>,
    {
        let written: Vec<TensorId> = bindings(step, |access| access != Access::Read).collect();
        let mut taken = self.take(&written);
        let args = Args {
            constants: &step.constants,
            step: params,
            reads: bindings(step, |access| access == Access::Read).map(|id| self.view(id)).collect(),
            writes: self.parts(&mut taken, &written),
        };
        Self::dispatch(step, args, self.set);
        for (store, content) in taken {
            self.stores[store] = content;
        }
        for id in written {
            if self.plan.tensors[id].element != Element::F16 {
                continue;
            }
            self.floats_mut(id).iter_mut().for_each(|value| *value = T::of(f16::from_f64(value.wide()).to_f64()));
        }
    }

    fn view(&self, id: TensorId) -> View<'_, T> {
        let (store, range) = &self.ranges[id];
        match &self.stores[*store] {
            Store::Float(values) => View::Float(&values[range.clone()]),
            Store::Index(values) => View::Index(&values[range.clone()]),
        }
    }

    /// Takes the stores of these tensors out, so that they can be written while others are read: no call reads a store that it writes.
    fn take(&mut self, tensors: &[TensorId]) -> Vec<(usize, Store<T>)> {
        let stores: BTreeSet<usize> = tensors.iter().map(|&id| self.ranges[id].0).collect();
        let nothing = || Store::Index(Vec::new());
        stores.into_iter().map(|store| (store, std::mem::replace(&mut self.stores[store], nothing()))).collect()
    }

    /// The ranges of these tensors in the stores that were taken out.
    fn parts<'s>(&self, taken: &'s mut [(usize, Store<T>)], tensors: &[TensorId]) -> Vec<Option<ViewMut<'s, T>>> {
        let mut parts: Vec<Option<ViewMut<T>>> = tensors.iter().map(|_| None).collect();
        for (store, content) in taken {
            let mut within: Vec<(usize, Range<usize>)> = tensors
                .iter()
                .map(|&id| &self.ranges[id])
                .enumerate()
                .filter(|(_, (other, _))| other == store)
                .map(|(i, (_, range))| (i, range.clone()))
                .collect();
            within.sort_by_key(|(_, range)| range.start);
            let (mut rest, mut start) = (content.view_mut(), 0);
            for (i, range) in within {
                let (part, after) = rest.split(range.start - start, range.len());
                (parts[i], rest, start) = (Some(part), after, range.end);
            }
        }
        parts
    }

    fn collect_metrics(&mut self, params: &StepParams) {
        let Ok(persistent) = self.plan.persistent() else { return };
        let values = self.floats(persistent.metrics);
        let slot = params.slot as usize % (values.len() / 4).max(1) * 4;
        let [loss, hits, count, gradient_squares] = [0, 1, 2, 3].map(|i| values[slot + i].wide() as f32);
        self.metrics.push(Metrics { loss, hits, count, gradient_squares });
    }
}

impl<T: Real> Store<T> {
    fn view_mut(&mut self) -> ViewMut<'_, T> {
        match self {
            Self::Float(values) => ViewMut::Float(values),
            Self::Index(values) => ViewMut::Index(values),
        }
    }
}

/// A step's tensors that it uses in this way.
fn bindings(step: &Step, how: impl Fn(Access) -> bool) -> impl Iterator<Item = TensorId> {
    step.tensors.iter().zip(step.contract.bindings).filter(move |(_, binding)| how(binding.access)).map(|(&id, _)| id)
}

/// Picks the kernel in f32 or in f64.
pub trait Dispatch<T: Real> {
    /// Runs the step's native kernel if there is a set for it, else the twin.
    fn dispatch(step: &Step, args: Args<T>, set: Option<InstructionSet>);
}

impl Dispatch<f32> for CpuEngine<f32> {
    fn dispatch(step: &Step, args: Args<f32>, set: Option<InstructionSet>) {
        match (step.contract.native(step.implementation), set) {
            (Some(native), Some(set)) => (native.run)(args, set),
            _ => (step.contract.twin.single)(args),
        }
    }
}

impl Dispatch<f64> for CpuEngine<f64> {
    fn dispatch(step: &Step, args: Args<f64>, _: Option<InstructionSet>) {
        (step.contract.twin.double)(args);
    }
}

impl<T: Real> Engine for CpuEngine<T>
where
    Self: Dispatch<T>,
{
    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn device(&self) -> String {
        let kernels = self.set.map_or("CPU twins".to_owned(), |set| format!("native kernels, {set}"));
        format!("{kernels}, {} threads", rayon::current_num_threads())
    }

    fn write(&mut self, tensor: TensorId, bytes: &[u8]) -> Result<()> {
        let (store, range) = self.ranges[tensor].clone();
        match &mut self.stores[store] {
            Store::Float(values) => {
                let floats = floats_of(bytes, self.plan.tensors[tensor].element);
                values[range].iter_mut().zip(floats).for_each(|(value, float)| *value = T::of(float.into()));
            }
            Store::Index(values) => {
                let words = &mut values[range][..bytes.len().div_ceil(4)];
                // the bytes may end within the last word
                words.iter_mut().last().into_iter().for_each(|last| *last = 0);
                bytemuck::cast_slice_mut(words)[..bytes.len()].copy_from_slice(bytes);
            }
        }
        Ok(())
    }

    fn run(&mut self, program: Program, steps: &[StepParams]) -> Result<()> {
        for (tensor, bytes) in std::mem::take(&mut self.staged) {
            self.write(tensor, &bytes)?;
        }
        for params in steps {
            for part in self.plan.parts(params) {
                for step in self.plan.steps_of(program, &part).to_vec() {
                    self.run_step(&step, &part);
                }
            }
            self.collect_metrics(params);
        }
        Ok(())
    }

    fn stage(&mut self, tensor: TensorId, parts: &[&[u8]]) -> Result<()> {
        let bytes = parts.concat();
        let room = 4 * self.plan.tensors[tensor].elements;
        if bytes.is_empty() || bytes.len() > room {
            return Err(Error::setting("the bytes staged for a tensor", bytes.len(), format!("1 to {room}")));
        }
        self.staged.retain(|(other, _)| *other != tensor);
        self.staged.push((tensor, bytes));
        Ok(())
    }

    fn finished(&mut self) -> Result<Vec<Metrics>> {
        Ok(std::mem::take(&mut self.metrics))
    }

    fn wait(&mut self) -> Result<Vec<Metrics>> {
        self.finished()
    }

    fn read(&mut self, tensor: TensorId) -> Result<Vec<u8>> {
        let (store, range) = self.ranges[tensor].clone();
        Ok(match &self.stores[store] {
            Store::Float(values) => {
                let floats: Vec<f32> = values[range].iter().map(|value| value.wide() as f32).collect();
                bytes_of(&floats, self.plan.tensors[tensor].element)
            }
            Store::Index(values) => bytemuck::cast_slice(&values[range]).to_vec(),
        })
    }

    fn clock(&self) -> &'static str {
        if self.set.is_some() { "cpu" } else { "wall" }
    }

    fn time(&mut self, program: Program, params: &StepParams, repeats: usize) -> Result<f64> {
        let start = Instant::now();
        self.run(program, &vec![*params; repeats])?;
        let seconds = start.elapsed().as_secs_f64();
        self.finished()?;
        Ok(seconds / repeats as f64)
    }

    fn timeline(&mut self, program: Program, params: &StepParams) -> Result<Timeline> {
        let clock = Instant::now();
        let mut timeline = Timeline::default();
        for step in self.plan.steps(program).to_vec() {
            let start = clock.elapsed().as_secs_f64();
            self.run_step(&step, params);
            timeline.steps.push(vec![Span { start, seconds: clock.elapsed().as_secs_f64() - start }]);
        }
        Ok(timeline)
    }

    fn run_alone(&mut self, program: Program, number: usize, params: &StepParams) -> Result<()> {
        let step = self.plan.steps(program)[number].clone();
        self.run_step(&step, params);
        Ok(())
    }

    fn renew(&mut self) -> Result<()> {
        *self = Self { set: self.set, ..Self::new(self.plan.clone()) };
        Ok(())
    }
}
