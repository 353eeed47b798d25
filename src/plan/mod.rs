//! A plan: buffers, the place of every tensor, and every dispatch with the reason for its choice, as plain data.
//!
//! Pure functions make it from a graph and an adapter's profile, so it is built, printed and tested without a GPU. It knows no
//! model and no wgpu.

mod memory;
mod profile;
mod select;
mod show;

pub use crate::graph::Program;
pub use memory::{ALIGNMENT, bytes_in_words, shards, too_little_memory};
pub use profile::{AdapterKind, Profile};
pub use select::{Choice, candidates, obstacle};

use crate::error::{Error, Result};
use crate::graph::{Call, Graph, MicroBatches, Persistent, Tensor, TensorId};
use crate::kernels::{
    Access, Constants, Contract, Cost, Grid, Launch, MOST_LOOP_ITERATIONS, Prelude, Shaders, Source, StepParams,
};
use memory::Memory;

/// One buffer.
#[derive(Clone, Debug, PartialEq)]
pub struct Buffer {
    /// What it is for.
    pub name: String,
    /// Size in bytes.
    pub bytes: u64,
}

/// A range of a buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Index into [`Plan::buffers`].
    pub buffer: usize,
    /// First byte.
    pub offset: u64,
    /// Length in bytes.
    pub bytes: u64,
}

/// One dispatch of a kernel.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// The kernel, with all that it is compiled from.
    pub source: Source,
    /// Its precision and matrices.
    pub prelude: Prelude,
    /// Values of its `override` constants.
    pub constants: Vec<(&'static str, f64)>,
    /// Ranges that it sees, from binding 1 on.
    pub bindings: Vec<(Place, Access)>,
    /// Workgroups.
    pub grid: Grid,
}

/// One call of a program: what the graph asks for, and how it runs.
#[derive(Clone, Debug)]
pub struct Step {
    /// Name of its layer.
    pub layer: String,
    /// What it computes.
    pub contract: &'static Contract,
    /// Name of the implementation.
    pub implementation: &'static str,
    /// Why this implementation was chosen.
    pub reason: String,
    /// The contract's constants.
    pub constants: Constants,
    /// The contract's tensors, in binding order.
    pub tensors: Vec<TensorId>,
    /// Work.
    pub cost: Cost,
    /// Dispatches, in order.
    pub dispatches: Vec<Dispatch>,
}

/// Everything an engine needs.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Buffers to allocate.
    pub buffers: Vec<Buffer>,
    /// Tensors of the graph.
    pub tensors: Vec<Tensor>,
    persistent: Option<Persistent>,
    /// The place of each tensor.
    pub places: Vec<Place>,
    /// Steps of `Program::Train` and `Program::Infer`.
    pub programs: [Vec<Step>; 2],
    /// How an optimizer step, or a batch of inference, is cut into micro-batches, if it is.
    pub micro_batches: Option<MicroBatches>,
    /// The first step of `Program::Train` that runs once for all micro-batches: the update.
    update: usize,
}

/// How to plan.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Implementations the user insists on.
    pub choices: Vec<Choice>,
    /// Guard bytes around every persistent tensor, for tests.
    pub guards: bool,
    /// The crate's shaders, some perhaps replaced by a user's.
    pub shaders: Shaders,
}

impl Options {
    /// The user's choice for a call: one for its layer goes before one for all layers.
    fn choice(&self, call: &Call) -> Option<&Choice> {
        let mut choices = self.choices.iter().filter(|choice| choice.is_for(call.contract.name, &call.layer));
        choices.clone().find(|choice| choice.layer().is_some()).or_else(|| choices.next())
    }
}

impl Plan {
    /// Plans a graph for an adapter.
    ///
    /// # Errors
    /// A tensor, buffer or dispatch exceeds the adapter's limits, there is too little memory, or a chosen implementation cannot run.
    pub fn new(graph: &Graph, profile: &Profile, options: &Options) -> Result<Self> {
        let calls: Vec<&Call> = graph.train.iter().chain(&graph.infer).collect();
        select::check_choices(&calls, profile, options)?;
        let chosen = [&graph.train, &graph.infer].map(|calls| choose(calls, profile, options));
        let [train, infer] = chosen;
        let (train, infer) = (train?, infer?);
        let scratch = |chosen: &[Chosen]| chosen.iter().map(|c| 4 * c.launch.scratch as u64).collect::<Vec<u64>>();
        let (memory, scratch) = Memory::lay_out(graph, [&scratch(&train), &scratch(&infer)], options);
        memory::check_limits(graph, &memory, profile)?;
        memory::check_need(graph, &memory, profile)?;
        let steps = |calls: &[Call], chosen: Vec<Chosen>, scratch: &[Option<Place>]| {
            let parts = calls.iter().zip(chosen).zip(scratch);
            parts
                .map(|((call, chosen), scratch)| step(call, chosen, &memory.places, *scratch, &options.shaders))
                .collect::<Result<Vec<Step>>>()
        };
        let programs = [steps(&graph.train, train, &scratch[0])?, steps(&graph.infer, infer, &scratch[1])?];
        for step in programs.iter().flatten() {
            check_bindings(step, profile)?;
            check_work(step, profile)?;
        }
        let Memory { buffers, places, .. } = memory;
        let (micro_batches, update) = (graph.micro_batches, graph.segments[2].start);
        let (tensors, persistent) = (graph.tensors.clone(), graph.persistent.clone());
        Ok(Self { buffers, tensors, persistent, places, programs, micro_batches, update })
    }

