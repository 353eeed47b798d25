//! How long work takes, by the GPU's own clock, or by the CPU's if the GPU has none.

use super::pipelines::Encoded;
use super::{Gpu, GpuEngine, encode, readback, write_params};
use crate::engine::{Engine, Span, Timeline};
use crate::error::Result;
use crate::kernels::StepParams;
use crate::plan::Program;
use std::time::Instant;

/// Passes that one query set has room for, with two timestamps each.
const PASSES_OF_A_SET: usize = wgpu::QUERY_SET_MAX_QUERIES as usize / 2;

/// Timestamps at the beginning and end of passes.
struct Marks {
    sets: Vec<wgpu::QuerySet>,
    passes: usize,
    /// For each set, the buffer that the device writes its timestamps to, and one that the host can read.
    resolved: Vec<(wgpu::Buffer, wgpu::Buffer)>,
}

impl Marks {
    fn new(gpu: &Gpu, passes: usize) -> Self {
        let sizes = (0..passes).step_by(PASSES_OF_A_SET).map(|first| 2 * PASSES_OF_A_SET.min(passes - first));
        let set = |count: usize| {
            let (label, ty, count) = (Some("timing"), wgpu::QueryType::Timestamp, count as u32);
            gpu.device.create_query_set(&wgpu::QuerySetDescriptor { label, ty, count })
        };
        let buffers = |count: usize| {
            use wgpu::BufferUsages as Usage;
            let bytes = 8 * count as u64;
            let resolved = gpu.buffer("timestamps", bytes, Usage::QUERY_RESOLVE | Usage::COPY_SRC);
            (resolved, gpu.buffer("timestamps read-back", bytes, Usage::MAP_READ | Usage::COPY_DST))
        };
        Self { sets: sizes.clone().map(set).collect(), passes, resolved: sizes.map(buffers).collect() }
    }

    /// Begins pass `number`.
    fn pass<'a>(&self, encoder: &'a mut wgpu::CommandEncoder, number: usize) -> wgpu::ComputePass<'a> {
        let begin = 2 * (number % PASSES_OF_A_SET) as u32;
        encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: Some("timing"),
            timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                query_set: &self.sets[number / PASSES_OF_A_SET],
                beginning_of_pass_write_index: Some(begin),
                end_of_pass_write_index: Some(begin + 1),
            }),
        })
    }

    fn resolve(&self, encoder: &mut wgpu::CommandEncoder) {
        for (set, (resolved, readable)) in self.sets.iter().zip(&self.resolved) {
            encoder.resolve_query_set(set, 0..(resolved.size() / 8) as u32, resolved, 0);
            encoder.copy_buffer_to_buffer(resolved, 0, readable, 0, resolved.size());
        }
    }

    /// When each pass ran, counted from the beginning of the first. Call it when everything is submitted; it waits.
    fn spans(&self, gpu: &Gpu) -> Result<Vec<Span>> {
        let mut ticks: Vec<u64> = Vec::with_capacity(2 * self.passes);
        for (_, readable) in &self.resolved {
            ticks.extend(bytemuck::pod_collect_to_vec::<u8, u64>(&readback::map_now(gpu, readable)?));
        }
        let period = f64::from(gpu.queue.get_timestamp_period()) * 1e-9;
        let first = ticks.first().copied().unwrap_or_default();
        let since = |a: u64, b: u64| b.saturating_sub(a) as f64 * period;
        let spans = ticks.chunks_exact(2);
        Ok(spans.map(|pass| Span { start: since(first, pass[0]), seconds: since(pass[0], pass[1]) }).collect())
    }
}

impl GpuEngine {
    /// As [`Engine::time`].
    pub(super) fn time_runs(&mut self, program: Program, params: &StepParams, repeats: usize) -> Result<f64> {
        Engine::wait(self)?;
        let gpu = self.gpu.clone();
        write_params(&gpu, &self.params, std::slice::from_ref(params));
        let program = &self.programs.ready()?[program as usize];
        let marks = gpu.profile().timestamps.then(|| Marks::new(&gpu, 1));
        let clock = Instant::now();
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        let mut pass = match &marks {
            Some(marks) => marks.pass(&mut encoder, 0),
            None => encoder.begin_compute_pass(&Default::default()),
        };
        (0..repeats).for_each(|_| encode(&mut pass, program, 0));
        drop(pass);
        if let Some(marks) = &marks {
            marks.resolve(&mut encoder);
        }
        let submission = gpu.queue.submit([encoder.finish()]);
        gpu.wait_for(Some(submission))?;
        let seconds = match marks {
            Some(marks) => marks.spans(&gpu)?.iter().map(|span| span.seconds).sum(),
            None => clock.elapsed().as_secs_f64(),
        };
        Ok(seconds / repeats as f64)
    }

