//! Pipelines and bind groups: one module for each shader, and one pipeline for each combination of shader, constants and
//! bindings in both programs. A thread of its own builds them on all cores, so that an engine's tensors can be filled meanwhile.

use super::Gpu;
use crate::error::{Error, Result};
use crate::kernels::{Access, Grid, Source, StepParams};
use crate::plan::{ALIGNMENT, Dispatch, Plan};
use rayon::prelude::*;
use std::collections::{HashMap, HashSet};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::thread::JoinHandle;

/// A dispatch ready to encode.
pub(super) struct Encoded {
    pub pipeline: wgpu::ComputePipeline,
    pub bind_group: wgpu::BindGroup,
    pub grid: Grid,
}

impl Encoded {
    /// Encodes the dispatch with the parameters in slot `step` of the uniform ring.
    pub fn encode(&self, pass: &mut wgpu::ComputePass, step: usize) {
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.bind_group, &[step as u32 * ALIGNMENT as u32]);
        pass.dispatch_workgroups(self.grid.x, self.grid.y, 1);
    }
}

/// The dispatches of each program of a plan, in order.
type Dispatches = [Vec<Encoded>; 2];

/// The dispatches of a plan's programs, which a thread builds.
pub(super) struct Programs {
    thread: Option<JoinHandle<Result<Dispatches>>>,
    built: Option<Result<Dispatches>>,
}

impl Programs {
    /// Starts to build the programs of a plan.
    pub fn start(
        gpu: &Arc<Gpu>,
        plan: &Arc<Plan>,
        buffers: &[wgpu::Buffer],
        params: &wgpu::Buffer,
        checked: bool,
    ) -> Self {
        let (gpu, plan, buffers, params) = (gpu.clone(), plan.clone(), buffers.to_vec(), params.clone());
        let thread = std::thread::spawn(move || build(&gpu, &plan, &buffers, &params, checked));
        Self { thread: Some(thread), built: None }
    }

    /// Waits for the programs.
    pub fn ready(&mut self) -> Result<&Dispatches> {
        let failed =
            || Error::device("the pipelines could not be built", "please report this with what was said before");
        if let Some(thread) = self.thread.take() {
            self.built = Some(thread.join().unwrap_or_else(|_| Err(failed())));
        }
        match &self.built {
            Some(Ok(built)) => Ok(built),
            Some(Err(error)) => Err(error.clone()),
            None => Err(failed()),
        }
    }
}

impl Drop for Programs {
    /// Waits for the thread, since a process that ends while its driver compiles may crash.
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn build(gpu: &Gpu, plan: &Plan, buffers: &[wgpu::Buffer], params: &wgpu::Buffer, checked: bool) -> Result<Dispatches> {
    let dispatches: Vec<&Dispatch> = plan.programs.iter().flatten().flat_map(|step| &step.dispatches).collect();
    let mut unique: Vec<&Dispatch> = Vec::new();
    for dispatch in &dispatches {
        if !unique.iter().any(|other| same_pipeline(other, dispatch)) {
            unique.push(dispatch);
        }
    }
    let texts: HashSet<&Source> = unique.iter().map(|dispatch| &dispatch.source).collect();
    let modules = texts.into_par_iter().map(|text| Ok((text, module(gpu, text, checked)?)));
    let modules = modules.collect::<Result<HashMap<&Source, wgpu::ShaderModule>>>()?;
    let pipelines: Vec<(&Dispatch, Pipeline)> = unique
        .par_iter()
        .map(|dispatch| Ok((*dispatch, Pipeline::new(gpu, dispatch, &modules[&dispatch.source], checked)?)))
        .collect::<Result<_>>()?;
    if let Some(kept) = gpu.kept.get() {
        kept.save();
    }
    let encode = |dispatch: &Dispatch| {
        let found = pipelines.iter().find(|(other, _)| same_pipeline(other, dispatch));
        let (_, pipeline) = found.ok_or_else(|| Error::device("a pipeline is missing", "please report this"))?;
        let bind_group = pipeline.bind(gpu, dispatch, buffers, params);
        Ok(Encoded { pipeline: pipeline.pipeline.clone(), bind_group, grid: dispatch.grid })
    };
    let program = |steps: &[crate::plan::Step]| -> Result<Vec<Encoded>> {
        steps.iter().flat_map(|step| &step.dispatches).map(encode).collect()
    };
    gpu.guarded("binding buffers", || Ok([program(&plan.programs[0])?, program(&plan.programs[1])?]))?
}

fn same_pipeline(a: &Dispatch, b: &Dispatch) -> bool {
    let accesses = |d: &Dispatch| d.bindings.iter().map(|(_, access)| *access == Access::Read).collect::<Vec<_>>();
    a.source == b.source && a.constants == b.constants && accesses(a) == accesses(b)
}

struct Pipeline {
    pipeline: wgpu::ComputePipeline,
    layout: wgpu::BindGroupLayout,
}

impl Pipeline {
    fn new(gpu: &Gpu, dispatch: &Dispatch, module: &wgpu::ShaderModule, checked: bool) -> Result<Self> {
        let source = &dispatch.source;
        let file = source.kernel().path;
        let built = gpu.guarded(file, || {
            let layout = bind_group_layout(gpu, dispatch);
            let pipeline_layout = gpu.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: Some(file),
                bind_group_layouts: &[Some(&layout)],
                immediate_size: 0,
            });
            let pipeline = gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(file),
                layout: Some(&pipeline_layout),
                module,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions {
                    constants: &dispatch.constants,
                    zero_initialize_workgroup_memory: checked || !source.is_trusted(),
                },
                // the cache's key covers the crate's own text only
                cache: gpu.kept.get().filter(|_| source.is_own()).map(|kept| &kept.cache),
            });
            Self { pipeline, layout }
        });
        built.map_err(|error| refused(&source.kernel().place(), &error))
    }

    fn bind(&self, gpu: &Gpu, dispatch: &Dispatch, buffers: &[wgpu::Buffer], params: &wgpu::Buffer) -> wgpu::BindGroup {
        let range = |buffer, offset, bytes| {
            wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size: NonZeroU64::new(bytes) })
        };
        let params = wgpu::BindGroupEntry { binding: 0, resource: range(params, 0, size_of::<StepParams>() as u64) };
        let storage = dispatch.bindings.iter().zip(1..).map(|((place, _), binding)| wgpu::BindGroupEntry {
            binding,
            resource: range(&buffers[place.buffer], place.offset, place.bytes),
        });
        let entries: Vec<wgpu::BindGroupEntry> = std::iter::once(params).chain(storage).collect();
        let label = Some(dispatch.source.kernel().path);
        gpu.device.create_bind_group(&wgpu::BindGroupDescriptor { label, layout: &self.layout, entries: &entries })
    }
}

