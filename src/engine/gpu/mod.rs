//! The GPU engine, the only room that names wgpu. Everything slow happens once, in [`GpuEngine::new`]; a step only encodes
//! and submits.

mod budget;
mod device;
mod pipeline_cache;
mod pipelines;
mod readback;
mod staging;
mod timing;

pub use device::{Gpu, TIMEOUT, adapters, panic_is_caught};
pub use pipeline_cache::PipelineStore;

use super::{Engine, Metrics, Timeline};
use crate::error::{Error, Result};
use crate::graph::{METRICS_SLOTS, TensorId};
use crate::kernels::StepParams;
use crate::plan::{ALIGNMENT, Place, Plan, Program, too_little_memory};
use pipelines::{Encoded, Programs};
use readback::Readback;
use staging::Staging;
use std::sync::Arc;

/// Bytes of a large tensor that are handed to the driver at once.
const UPLOAD_BYTES: usize = 64 << 20;

/// A plan with its buffers, pipelines and bind groups on a GPU.
pub struct GpuEngine {
    gpu: Arc<Gpu>,
    plan: Arc<Plan>,
    buffers: Vec<wgpu::Buffer>,
    programs: Programs,
    /// `StepParams` of up to [`METRICS_SLOTS`] steps or micro-batches, 256 bytes apart.
    params: wgpu::Buffer,
    staging: Staging,
    readback: Readback,
    checked: bool,
}

impl GpuEngine {
    /// Allocates every buffer and starts to build every pipeline; the first run or wait finds them ready. If `checked`, the driver
    /// guards every access and loop. Otherwise it trusts the kernels, since the tests have run them checked.
    ///
    /// # Errors
    /// An allocation is refused. If a shader does not compile, the first run or wait fails.
    pub fn new(gpu: &Arc<Gpu>, plan: Plan, checked: bool) -> Result<Self> {
        use wgpu::BufferUsages as Usage;
        let allocated = gpu.guarded("allocating buffers", || {
            let usage = Usage::STORAGE | Usage::COPY_DST | Usage::COPY_SRC;
            let buffers = plan.buffers.iter().map(|buffer| gpu.buffer(&buffer.name, buffer.bytes, usage));
            let params_bytes = ALIGNMENT * METRICS_SLOTS as u64;
            let params = gpu.buffer("step parameters", params_bytes, Usage::UNIFORM | Usage::COPY_DST);
            (buffers.collect::<Vec<wgpu::Buffer>>(), params)
        });
        let (buffers, params) = allocated.map_err(|error| match error {
            Error::Memory { .. } => {
                let training = !plan.steps(Program::Train).is_empty();
                too_little_memory(&gpu.profile.name, plan.bytes().0, "its driver did not give it", training)
            }
            other => other,
        })?;
        let plan = Arc::new(plan);
        let programs = Programs::start(gpu, &plan, &buffers, &params, checked);
        let metrics = plan.persistent().ok().map(|persistent| plan.places[persistent.metrics]);
        let readback = Readback::new(metrics.map(|place| (buffers[place.buffer].clone(), place)));
        Ok(Self { gpu: gpu.clone(), plan, buffers, programs, params, staging: Staging::default(), readback, checked })
    }

    /// Queues runs of a program as one submission. Each run is a step or one of its micro-batches; the metrics of a step come
    /// with its last micro-batch.
    fn submit(&mut self, program: Program, parts: &[StepParams]) -> Result<()> {
        let dispatches = &self.programs.ready()?[program as usize];
        self.readback.make_room(&self.gpu)?;
        write_params(&self.gpu, &self.params, parts);
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        self.staging.copy(&mut encoder, &self.buffers);
        let mut pass = encoder.begin_compute_pass(&Default::default());
        for (place, part) in parts.iter().enumerate() {
            let count = self.plan.steps_of(program, part).iter().map(|step| step.dispatches.len()).sum::<usize>();
            encode(&mut pass, &dispatches[..count], place);
        }
        drop(pass);
        let copy = self.readback.copy(&self.gpu, &mut encoder);
        let submission = self.gpu.queue.submit([encoder.finish()]);
        self.staging.recall();
        self.readback.map(copy, submission, parts.iter().filter(|part| part.ends()).map(|part| part.slot).collect());
        self.gpu.check()
    }

    /// Reads a range of a buffer, after everything queued has run.
    ///
    /// # Errors
    /// The device is lost.
    pub fn read_place(&mut self, place: Place) -> Result<Vec<u8>> {
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let staging = self.gpu.guarded("reading", || self.gpu.buffer("read-back", place.bytes, usage))?;
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(&self.buffers[place.buffer], place.offset, &staging, 0, place.bytes);
        self.gpu.queue.submit([encoder.finish()]);
        readback::map_now(&self.gpu, &staging)
    }

