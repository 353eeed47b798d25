//! Contracts: what each operation computes, its CPU twin, its WGSL implementations, its cost, tolerance and cases.
//!
//! One file per operation, always in the same order: mathematics, constants, contracts and implementations, twins (in a file of
//! their own where it grows long), cases. This room knows nothing of wgpu, layers or files. Tests, benches, `kernels validate` and both engines take
//! everything they need from [`registry`], so a new kernel is one WGSL file and one entry here.

mod case;
pub mod compare;
mod constants;
mod elements;
mod emulation;
mod launch;
mod parts;
mod precision;
mod prelude;
mod shader;
mod shaders;
mod sizes;
mod source;
mod step;
mod tile;
mod twin;

pub mod adam;
pub mod add;
pub mod augment;
pub mod concatenate;
pub mod conv2d;
pub mod conv_block;
pub mod dense;
pub mod dropout;
pub mod matrix;
pub mod maxpool2d;
pub mod peak;
pub mod reduce;
pub mod relu;
pub mod softmax_cross_entropy;
mod winograd;

pub use case::{Case, Fill};
pub use compare::Tolerance;
pub use constants::{Constant, Constants};
pub use emulation::can_emulate;
pub use launch::{
    Adapters, Grid, Implementation, LOOP_ITERATIONS, Launch, MOST_LOOP_ITERATIONS, Needs, SUM_WORKGROUPS, Split, Stage,
    launch_many_runs, launch_split, runs_of, subgroups_across,
};
pub use parts::PARTS;
pub use precision::{Element, Matrix, Precision};
pub use prelude::Prelude;
pub use shader::{Folder, Shader};
pub use shaders::{Shaders, embedded};
pub use source::Source;
pub use step::StepParams;
pub use twin::{Args, Native, Real, Twin, View, ViewMut};

use std::sync::LazyLock;

/// Unit roundoff of f32.
pub const UNIT_ROUNDOFF: f64 = 1.0 / 16_777_216.0;

/// How a kernel uses a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read only.
    Read,
    /// Every element is overwritten; earlier contents are not looked at.
    Write,
    /// Read and changed in place.
    Update,
}

/// One buffer range a kernel sees, in the order of the shader's bindings (which start at 1; 0 is [`StepParams`]).
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// Name, the same word in WGSL.
    pub name: &'static str,
    /// Type of its elements in f32.
    pub element: Element,
    /// Whether mixed precision stores it as f16: WGSL's `Elem`.
    pub half: bool,
    /// How it is used. All `Read` bindings come first.
    pub access: Access,
    /// How a test fills it.
    pub fill: Fill,
}

impl Binding {
    const fn float(name: &'static str, access: Access, fill: Fill) -> Self {
        Self { name, element: Element::F32, half: false, access, fill }
    }

    /// A float input with distinct shuffled values.
    pub const fn read(name: &'static str) -> Self {
        Self::float(name, Access::Read, Fill::Shuffled)
    }

    /// A u32 input.
    pub const fn index(name: &'static str, fill: Fill) -> Self {
        Self::float(name, Access::Read, fill).of_indices()
    }

    /// A float output.
    pub const fn write(name: &'static str) -> Self {
        Self::float(name, Access::Write, Fill::Shuffled)
    }

    /// A float tensor changed in place.
    pub const fn update(name: &'static str, fill: Fill) -> Self {
        Self::float(name, Access::Update, fill)
    }

    /// The same binding, which mixed precision stores as f16.
    pub const fn or_half(mut self) -> Self {
        self.half = true;
        self
    }

    /// Type of its elements in a precision.
    pub fn element_in(&self, precision: Precision) -> Element {
        if self.half && precision == Precision::Mixed { Element::F16 } else { self.element }
    }

    /// The same binding with u32 elements.
    pub const fn of_indices(mut self) -> Self {
        self.element = Element::U32;
        self
    }

    /// The same binding with another test filling.
    pub const fn filled(mut self, fill: Fill) -> Self {
        self.fill = fill;
        self
    }
}

