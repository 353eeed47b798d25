//! Engines run plans: `cpu` on the twins, `gpu` through wgpu. Training talks to the trait and cannot tell them apart.
//!
//! An engine knows a plan's buffers and dispatches. It knows no layers, no data sets and no files.

pub mod cpu;
pub mod gpu;
pub mod validate;

pub use cpu::CpuEngine;
pub use gpu::{Gpu, GpuEngine};

use crate::error::Result;
use crate::graph::TensorId;
use crate::kernels::StepParams;
use crate::plan::{Plan, Program};

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

/// Runs the programs of a plan.
pub trait Engine {
    /// The plan it runs.
    fn plan(&self) -> &Plan;

    /// The device in words.
    fn device(&self) -> String;

    /// Writes a tensor from its front on; four bytes to an element, little-endian. What is missing from the last element
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

    /// Queues one run of a program for each of `steps` (at most [`METRICS_SLOTS`](crate::graph::METRICS_SLOTS)), in order.
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
}

/// Reads a tensor of floats.
///
/// # Errors
/// As [`Engine::read`].
pub fn read_floats(engine: &mut dyn Engine, tensor: TensorId) -> Result<Vec<f32>> {
    Ok(bytemuck::pod_collect_to_vec(&engine.read(tensor)?))
}
