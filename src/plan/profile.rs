//! An adapter as plain data: what the plan may count on.

use crate::kernels::Matrix;
use serde::Serialize;

/// Limits and features of an adapter.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Profile {
    /// Name of the adapter.
    pub name: String,
    /// Driver and its version.
    pub driver: String,
    /// `vulkan`, `metal`, `dx12`, or `none` for the CPU twins.
    pub backend: String,
    /// `discrete`, `integrated`, `software`, ...
    pub kind: String,
    /// Largest range a kernel may see, bytes.
    pub binding_bytes: u64,
    /// Largest buffer, bytes.
    pub buffer_bytes: u64,
    /// Memory that a plan may take, bytes; absent where nobody says.
    pub memory_bytes: Option<u64>,
    /// Storage buffers a kernel may see.
    pub storage_buffers: u32,
    /// Workgroup memory, bytes.
    pub workgroup_bytes: u32,
    /// Threads in a workgroup.
    pub invocations: u32,
    /// Smallest and largest subgroup, threads; zero where kernels cannot use subgroups.
    pub subgroup: (u32, u32),
    /// Whether the GPU's own clock can be read.
    pub timestamps: bool,
    /// Whether kernels may use 16-bit floats.
    pub f16: bool,
    /// Cooperative matrices with f16 factors and f32 sums, if there are any.
    pub matrix: Option<Matrix>,
}

impl Profile {
    /// The default limits of WebGPU, which every adapter keeps: what `direct` implementations may count on.
    pub fn webgpu() -> Self {
        Self {
            name: "WebGPU defaults".into(),
            driver: String::new(),
            backend: "none".into(),
            kind: "portable".into(),
            binding_bytes: 128 << 20,
            buffer_bytes: 256 << 20,
            memory_bytes: None,
            storage_buffers: 8,
            workgroup_bytes: 16 << 10,
            invocations: 256,
            subgroup: (0, 0),
            timestamps: false,
            f16: false,
            matrix: None,
        }
    }

    /// Most floating-point operations of one call. Drivers end what keeps a device busy for seconds (Windows after 2 s, Linux after 2
    /// to 10 s): half a second of a slow adapter of its kind is left far behind. Nobody watches over software adapters.
    pub fn most_flops(&self) -> f64 {
        match &self.kind[..] {
            "software" | "cpu" => f64::INFINITY,
            // 1 TFLOP/s
            "discrete" => 5e11,
            // 100 GFLOP/s
            _ => 5e10,
        }
    }

    /// The CPU twins: bounded by memory alone, of which the caller may know how much is free.
    pub fn cpu() -> Self {
        let unbounded = Self { binding_bytes: u64::MAX, buffer_bytes: u64::MAX, ..Self::webgpu() };
        Self { name: "CPU twins".into(), kind: "cpu".into(), f16: true, ..unbounded }
    }
}