fn refused(file: &str, error: &Error) -> Error {
    Error::Shader { file: file.to_owned(), message: error.to_string() }
}

/// Compiles a kernel. The driver checks a user's kernel unless the user vouches for it, whether or not it checks the crate's own.
fn module(gpu: &Gpu, source: &Source, checked: bool) -> Result<wgpu::ShaderModule> {
    let file = source.kernel();
    let wgsl = wgpu::ShaderSource::Wgsl(source.text().into());
    let descriptor = wgpu::ShaderModuleDescriptor { label: Some(file.path), source: wgsl };
    let mut objections = Vec::new();
    let created = gpu.guarded(file.path, || {
        let module = if checked || !source.is_trusted() {
            gpu.device.create_shader_module(descriptor)
        } else {
            #[expect(
                unsafe_code,
                reason = "bounds checks and loop limits cost our own kernels up to a factor of a hundred"
            )]
            // SAFETY: these are the crate's own kernels. Their indices stay inside the bound ranges, whose sizes the
            // contracts state, and their loops end: the tests run every implementation and case with the checks on and with
            // guard bytes around each range. A user's kernels get here only with --trust-shaders, by which the user takes
            // that responsibility.
            unsafe {
                gpu.device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked())
            }
        };
        objections = pollster::block_on(module.get_compilation_info()).messages;
        module
    });
    created.map_err(|error| match objections.first() {
        Some(objection) => not_compiled(source, objection),
        None => refused(&file.place(), &error),
    })
}

/// The compiler's message, with the line numbers of the kernel's own file.
fn not_compiled(source: &Source, objection: &wgpu::CompilationMessage) -> Error {
    let text = objection.message.trim();
    let place = source.first_place(text).map(|(file, line)| format!("{file}:{line}"));
    // naga's message begins with the label, which is the file without the line
    let text = text.split_once("error: ").map_or(text, |(_, text)| text);
    Error::Shader { file: place.unwrap_or_else(|| source.kernel().place()), message: source.translate(text) }
}

fn bind_group_layout(gpu: &Gpu, dispatch: &Dispatch) -> wgpu::BindGroupLayout {
    let entry = |binding, ty, has_dynamic_offset| wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset, min_binding_size: None },
        count: None,
    };
    let params = entry(0, wgpu::BufferBindingType::Uniform, true);
    let storage = dispatch.bindings.iter().zip(1..).map(|((_, access), binding)| {
        let read_only = *access == Access::Read;
        entry(binding, wgpu::BufferBindingType::Storage { read_only }, false)
    });
    let entries: Vec<wgpu::BindGroupLayoutEntry> = std::iter::once(params).chain(storage).collect();
    let label = Some(dispatch.source.kernel().path);
    gpu.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label, entries: &entries })
}
