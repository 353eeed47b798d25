//! Engines run plans: `cpu` on the twins, `gpu` through wgpu. Training talks to the trait and cannot tell them apart.
//!
//! An engine knows a plan's buffers and dispatches. It knows no layers, no data sets and no files.

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

/// What one step measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metrics {
    /// Sum of the losses of its images.
    pub loss: f32,
    /// Images whose largest logit was right.
    pub hits: f32,
    /// Its images.
    pub count: f32,
    /// Sum of squares of all gradients; zero in inference.
    pub gradient_squares: f32,
}

/// When something ran.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Span {
    /// Seconds since the timeline began.
    pub start: f64,
    /// How long it took.
    pub seconds: f64,
}

/// One run of a program, dispatch by dispatch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timeline {
    /// What the CPU did meanwhile, by name.
    pub host: Vec<(&'static str, Span)>,
    /// The dispatches of each of the program's steps, in the plan's order; a twin is one.
    pub steps: Vec<Vec<Span>>,
}

/// Runs the programs of a plan.
pub trait Engine {
    /// The plan it runs.
    fn plan(&self) -> &Plan;

    /// The device in words.
    fn device(&self) -> String;

    /// Writes a tensor from its front on; elements as the plan stores them, little-endian. What is missing from the last word
    /// becomes zero.
    ///
    /// # Errors
    /// The device is lost.
    fn write(&mut self, tensor: TensorId, bytes: &[u8]) -> Result<()>;

    /// Gathers `parts`, one after the other, to be written to a tensor from its front on when the next run starts,
    /// instead of what was staged for it before. Meanwhile the device works on what was queued, and sees the old
    /// contents.
    ///
    /// # Errors
    /// The device is lost; nothing, or more than the tensor holds.
    fn stage(&mut self, tensor: TensorId, parts: &[&[u8]]) -> Result<()>;

    /// Queues one run of a program for each of `steps` (at most [`METRICS_SLOTS`](crate::graph::METRICS_SLOTS)), in order. A plan in
    /// micro-batches cuts each by itself ([`Plan::parts`]), with the metrics of the whole.
    ///
    /// # Errors
    /// The device is lost or refuses the work.
    fn run(&mut self, program: Program, steps: &[StepParams]) -> Result<()>;

    /// Metrics of the steps that have ended since the last call, in order; waits for nothing.
    ///
    /// # Errors
    /// The device is lost.
    fn finished(&mut self) -> Result<Vec<Metrics>>;

    /// Waits for everything queued, then as [`Engine::finished`].
    ///
    /// # Errors
    /// The device is lost.
    fn wait(&mut self) -> Result<Vec<Metrics>>;

    /// Reads a tensor whole, after everything queued.
    ///
    /// # Errors
    /// The device is lost.
    fn read(&mut self, tensor: TensorId) -> Result<Vec<u8>>;

    /// Whose clock [`Engine::time`] and [`Engine::timeline`] read: `gpu`, or `wall` where submission and waiting count.
    fn clock(&self) -> &'static str;

    /// Seconds of one run of a program (of one micro-batch, with the update), the mean of `repeats` in one submission, after everything queued before.
    ///
    /// # Errors
    /// The device is lost.
    fn time(&mut self, program: Program, params: &StepParams, repeats: usize) -> Result<f64>;

    /// Runs a program once, in its order and on its data, timing every dispatch alone, after everything queued before.
    ///
    /// # Errors
    /// The device is lost.
    fn timeline(&mut self, program: Program, params: &StepParams) -> Result<Timeline>;

    /// Runs the step of this number of a program alone, after everything queued before: what it writes can then be read, also
    /// what a later step of the program would overwrite.
    ///
    /// # Errors
    /// The device is lost.
    fn run_alone(&mut self, program: Program, number: usize, params: &StepParams) -> Result<()>;

    /// Begins anew for the same plan after a device has failed: with another device where there was one. The contents of all
    /// tensors are lost, and so is what was queued.
    ///
    /// # Errors
    /// The device does not come back.
    fn renew(&mut self) -> Result<()>;
}

/// Reads a tensor of floats, of either width.
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

/// Writes a tensor of floats, of either width.
///
/// # Errors
/// As [`Engine::write`].
pub fn write_floats(engine: &mut dyn Engine, tensor: TensorId, values: &[f32]) -> Result<()> {
    let bytes = bytes_of(values, engine.plan().tensors[tensor].element);
    engine.write(tensor, &bytes)
}

/// Floats as a buffer holds them, in whole words.
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

/// The floats that a buffer holds; those of a last half-filled word too.
fn floats_of(bytes: &[u8], element: Element) -> Vec<f32> {
    match element {
        Element::F16 => {
            let halves = bytemuck::pod_collect_to_vec::<u8, u16>(bytes);
            halves.into_iter().map(|bits| f16::from_bits(bits).to_f32()).collect()
        }
        Element::F32 | Element::U32 => bytemuck::pod_collect_to_vec(bytes),
    }
}