    /// The tensor of this name.
    ///
    /// # Errors
    /// There is no such tensor.
    pub fn tensor(&self, name: &str) -> Result<TensorId> {
        let found = self.tensors.iter().position(|tensor| tensor.name == name);
        found.ok_or_else(|| Error::setting("the tensor", name, "one of the plan's tensors"))
    }

    /// The tensors that both programs share.
    ///
    /// # Errors
    /// The plan is of a single call and has none.
    pub fn persistent(&self) -> Result<&Persistent> {
        self.persistent.as_ref().ok_or_else(|| Error::setting("the plan", "of a single call", "of a network"))
    }

    /// Choices without effect, as neither program calls their contract, or not for their layer.
    pub fn unused<'a>(&self, choices: &'a [Choice]) -> Vec<&'a Choice> {
        let called = |choice: &&Choice| {
            self.programs.iter().flatten().any(|step| choice.is_for(step.contract.name, &step.layer))
        };
        choices.iter().filter(|choice| !called(choice)).collect()
    }

    /// Steps of a program.
    pub fn steps(&self, program: Program) -> &[Step] {
        &self.programs[program as usize]
    }

    /// The runs of a program that make up a step, one for each micro-batch.
    pub fn parts(&self, step: &StepParams) -> Vec<StepParams> {
        self.micro_batches.map_or(vec![*step], |micro| step.parts(micro.images, micro.batch))
    }

    /// The steps of such a run: all steps of the program, except for the update if more micro-batches follow.
    pub fn steps_of(&self, program: Program, part: &StepParams) -> &[Step] {
        let steps = self.steps(program);
        if program == Program::Train && !part.ends() { &steps[..self.update] } else { steps }
    }

    /// Bytes of all buffers, and of those that hold the data set's pixels.
    pub fn bytes(&self) -> (u64, u64) {
        let shards = self.persistent.iter().flat_map(|persistent| &persistent.shards);
        let pixels = shards.map(|shard| self.buffers[self.places[shard.pixels].buffer].bytes);
        (self.buffers.iter().map(|buffer| buffer.bytes).sum(), pixels.sum())
    }
}

/// A call's implementation before it has places.
struct Chosen {
    implementation: &'static str,
    reason: String,
    prelude: Prelude,
    launch: Launch,
}

fn choose(calls: &[Call], profile: &Profile, options: &Options) -> Result<Vec<Chosen>> {
    let choose_one = |call: &Call| {
        if let Some((implementation, reason)) = select::select_native(call, profile, options) {
            let prelude = Prelude { precision: call.precision, matrix: None };
            return Ok(Chosen { implementation, reason, prelude, launch: Launch::none() });
        }
        let (implementation, reason) = select::select(call, profile, options)?;
        let launch = (implementation.launch)(&call.constants);
        check_iterations(call, implementation.name, &launch, profile)?;
        let matrix = profile.matrix.filter(|_| implementation.needs.matrix);
        let prelude = Prelude { precision: call.precision, matrix };
        Ok(Chosen { implementation: implementation.name, reason, prelude, launch })
    };
    calls.iter().map(choose_one).collect()
}

