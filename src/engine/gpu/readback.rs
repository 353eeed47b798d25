//! Reads the metrics ring back: at most two submissions are in flight, and waiting for the older is the only wait.

use super::Gpu;
use crate::engine::Metrics;
use crate::error::{Error, Result};
use crate::plan::Place;
use std::collections::VecDeque;
use std::time::Duration;

const IN_FLIGHT: usize = 2;

/// How long a callback may take after the wait for its work has ended. Another thread is calling it then.
const CALL_BACK: Duration = Duration::from_secs(30);

struct Pending {
    /// A copy of the metrics ring; `None` in plans without metrics.
    copy: Option<wgpu::Buffer>,
    submission: wgpu::SubmissionIndex,
    slots: Vec<u32>,
}

/// The metrics of submitted steps.
pub(super) struct Readback {
    metrics: Option<(wgpu::Buffer, Place)>,
    pending: VecDeque<Pending>,
    arrived: Vec<Metrics>,
    /// Copies that can be used again.
    spare: Vec<wgpu::Buffer>,
}

impl Readback {
    pub fn new(metrics: Option<(wgpu::Buffer, Place)>) -> Self {
        Self { metrics, pending: VecDeque::new(), arrived: Vec::new(), spare: Vec::new() }
    }

    /// Waits until another submission may be queued.
    pub fn make_room(&mut self, gpu: &Gpu) -> Result<()> {
        while self.pending.len() >= IN_FLIGHT {
            self.take_oldest(gpu)?;
        }
        Ok(())
    }

    /// Encodes a copy of the ring.
    pub fn copy(&mut self, gpu: &Gpu, encoder: &mut wgpu::CommandEncoder) -> Option<wgpu::Buffer> {
        let (buffer, place) = self.metrics.as_ref()?;
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let copy = self.spare.pop().unwrap_or_else(|| gpu.buffer("metrics copy", place.bytes, usage));
        encoder.copy_buffer_to_buffer(buffer, place.offset, &copy, 0, place.bytes);
        Some(copy)
    }

    pub fn map(&mut self, copy: Option<wgpu::Buffer>, submission: wgpu::SubmissionIndex, slots: Vec<u32>) {
        self.pending.push_back(Pending { copy, submission, slots });
    }

    pub fn finished(&mut self, gpu: &Gpu) -> Result<Vec<Metrics>> {
        gpu.check()?;
        Ok(std::mem::take(&mut self.arrived))
    }

    pub fn wait(&mut self, gpu: &Gpu) -> Result<Vec<Metrics>> {
        while !self.pending.is_empty() {
            self.take_oldest(gpu)?;
        }
        self.finished(gpu)
    }

    fn take_oldest(&mut self, gpu: &Gpu) -> Result<()> {
        let Some(Pending { copy, submission, slots }) = self.pending.pop_front() else { return Ok(()) };
        let Some(copy) = copy else { return gpu.wait_for(Some(submission)) };
        let values: Vec<f32> = bytemuck::pod_collect_to_vec(&map_after(gpu, &copy, Some(submission))?);
        for slot in slots {
            let at = slot as usize % (values.len() / 4) * 4;
            let [loss, hits, count, gradient_squares] = [0, 1, 2, 3].map(|i| values[at + i]);
            self.arrived.push(Metrics { loss, hits, count, gradient_squares });
        }
        self.spare.push(copy);
        Ok(())
    }
}

/// The contents of a mappable buffer, after everything queued has run.
pub(super) fn map_now(gpu: &Gpu, buffer: &wgpu::Buffer) -> Result<Vec<u8>> {
    map_after(gpu, buffer, None)
}

fn map_after(gpu: &Gpu, buffer: &wgpu::Buffer, submission: Option<wgpu::SubmissionIndex>) -> Result<Vec<u8>> {
    let (sender, receiver) = std::sync::mpsc::channel();
    buffer.map_async(wgpu::MapMode::Read, .., move |result| drop(sender.send(result)));
    gpu.wait_for(submission)?;
    let failed = |what: String| Error::device(format!("reading from the GPU failed: {what}"), "check the driver");
    // another thread that waits for the same device may be the one that calls back
    receiver.recv_timeout(CALL_BACK).map_err(|e| failed(e.to_string()))?.map_err(|e| failed(e.to_string()))?;
    let bytes = buffer.get_mapped_range(..).map_err(|e| failed(e.to_string()))?.to_vec();
    buffer.unmap();
    Ok(bytes)
}