/// Work of one call, from its constants.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Additions and multiplications (a fused multiply-add counts two).
    pub flops: f64,
    /// Bytes that must cross the memory bus at least once.
    pub bytes: f64,
}

/// What an operation promises, in one direction; every implementation is held to it.
pub struct Contract {
    /// `operation.direction`, such as `conv2d.forward`.
    pub name: &'static str,
    /// The formula, for people.
    pub formula: &'static str,
    /// Buffers in binding order: reads first, then writes and updates.
    pub bindings: &'static [Binding],
    /// Its constants; each is a WGSL `override` in some shader of the operation, or sizes a binding.
    pub constants: &'static [Constant],
    /// Elements of each binding, from the constants.
    pub lengths: fn(&Constants) -> Vec<usize>,
    /// The CPU twin.
    pub twin: Twin,
    /// Work of one call.
    pub cost: fn(&Constants) -> Cost,
    /// How far an implementation may be from the twin.
    pub tolerance: fn(&Constants) -> Tolerance,
    /// What tests and benches run.
    pub cases: fn() -> Vec<Case>,
    /// The same compiled for the CPU, fastest first; the last is `direct`. Held to the same twin and cases.
    pub native: &'static [Native],
    /// Best first; the last is always `direct`: portable, within WebGPU's default limits.
    pub implementations: &'static [Implementation],
}

impl Contract {
    /// The implementation of this name.
    pub fn implementation(&self, name: &str) -> Option<&'static Implementation> {
        self.implementations.iter().find(|i| i.name == name)
    }

    /// The native kernel of this name.
    pub fn native(&self, name: &str) -> Option<&'static Native> {
        self.native.iter().find(|native| native.name == name)
    }

    /// The precisions it knows: both where mixed precision stores any of its tensors otherwise.
    pub fn precisions(&self) -> &'static [Precision] {
        let both = self.bindings.iter().any(|binding| binding.half);
        if both { &[Precision::F32, Precision::Mixed] } else { &[Precision::F32] }
    }

    /// Its implementations, each with the precisions it runs in.
    pub fn variants(&self) -> impl Iterator<Item = (&'static Implementation, Precision)> {
        let precisions = self.precisions();
        self.implementations.iter().flat_map(move |implementation| {
            precisions.iter().filter(|&&p| implementation.runs_in(p)).map(move |&p| (implementation, p))
        })
    }

    /// Work of one call in a precision: what f16 halves crosses the bus at half the bytes.
    pub fn cost_in(&self, constants: &Constants, precision: Precision) -> Cost {
        let Cost { flops, bytes } = (self.cost)(constants);
        let bindings = self.bindings.iter().zip((self.lengths)(constants));
        let saved = |(binding, elements): (&Binding, usize)| {
            ((binding.element.size() - binding.element_in(precision).size()) * elements) as f64
        };
        Cost { flops, bytes: bytes - bindings.map(saved).sum::<f64>() }
    }

    /// Number of leading read-only bindings.
    pub fn reads(&self) -> usize {
        self.bindings.iter().filter(|b| b.access == Access::Read).count()
    }
}

impl std::fmt::Debug for Contract {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Every contract of the engine, by operation.
pub fn registry() -> &'static [&'static Contract] {
    static REGISTRY: LazyLock<Vec<&Contract>> = LazyLock::new(|| {
        [
            augment::CONTRACTS,
            conv2d::CONTRACTS,
            conv_block::CONTRACTS,
            maxpool2d::CONTRACTS,
            dense::CONTRACTS,
            relu::CONTRACTS,
            dropout::CONTRACTS,
            add::CONTRACTS,
            concatenate::CONTRACTS,
            softmax_cross_entropy::CONTRACTS,
            reduce::CONTRACTS,
            adam::CONTRACTS,
            matrix::CONTRACTS,
            peak::CONTRACTS,
        ]
        .concat()
    });
    &REGISTRY
}

/// The contract of this name.
pub fn find(name: &str) -> Option<&'static Contract> {
    registry().iter().find(|c| c.name == name).copied()
}
