//! Kernels to run, WGSL and native alike, and what they run on.

use crate::engine::validate::{Compile, Verdict, prepared_engine, prepared_native, validate, validate_native};
use crate::engine::{Engine, Gpu};
use crate::error::{Error, Result};
use crate::kernels::{Case, Contract, Implementation, Native, Precision, Shaders};
use crate::plan::obstacle;
use crate::simd::InstructionSet;
use std::sync::Arc;

/// A kernel of a contract, as it is run.
#[derive(Clone, Copy)]
pub(super) enum Kernel {
    /// On an adapter, in a precision.
    Wgsl(&'static Implementation, Precision),
    /// On the CPU, with an instruction set.
    Native(&'static Native, InstructionSet),
}

/// A kernel, and the cases to run.
pub(super) struct Task {
    pub contract: &'static Contract,
    pub kernel: Kernel,
    pub cases: Vec<Case>,
}

/// What tasks run on.
pub(super) struct Bench {
    /// There where a task is WGSL.
    pub gpu: Option<Arc<Gpu>>,
    pub compile: Compile,
}

impl Kernel {
    /// All kernels of a contract: WGSL in every precision, then native ones with each of these sets.
    pub fn all(contract: &'static Contract, shaders: &Shaders, sets: &[InstructionSet]) -> Vec<Self> {
        let wgsl = shaders.variants(contract).into_iter().map(|(kernel, precision)| Self::Wgsl(kernel, precision));
        let native = sets.iter().flat_map(|&set| contract.native.iter().map(move |native| Self::Native(native, set)));
        wgsl.chain(native).collect()
    }

    /// Its name, with what it is stored in or computed with.
    pub fn label(&self) -> String {
        match self {
            Self::Wgsl(implementation, precision) => implementation.label(*precision),
            Self::Native(native, set) => format!("native {}, {set}", native.name),
        }
    }

    /// Whether it is compiled for the CPU.
    pub fn is_native(&self) -> bool {
        matches!(self, Self::Native(..))
    }

    /// Whether it multiplies cooperative matrices.
    pub fn uses_matrices(&self) -> bool {
        matches!(self, Self::Wgsl(implementation, _) if implementation.needs.matrix)
    }

    /// What it stores activations and weights in.
    pub fn precision(&self) -> Precision {
        match self {
            Self::Wgsl(_, precision) => *precision,
            Self::Native(..) => Precision::F32,
        }
    }

    /// Whether it is written for a case's sizes.
    pub fn accepts(&self, case: &Case) -> bool {
        match self {
            Self::Wgsl(implementation, _) => (implementation.accepts)(&case.constants),
            Self::Native(native, _) => (native.accepts)(&case.constants),
        }
    }
}

impl Task {
    /// The kernel's label.
    pub fn label(&self) -> String {
        self.kernel.label()
    }
}

impl Bench {
    /// Why a task's case cannot run here; `None` if it can.
    pub fn obstacle(&self, task: &Task, case: &Case) -> Option<String> {
        match (task.kernel, &self.gpu) {
            (Kernel::Native(..), _) => None,
            (Kernel::Wgsl(implementation, precision), Some(gpu)) => {
                obstacle(implementation, &case.constants, precision, gpu.profile())
            }
            (Kernel::Wgsl(..), None) => Some("there is no adapter".into()),
        }
    }

    /// Holds a task's kernel to its twin.
    ///
    /// # Errors
    /// As [`validate`].
    pub fn validate(&self, task: &Task, case: &Case) -> Result<Verdict> {
        match task.kernel {
            Kernel::Wgsl(implementation, precision) => {
                validate(self.adapter()?, task.contract, implementation, case, precision, &self.compile)
            }
            Kernel::Native(native, set) => Ok(validate_native(task.contract, native, case, set)),
        }
    }

    /// An engine for one call of a task's kernel with its inputs filled.
    ///
    /// # Errors
    /// As [`prepared_engine`] and [`prepared_native`].
    pub fn engine(&self, task: &Task, case: &Case) -> Result<Box<dyn Engine>> {
        Ok(match task.kernel {
            Kernel::Wgsl(implementation, precision) => {
                let gpu = self.adapter()?;
                Box::new(prepared_engine(gpu, task.contract, implementation, case, precision, &self.compile)?)
            }
            Kernel::Native(native, set) => Box::new(prepared_native(task.contract, native, case, set)?),
        })
    }

    fn adapter(&self) -> Result<&Arc<Gpu>> {
        let missing = || Error::device("no GPU adapter was found", "run kernels validate native, which needs none");
        self.gpu.as_ref().ok_or_else(missing)
    }
}
