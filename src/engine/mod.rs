//! Engines run plans: `cpu` on the twins, `gpu` through wgpu. Training talks to the trait and cannot tell them apart.
//!
//! An engine knows the buffers and dispatches of a plan, but no layers, data sets or files.

pub mod cpu;
pub mod gpu;
pub mod lockstep;
pub mod measure;
pub mod peak;
pub mod validate;

pub use cpu::CpuEngine;
pub use gpu::{Gpu, GpuEngine};

use crate::error::Result;
use crate::graph::TensorId;
use crate::kernels::{Element, StepParams};
use crate::plan::{Plan, Program};
use half::f16;

/// The metrics of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metrics {
    /// Sum of the losses of the step's images.
    pub loss: f32,
    /// Images that were classified correctly.
    pub hits: f32,
    /// Images in the step.
    pub count: f32,
    /// Sum of squares of all gradients; zero in inference.
    pub gradient_squares: f32,
}

/// When something ran, and for how long.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Span {
    /// Seconds since the timeline began.
    pub start: f64,
    /// Duration in seconds.
    pub seconds: f64,
}

/// The times of one run of a program, dispatch by dispatch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timeline {
    /// What the CPU did in the meantime, by name.
    pub host: Vec<(&'static str, Span)>,
    /// The dispatches of each step of the program, in the plan's order; a twin counts as one dispatch.
    pub steps: Vec<Vec<Span>>,
}

/// Runs the programs of a plan.
pub trait Engine {
    /// The plan it runs.
    fn plan(&self) -> &Plan;

    /// The device in words.
    fn device(&self) -> String;

    /// Writes `bytes` to the front of a tensor: elements as the plan stores them, little-endian. An incomplete last word is filled
    /// up with zeros.
    ///
    /// # Errors
    /// The device is lost.
    fn write(&mut self, tensor: TensorId, bytes: &[u8]) -> Result<()>;

    /// Gathers `parts`, one after the other. The next run begins by copying them to the front of the tensor. This replaces what
    /// was staged for the tensor before. Work that is already queued still sees the old contents.
    ///
    /// # Errors
    /// The device is lost; `parts` are empty, or more than the tensor holds.
    fn stage(&mut self, tensor: TensorId, parts: &[&[u8]]) -> Result<()>;

    /// Queues one run of a program for each of `steps` (at most [`METRICS_SLOTS`](crate::graph::METRICS_SLOTS)), in order. A plan with
    /// micro-batches cuts each step into parts ([`Plan::parts`]); its metrics are those of the whole step.
    ///
    /// # Errors
    /// The device is lost or refuses the work.
    fn run(&mut self, program: Program, steps: &[StepParams]) -> Result<()>;

    /// Metrics of the steps that have ended since the last call, in order. Does not wait.
    ///
    /// # Errors
    /// The device is lost.
    fn finished(&mut self) -> Result<Vec<Metrics>>;

    /// Waits for everything queued, then returns what [`Engine::finished`] would.
    ///
    /// # Errors
    /// The device is lost.
    fn wait(&mut self) -> Result<Vec<Metrics>>;

    /// Reads a whole tensor, after everything queued has run.
    ///
    /// # Errors
    /// The device is lost.
    fn read(&mut self, tensor: TensorId) -> Result<Vec<u8>>;

    /// Which clock [`Engine::time`] and [`Engine::timeline`] read: `gpu`; `cpu`, where each call has ended when the next begins; or `wall`, which
    /// also counts submitting and waiting.
    fn clock(&self) -> &'static str;

    /// Seconds that one run of a program takes (one micro-batch, with the update): the mean of `repeats` runs in one submission,
    /// after everything queued before.
    ///
    /// # Errors
    /// The device is lost.
    fn time(&mut self, program: Program, params: &StepParams, repeats: usize) -> Result<f64>;

    /// Runs a program once and times each of its dispatches, after everything queued before.
    ///
    /// # Errors
    /// The device is lost.
    fn timeline(&mut self, program: Program, params: &StepParams) -> Result<Timeline>;

    /// Runs only step `number` of a program, after everything queued before. The caller can then read what it wrote, even if a
    /// later step of the program would overwrite it.
    ///
    /// # Errors
    /// The device is lost.
    fn run_alone(&mut self, program: Program, number: usize, params: &StepParams) -> Result<()>;

    /// Starts again with the same plan after the device has failed, on a newly opened device. The contents of all tensors are lost,
    /// and so is everything queued.
    ///
    /// # Errors
    /// The device does not come back.
    fn renew(&mut self) -> Result<()>;
}

/// Reads a tensor of f32 or f16 values.
///
/// # Errors
/// As [`Engine::read`].
pub fn read_floats(engine: &mut dyn Engine, tensor: TensorId) -> Result<Vec<f32>> {
    let bytes = engine.read(tensor)?;
    let tensor = &engine.plan().tensors[tensor];
    let mut floats = floats_of(&bytes, tensor.element);
    floats.truncate(tensor.elements);
    Ok(floats)
}

/// Writes a tensor of f32 or f16 values.
///
/// # Errors
/// As [`Engine::write`].
pub fn write_floats(engine: &mut dyn Engine, tensor: TensorId, values: &[f32]) -> Result<()> {
    let bytes = bytes_of(values, engine.plan().tensors[tensor].element);
    engine.write(tensor, &bytes)
}

/// The bytes of a buffer that holds these floats, up to a whole word.
fn bytes_of(values: &[f32], element: Element) -> Vec<u8> {
    match element {
        Element::F16 => {
            let mut halves: Vec<u16> = values.iter().map(|&value| f16::from_f32(value).to_bits()).collect();
            halves.resize(halves.len().next_multiple_of(2), 0);
            bytemuck::cast_slice(&halves).to_vec()
        }
        Element::F32 | Element::U32 => bytemuck::cast_slice(values).to_vec(),
    }
}

/// The floats in a buffer, including the padding of a last half-filled word.
fn floats_of(bytes: &[u8], element: Element) -> Vec<f32> {
    match element {
        Element::F16 => {
            let halves = bytemuck::pod_collect_to_vec::<u8, u16>(bytes);
            halves.into_iter().map(|bits| f16::from_bits(bits).to_f32()).collect()
        }
        Element::F32 | Element::U32 => bytemuck::pod_collect_to_vec(bytes),
    }
}
