//! Pipelines and bind groups: one pipeline per (shader, constants, bindings), built on several threads.

use super::Gpu;
use crate::error::{Error, Result};
use crate::kernels::{Access, Grid, StepParams, common_source};
use crate::plan::{ALIGNMENT, Dispatch, Plan};
use rayon::prelude::*;
use std::num::NonZeroU64;

/// A dispatch ready to encode.
pub(super) struct Encoded {
    pub pipeline: wgpu::ComputePipeline,
    pub bind_group: wgpu::BindGroup,
    pub grid: Grid,
}

impl Encoded {
    /// Encodes it with the parameters of a submission's step of this number.
    pub fn encode(&self, pass: &mut wgpu::ComputePass, step: usize) {
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.bind_group, &[step as u32 * ALIGNMENT as u32]);
        pass.dispatch_workgroups(self.grid.x, self.grid.y, 1);
    }
}

/// Dispatches of both programs of a plan.
pub(super) fn build(
    gpu: &Gpu,
    plan: &Plan,
    buffers: &[wgpu::Buffer],
    params: &wgpu::Buffer,
    checked: bool,
) -> Result<[Vec<Encoded>; 2]> {
    let dispatches: Vec<&Dispatch> = plan.programs.iter().flatten().flat_map(|step| &step.dispatches).collect();
    let mut unique: Vec<&Dispatch> = Vec::new();
    for dispatch in &dispatches {
        if !unique.iter().any(|other| same_pipeline(other, dispatch)) {
            unique.push(dispatch);
        }
    }
    let pipelines: Vec<(&Dispatch, Pipeline)> = unique
        .par_iter()
        .map(|dispatch| Ok((*dispatch, Pipeline::new(gpu, dispatch, checked)?)))
        .collect::<Result<_>>()?;
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
    a.shader == b.shader && a.prelude == b.prelude && a.constants == b.constants && accesses(a) == accesses(b)
}

struct Pipeline {
    pipeline: wgpu::ComputePipeline,
    layout: wgpu::BindGroupLayout,
}

impl Pipeline {
    fn new(gpu: &Gpu, dispatch: &Dispatch, checked: bool) -> Result<Self> {
        let file = dispatch.shader.path;
        let built = gpu.guarded(file, || {
            let module = module(gpu, dispatch, checked);
            let layout = bind_group_layout(gpu, dispatch);
            let pipeline_layout = gpu.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: Some(file),
                bind_group_layouts: &[Some(&layout)],
                immediate_size: 0,
            });
            let pipeline = gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(file),
                layout: Some(&pipeline_layout),
                module: &module,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions {
                    constants: &dispatch.constants,
                    zero_initialize_workgroup_memory: checked,
                },
                cache: None,
            });
            Self { pipeline, layout }
        });
        built.map_err(|error| Error::Shader { file: file.to_owned(), message: error.to_string() })
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
        let label = Some(dispatch.shader.path);
        gpu.device.create_bind_group(&wgpu::BindGroupDescriptor { label, layout: &self.layout, entries: &entries })
    }
}

fn module(gpu: &Gpu, dispatch: &Dispatch, checked: bool) -> wgpu::ShaderModule {
    let source = dispatch.prelude.text() + &common_source() + dispatch.shader.text;
    let descriptor = wgpu::ShaderModuleDescriptor {
        label: Some(dispatch.shader.path),
        source: wgpu::ShaderSource::Wgsl(source.into()),
    };
    if checked {
        return gpu.device.create_shader_module(descriptor);
    }
    #[expect(unsafe_code, reason = "bounds checks and loop limits cost our own kernels up to a factor of a hundred")]
    // SAFETY: these are the crate's own kernels. Their indices stay inside the bound ranges, whose sizes the contracts
    // state, and their loops end: the tests run every implementation and case with the checks on and with guard bytes
    // around each range.
    unsafe {
        gpu.device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked())
    }
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
    let label = Some(dispatch.shader.path);
    gpu.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label, entries: &entries })
}
