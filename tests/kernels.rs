//! Every implementation x case of every contract against its CPU twin, with the driver's checks on, NaN in the outputs
//! and guard bytes around every range. `cargo test --test kernels conv2d` runs the contracts of one operation.
//!
//! The list comes from the registry, so a new kernel is tested without touching this file.

mod common;

use galaxy_gpu::engine::validate::validate;
use galaxy_gpu::kernels::registry;
use galaxy_gpu::plan::obstacle;
use libtest_mimic::{Arguments, Failed, Trial};

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for contract in registry() {
        for implementation in contract.implementations {
            for case in (contract.cases)() {
                let name = format!("{}::{}::{}", contract.name, implementation.name, case.name);
                if !(implementation.accepts)(&case.constants) {
                    continue;
                }
                trials.push(Trial::test(name, move || {
                    let Some(gpu) = common::gpu() else { return Ok(()) };
                    if let Some(why) = obstacle(implementation, &case.constants, gpu.profile()) {
                        eprintln!("skipped {}::{}: {why}", contract.name, implementation.name);
                        return Ok(());
                    }
                    let verdict = validate(&gpu, contract, implementation, &case, true)?;
                    if verdict.passed() { Ok(()) } else { Err(Failed::from(format!("{verdict:#?}"))) }
                }));
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}