    /// As [`Engine::timeline`]: a pass for each dispatch or, if the GPU has no clock, a submission for each.
    pub(super) fn time_dispatches(&mut self, program: Program, params: &StepParams) -> Result<Timeline> {
        Engine::wait(self)?;
        write_params(&self.gpu, &self.params, std::slice::from_ref(params));
        // parameters and earlier uploads are on the device before the clock starts
        let uploaded = self.gpu.queue.submit([]);
        self.gpu.wait_for(Some(uploaded))?;
        let gpu = self.gpu.clone();
        let dispatches = &self.programs.ready()?[program as usize];
        let (host, spans) = match gpu.profile().timestamps {
            true => mark_dispatches(&gpu, dispatches)?,
            false => submit_dispatches(&gpu, dispatches)?,
        };
        Ok(Timeline { host, steps: self.by_step(program, spans) })
    }

    /// Groups the spans of a program's dispatches by the steps they belong to.
    fn by_step(&self, program: Program, spans: Vec<Span>) -> Vec<Vec<Span>> {
        let mut spans = spans.into_iter();
        let steps = self.plan.steps(program).iter();
        steps.map(|step| spans.by_ref().take(step.dispatches.len()).collect()).collect()
    }
}

/// What the host did, and when.
type Host = Vec<(&'static str, Span)>;

fn mark_dispatches(gpu: &Gpu, dispatches: &[Encoded]) -> Result<(Host, Vec<Span>)> {
    let marks = Marks::new(gpu, dispatches.len());
    let clock = Instant::now();
    let now = || clock.elapsed().as_secs_f64();
    let mut encoder = gpu.device.create_command_encoder(&Default::default());
    for (number, dispatch) in dispatches.iter().enumerate() {
        dispatch.encode(&mut marks.pass(&mut encoder, number), 0);
    }
    marks.resolve(&mut encoder);
    let commands = encoder.finish();
    let encoded = now();
    let submission = gpu.queue.submit([commands]);
    let submitted = now();
    gpu.wait_for(Some(submission))?;
    let ended = now();
    let host = [("encode", 0.0, encoded), ("submit", encoded, submitted), ("wait", submitted, ended)];
    let host = host.map(|(name, start, end)| (name, Span { start, seconds: end - start }));
    let mut spans = marks.spans(gpu)?;
    // The two clocks have no common zero. Take it that the last dispatch ends when the CPU's waiting does.
    let last = spans.last().map_or(0.0, |span| span.start + span.seconds);
    spans.iter_mut().for_each(|span| span.start += (ended - last).max(0.0));
    Ok((host.to_vec(), spans))
}

fn submit_dispatches(gpu: &Gpu, dispatches: &[Encoded]) -> Result<(Host, Vec<Span>)> {
    let (mut host, mut spans) = (Vec::new(), Vec::new());
    let clock = Instant::now();
    let now = || clock.elapsed().as_secs_f64();
    for dispatch in dispatches {
        let start = now();
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        dispatch.encode(&mut encoder.begin_compute_pass(&Default::default()), 0);
        let commands = encoder.finish();
        let encoded = now();
        let submission = gpu.queue.submit([commands]);
        gpu.wait_for(Some(submission))?;
        host.push(("encode", Span { start, seconds: encoded - start }));
        spans.push(Span { start: encoded, seconds: now() - encoded });
    }
    Ok((host, spans))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;
    use crate::kernels::{Case, Constants, Precision, peak};
    use crate::plan::{Options, Plan};
    use std::sync::Arc;

    const CALLS: usize = PASSES_OF_A_SET + 2;

    /// More small copies than fit into one query set.
    fn engine(clock: bool) -> GpuEngine {
        let mut gpu = Arc::into_inner(Gpu::for_tests()).unwrap();
        gpu.profile.timestamps &= clock;
        let case = Case::new("small", Constants::sizes(&[("VECTORS", 3)]));
        let mut graph = Graph::single(&peak::COPY, &case, Precision::F32);
        graph.train = vec![graph.train[0].clone(); CALLS];
        let plan = Plan::new(&graph, gpu.profile(), &Options::default()).unwrap();
        GpuEngine::new(&Arc::new(gpu), plan, true).unwrap()
    }

    #[test]
    #[cfg_attr(no_adapter, ignore = "needs an adapter")]
    fn every_dispatch_has_its_span_in_order() {
        for clock in [true, false] {
            let mut engine = engine(clock);
            let params = StepParams::default();
            let timeline = engine.timeline(Program::Train, &params).unwrap();
            assert_eq!(timeline.steps.len(), CALLS);
            let mut before = 0.0;
            for spans in &timeline.steps {
                let [span] = spans[..] else { panic!("a copy is one dispatch: {spans:?}") };
                assert!(span.start >= before && span.seconds >= 0.0, "{span:?} after {before}");
                before = span.start;
            }
            assert!(engine.time(Program::Train, &params, 1).unwrap().is_finite());
            if !clock {
                assert_eq!((engine.clock(), timeline.host.len()), ("wall", CALLS), "a submission for each");
            }
        }
    }
}
