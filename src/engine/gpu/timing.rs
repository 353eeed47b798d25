//! How long work takes on the GPU's own clock, or on the wall where it has none.

use super::pipelines::Encoded;
use super::{Gpu, GpuEngine, encode, readback, write_params};
use crate::error::Result;
use crate::kernels::StepParams;
use crate::plan::Program;
use std::time::Instant;

impl GpuEngine {
    /// Seconds of one run of a program, the mean of `repeats` in one submission, after everything queued before.
    ///
    /// # Errors
    /// The device is lost.
    pub fn time(&mut self, program: Program, params: &StepParams, repeats: usize) -> Result<f64> {
        super::Engine::wait(self)?;
        write_params(&self.gpu, &self.params, std::slice::from_ref(params));
        let program = &self.programs.ready()?[program as usize];
        let seconds = match self.gpu.profile().timestamps {
            true => time_by_timestamps(&self.gpu, program, repeats)?,
            false => time_by_wall(&self.gpu, program, repeats)?,
        };
        Ok(seconds / repeats as f64)
    }
}

fn time_by_timestamps(gpu: &Gpu, program: &[Encoded], repeats: usize) -> Result<f64> {
    let query_set = gpu.device.create_query_set(&wgpu::QuerySetDescriptor {
        label: Some("timing"),
        ty: wgpu::QueryType::Timestamp,
        count: 2,
    });
    let resolved = gpu.buffer("timestamps", 16, wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC);
    let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
    let readable = gpu.buffer("timestamps read-back", 16, usage);
    let mut encoder = gpu.device.create_command_encoder(&Default::default());
    let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
        label: Some("timing"),
        timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
            query_set: &query_set,
            beginning_of_pass_write_index: Some(0),
            end_of_pass_write_index: Some(1),
        }),
    });
    (0..repeats).for_each(|_| encode(&mut pass, program, 0));
    drop(pass);
    encoder.resolve_query_set(&query_set, 0..2, &resolved, 0);
    encoder.copy_buffer_to_buffer(&resolved, 0, &readable, 0, 16);
    gpu.queue.submit([encoder.finish()]);
    let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&readback::map_now(gpu, &readable)?);
    let period = f64::from(gpu.queue.get_timestamp_period());
    Ok(ticks[1].saturating_sub(ticks[0]) as f64 * period * 1e-9)
}

fn time_by_wall(gpu: &Gpu, program: &[Encoded], repeats: usize) -> Result<f64> {
    let start = Instant::now();
    let mut encoder = gpu.device.create_command_encoder(&Default::default());
    let mut pass = encoder.begin_compute_pass(&Default::default());
    (0..repeats).for_each(|_| encode(&mut pass, program, 0));
    drop(pass);
    let submission_index = Some(gpu.queue.submit([encoder.finish()]));
    let waited = gpu.device.poll(wgpu::PollType::Wait { submission_index, timeout: None });
    gpu.check()?;
    let failed = |e| crate::Error::device(format!("waiting for the GPU failed: {e}"), "check the driver");
    waited.map(|_| start.elapsed().as_secs_f64()).map_err(failed)
}
