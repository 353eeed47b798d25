//! Every implementation x precision x case of every contract against its CPU twin, with NaN in the outputs, guard bytes
//! around every range and the driver's checks on (as users run them, trusted, kernels are run by the tests of whole steps:
//! compiling each of these a second time would double the time). `cargo test --test kernels conv2d` runs one operation.
//!
//! Native kernels run with each instruction set that the processor has.
//!
//! The list comes from the registry, so a new kernel is tested without touching this file. Kernels for cooperative matrices run
//! on emulated ones too, in the shapes that hardware has: 16 x 16 tiles on subgroups of 32 (NVIDIA) and 64 (AMD).

#[path = "it/common/adapter.rs"]
mod adapter;

use galaxy_gpu::engine::Gpu;
use galaxy_gpu::engine::validate::{Compile, validate, validate_native};
use galaxy_gpu::kernels::{Case, Contract, Implementation, Matrix, Native, Precision, registry};
use galaxy_gpu::plan::obstacle;
use galaxy_gpu::simd::InstructionSet;
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use std::sync::Arc;

const EMULATED: [&str; 2] = ["16x32", "16x64"];

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for &contract in registry() {
        for set in InstructionSet::detected() {
            for kernel in contract.native {
                let accepted = |case: &Case| (kernel.accepts)(&case.constants);
                let cases = (contract.cases)().into_iter().filter(accepted);
                trials.extend(cases.map(|case| native(contract, kernel, case, set)));
            }
        }
        for (implementation, precision) in contract.variants() {
            let accepted = |case: &Case| (implementation.accepts)(&case.constants);
            for case in (contract.cases)().into_iter().filter(accepted) {
                let run = Run { contract, implementation, precision, case };
                if implementation.needs.matrix {
                    trials.extend(EMULATED.map(|shape| run.clone().on_emulated(shape)));
                }
                trials.push(run.on(String::new(), adapter::gpu));
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// A native kernel on a case, with an instruction set of this processor.
fn native(contract: &'static Contract, kernel: &'static Native, case: Case, set: InstructionSet) -> Trial {
    let name = format!("{}::native {} {set}::{}", contract.name, kernel.name, case.name);
    Trial::test(name, move || {
        let verdict = validate_native(contract, kernel, &case, set);
        if verdict.passed() { Ok(()) } else { Err(Failed::from(format!("{verdict:#?}"))) }
    })
}

/// An implementation on a case.
#[derive(Clone)]
struct Run {
    contract: &'static Contract,
    implementation: &'static Implementation,
    precision: Precision,
    case: Case,
}

impl Run {
    fn on_emulated(self, shape: &'static str) -> Trial {
        let matrix: Matrix = shape.parse().unwrap();
        self.on(format!(" emulated {shape}"), move || adapter::emulating(matrix))
    }

    /// A case that the adapter cannot run is ignored, with the reason.
    fn on(self, how: String, open: impl FnOnce() -> Arc<Gpu> + Send + 'static) -> Trial {
        let Self { contract, implementation, precision, case } = self;
        let name = format!("{}::{}{how}::{}", contract.name, implementation.label(precision), case.name);
        Trial::ignorable_test(name, move || {
            if cfg!(no_adapter) {
                return Ok(Completion::ignored_with("no adapter"));
            }
            let gpu = open();
            if let Some(why) = obstacle(implementation, &case.constants, precision, gpu.profile()) {
                return Ok(Completion::ignored_with(why));
            }
            let verdict = validate(&gpu, contract, implementation, &case, precision, &Compile::own(true))?;
            if verdict.passed() { Ok(Completion::Completed) } else { Err(Failed::from(format!("{verdict:#?}"))) }
        })
    }
}