fn step(call: &Call, chosen: Chosen, places: &[Place], scratch: Option<Place>, shaders: &Shaders) -> Result<Step> {
    let Chosen { implementation, reason, prelude, launch } = chosen;
    let all = [call.constants.pairs(), launch.extra.pairs()].concat();
    let contract = call.contract;
    let sources = Source::of_launch(shaders, (contract, implementation), &launch, prelude);
    let stages = launch.stages.iter().zip(launch.accesses(contract)).zip(sources);
    let dispatches = stages.map(|((stage, accesses), source)| {
        let declared = source.overrides();
        let constants = all.iter().filter(|(name, _)| declared.contains(name)).copied().collect();
        let place = |number: &usize| call.tensors.get(*number).map_or(scratch.unwrap_or_default(), |&id| places[id]);
        let bindings = stage.bindings.iter().map(place).zip(accesses).collect();
        Dispatch { source, prelude, constants, bindings, grid: stage.grid }
    });
    let dispatches: Vec<Dispatch> = dispatches.collect();
    dispatches.iter().try_for_each(|dispatch| check_overrides(dispatch, contract.name, &all))?;
    Ok(Step {
        layer: call.layer.clone(),
        contract,
        implementation,
        reason,
        constants: call.constants.clone(),
        tensors: call.tensors.clone(),
        cost: contract.cost_in(&call.constants, call.precision),
        dispatches,
    })
}

/// Refuses a user's shader that declares a constant without a value.
fn check_overrides(dispatch: &Dispatch, contract: &str, known: &[(&'static str, f64)]) -> Result<()> {
    let files = dispatch.source.files();
    let by_default = |name: &str| {
        let lines = files.iter().flat_map(|file| file.text.lines());
        let mut lines = lines.filter_map(|line| line.strip_prefix("override ")?.strip_prefix(name));
        lines.any(|rest| rest.contains('='))
    };
    let unknown = |name: &&str| !known.iter().any(|(other, _)| other == name) && !by_default(name);
    let Some(name) = dispatch.source.overrides().into_iter().find(unknown) else { return Ok(()) };
    let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    let message = format!("its override {name} has no value; a launch of {contract} has {}", names.join(" "));
    Err(Error::Shader { file: dispatch.source.kernel().place(), message })
}

/// Software adapters silently leave loops that are too long, so the plan refuses them.
fn check_iterations(call: &Call, implementation: &str, launch: &Launch, profile: &Profile) -> Result<()> {
    // the loops around the counted one need some, too
    let limit = MOST_LOOP_ITERATIONS - 4096;
    if !profile.kind.is_software() || launch.iterations <= limit {
        return Ok(());
    }
    Err(Error::Limit {
        what: format!("{} ({implementation}) of layer {}", call.contract.name, call.layer),
        need: format!("{} loop iterations of one thread", launch.iterations),
        limit: limit.to_string(),
        remedy: "use --micro-batch auto, a smaller --batch, fewer channels, a hardware adapter or --device native"
            .into(),
    })
}

/// Drivers stop work that keeps a device busy for too long, and the program with it.
fn check_work(step: &Step, profile: &Profile) -> Result<()> {
    let most = profile.most_flops();
    if step.cost.flops <= most {
        return Ok(());
    }
    Err(Error::Limit {
        what: format!("{} of layer {}", step.contract.name, step.layer),
        need: format!("{:.0} GFLOP in one go", step.cost.flops / 1e9),
        limit: format!("{:.0} GFLOP, as drivers stop work that takes seconds", most / 1e9),
        remedy: "use --micro-batch auto, a smaller --batch or smaller images".into(),
    })
}

/// Checks that a dispatch does not read and write one buffer, even at distant ranges, and that its bindings fit.
fn check_bindings(step: &Step, profile: &Profile) -> Result<()> {
    for dispatch in &step.dispatches {
        if let Some((place, _)) = dispatch.bindings.iter().find(|(place, _)| place.bytes > profile.binding_bytes) {
            return Err(Error::Limit {
                what: format!("{} of layer {}", step.contract.name, step.layer),
                need: format!("{} in one piece", bytes_in_words(place.bytes)),
                limit: bytes_in_words(profile.binding_bytes),
                remedy: "use --micro-batch auto, a smaller --batch, smaller images or a smaller model".into(),
            });
        }
        let what = format!("{} ({})", step.contract.name, dispatch.source.kernel().path);
        let written = |buffer| dispatch.bindings.iter().any(|(p, a)| p.buffer == buffer && *a != Access::Read);
        if let Some((place, _)) = dispatch.bindings.iter().find(|(p, a)| *a == Access::Read && written(p.buffer)) {
            let problem = format!("{what} reads and writes buffer {} in one dispatch", place.buffer);
            return Err(Error::device(problem, "this is a bug in the plan, please report it"));
        }
        if dispatch.bindings.len() > profile.storage_buffers as usize {
            return Err(Error::Limit {
                what,
                need: format!("{} storage buffers", dispatch.bindings.len()),
                limit: profile.storage_buffers.to_string(),
                remedy: "choose another implementation with --use".into(),
            });
        }
    }
    Ok(())
}
