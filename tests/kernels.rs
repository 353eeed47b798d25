//! Every implementation x precision x case of every contract against its CPU twin, with NaN in the outputs, guard bytes
//! around every range and the driver's checks on (as users run them, trusted, kernels are run by the tests of whole steps:
//! compiling each of these a second time would double the time). `cargo test --test kernels conv2d` runs one operation.
//!
//! The list comes from the registry, so a new kernel is tested without touching this file.

mod common;

use galaxy_gpu::engine::validate::{Compile, validate};
use galaxy_gpu::kernels::registry;
use galaxy_gpu::plan::obstacle;
use libtest_mimic::{Arguments, Failed, Trial};

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for contract in registry() {
        for (implementation, precision) in contract.variants() {
            for case in (contract.cases)() {
                let name = format!("{}::{}::{}", contract.name, implementation.label(precision), case.name);
                if !(implementation.accepts)(&case.constants) {
                    continue;
                }
                trials.push(Trial::test(name, move || {
                    let Some(gpu) = common::gpu() else { return Ok(()) };
                    if let Some(why) = obstacle(implementation, &case.constants, precision, gpu.profile()) {
                        eprintln!("SKIPPED {}::{}: {why}", contract.name, implementation.label(precision));
                        return Ok(());
                    }
                    let verdict = validate(&gpu, contract, implementation, &case, precision, &Compile::own(true))?;
                    if verdict.passed() { Ok(()) } else { Err(Failed::from(format!("{verdict:#?}"))) }
                }));
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}
