//! An adapter as plain data: what a plan may rely on.

use crate::kernels::Matrix;
use crate::simd::InstructionSet;
use serde::Serialize;

/// What computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AdapterKind {
    /// A card with memory of its own.
    Discrete,
    /// A GPU that shares the processor's memory.
    Integrated,
    /// A GPU that a hypervisor provides.
    Virtual,
    /// Unknown to the driver.
    Other,
    /// A driver that computes on the CPU, such as Mesa's llvmpipe.
    Software,
    /// No adapter: kernels compiled for the CPU.
    Native,
    /// No adapter: the CPU twins.
    #[serde(rename = "reference")]
    Cpu,
    /// No adapter: the limits that all adapters guarantee.
    Portable,
}

impl AdapterKind {
    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Discrete => "discrete",
            Self::Integrated => "integrated",
            Self::Virtual => "virtual",
            Self::Other => "other",
            Self::Software => "software",
            Self::Native => "native",
            Self::Cpu => "reference",
            Self::Portable => "portable",
        }
    }

    /// Whether it is a driver that computes on the CPU.
    pub fn is_software(self) -> bool {
        self == Self::Software
    }

    /// Whether the twins compute.
    pub fn is_twins(self) -> bool {
        self == Self::Cpu
    }

    /// Whether kernels compiled for the CPU compute.
    pub fn is_native(self) -> bool {
        self == Self::Native
    }

    /// Whether the CPU computes without a driver.
    pub fn has_no_driver(self) -> bool {
        self.is_native() || self.is_twins()
    }

    /// Whether the CPU computes, through a driver or not.
    pub fn is_on_the_cpu(self) -> bool {
        self.is_software() || self.has_no_driver()
    }
}

/// Limits and features of an adapter.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Profile {
    /// Name of the adapter.
    pub name: String,
    /// Driver and its version.
    pub driver: String,
    /// `vulkan`, `metal`, `dx12`, or `none` for the CPU twins.
    pub backend: String,
    /// What computes.
    pub kind: AdapterKind,
    /// The largest range that a kernel may see, in bytes.
    pub binding_bytes: u64,
    /// The largest buffer, in bytes.
    pub buffer_bytes: u64,
    /// Memory that a plan may take, in bytes; `None` if unknown.
    pub memory_bytes: Option<u64>,
    /// Storage buffers that a kernel may see.
    pub storage_buffers: u32,
    /// Workgroup memory, in bytes.
    pub workgroup_bytes: u32,
    /// Threads in a workgroup.
    pub invocations: u32,
    /// The smallest and the largest subgroup, in threads; zero if kernels cannot use subgroups.
    pub subgroup: (u32, u32),
    /// Whether the GPU's own clock can be read.
    pub timestamps: bool,
    /// Whether kernels may use 16-bit floats.
    pub f16: bool,
    /// Cooperative matrices with f16 factors and f32 sums, if there are any.
    pub matrix: Option<Matrix>,
    /// Whether all sums must be direct ones.
    pub exact: bool,
}

impl Profile {
    /// The default limits of WebGPU, which all adapters guarantee and `direct` implementations rely on.
    pub fn webgpu() -> Self {
        Self {
            name: "WebGPU defaults".into(),
            driver: String::new(),
            backend: "none".into(),
            kind: AdapterKind::Portable,
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
            exact: false,
        }
    }

    /// The most floating-point operations of one call: half a second of a slow adapter of its kind. Drivers stop work that keeps a device
    /// busy for seconds (Windows after 2 s, Linux after 2 to 10 s). Software adapters have no such watchdog.
    pub fn most_flops(&self) -> f64 {
        match self.kind {
            AdapterKind::Software | AdapterKind::Native | AdapterKind::Cpu => f64::INFINITY,
            // 1 TFLOP/s
            AdapterKind::Discrete => 5e11,
            // 100 GFLOP/s
            _ => 5e10,
        }
    }

    /// Kernels compiled for the CPU, in f32, with an instruction set.
    pub fn native(set: InstructionSet) -> Self {
        let driver = format!("{set}, {} threads", rayon::current_num_threads());
        Self { name: "native kernels".into(), driver, kind: AdapterKind::Native, f16: false, ..Self::cpu() }
    }

    /// The CPU twins. Only memory limits them; the caller may know how much is free.
    pub fn cpu() -> Self {
        let unbounded = Self { binding_bytes: u64::MAX, buffer_bytes: u64::MAX, ..Self::webgpu() };
        Self { name: "CPU twins".into(), kind: AdapterKind::Cpu, f16: true, ..unbounded }
    }
}