    /// Writes a range of a buffer, filled up to a whole word with zeros. Large ranges are written in pieces, of which at most two
    /// wait to be copied, so that staging memory stays small.
    ///
    /// # Errors
    /// The device is lost.
    pub fn write_place(&mut self, place: Place, bytes: &[u8]) -> Result<()> {
        if bytes.len() as u64 > place.bytes {
            return Err(Error::setting("the bytes of a write", bytes.len(), format!("at most {}", place.bytes)));
        }
        let (words, rest) = bytes.split_at(bytes.len() / 4 * 4);
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        let tail = (!rest.is_empty()).then_some(&last[..]);
        let (mut offset, mut queued) = (place.offset, None);
        for piece in words.chunks(UPLOAD_BYTES).chain(tail) {
            self.gpu.queue.write_buffer(&self.buffers[place.buffer], offset, piece);
            offset += piece.len() as u64;
            if piece.len() == UPLOAD_BYTES {
                let before = queued.replace(self.gpu.queue.submit([]));
                before.map_or(Ok(()), |submission| self.gpu.wait_for(Some(submission)))?;
            }
        }
        self.gpu.queue.submit([]);
        self.gpu.check()
    }
}

/// Writes the parameters of up to [`METRICS_SLOTS`] steps or micro-batches into the uniform ring.
fn write_params(gpu: &Gpu, params: &wgpu::Buffer, steps: &[StepParams]) {
    let mut bytes = vec![0; ALIGNMENT as usize * steps.len()];
    for (slot, step) in bytes.chunks_mut(ALIGNMENT as usize).zip(steps) {
        slot[..size_of::<StepParams>()].copy_from_slice(bytemuck::bytes_of(step));
    }
    gpu.queue.write_buffer(params, 0, &bytes);
}

/// Encodes a program for the step whose parameters are in slot `step` of the uniform ring.
fn encode(pass: &mut wgpu::ComputePass, program: &[Encoded], step: usize) {
    for dispatch in program {
        dispatch.encode(pass, step);
    }
}

impl Engine for GpuEngine {
    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn device(&self) -> String {
        let profile = self.gpu.profile();
        format!("{} ({}, {})", profile.name, profile.backend, profile.driver)
    }

    fn write(&mut self, tensor: TensorId, bytes: &[u8]) -> Result<()> {
        self.write_place(self.plan.places[tensor], bytes)
    }

    fn run(&mut self, program: Program, steps: &[StepParams]) -> Result<()> {
        if steps.len() > METRICS_SLOTS {
            return Err(Error::setting("steps of one submission", steps.len(), format!("at most {METRICS_SLOTS}")));
        }
        let parts: Vec<StepParams> = steps.iter().flat_map(|step| self.plan.parts(step)).collect();
        parts.chunks(METRICS_SLOTS).try_for_each(|parts| self.submit(program, parts))
    }

    fn stage(&mut self, tensor: TensorId, parts: &[&[u8]]) -> Result<()> {
        self.staging.stage(&self.gpu, self.plan.places[tensor], parts)
    }

    fn finished(&mut self) -> Result<Vec<Metrics>> {
        self.readback.finished(&self.gpu)
    }

    fn wait(&mut self) -> Result<Vec<Metrics>> {
        self.programs.ready()?;
        self.readback.wait(&self.gpu)
    }

    fn read(&mut self, tensor: TensorId) -> Result<Vec<u8>> {
        self.read_place(self.plan.places[tensor])
    }

    fn clock(&self) -> &'static str {
        self.gpu.clock()
    }

    fn time(&mut self, program: Program, params: &StepParams, repeats: usize) -> Result<f64> {
        self.time_runs(program, params, repeats)
    }

    fn timeline(&mut self, program: Program, params: &StepParams) -> Result<Timeline> {
        self.time_dispatches(program, params)
    }

    fn run_alone(&mut self, program: Program, number: usize, params: &StepParams) -> Result<()> {
        Engine::wait(self)?;
        write_params(&self.gpu, &self.params, std::slice::from_ref(params));
        let steps = self.plan.steps(program);
        let before: usize = steps[..number].iter().map(|step| step.dispatches.len()).sum();
        let dispatches = &self.programs.ready()?[program as usize][before..][..steps[number].dispatches.len()];
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        encode(&mut encoder.begin_compute_pass(&Default::default()), dispatches, 0);
        let submission = self.gpu.queue.submit([encoder.finish()]);
        self.gpu.wait_for(Some(submission))
    }

    fn renew(&mut self) -> Result<()> {
        // free the memory before the new engine asks for as much
        self.buffers.iter().for_each(wgpu::Buffer::destroy);
        self.gpu.destroy();
        let gpu = self.gpu.reopen()?;
        *self = Self::new(&gpu, Plan::clone(&self.plan), self.checked)?;
        Ok(())
    }
}
