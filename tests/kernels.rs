//! Every implementation x precision x case of every contract against its CPU twin, with NaN in the outputs and guard bytes
//! around every range: with the driver's checks on, and then as users run it, trusted and in workgroup memory that nothing
//! clears. `cargo test --test kernels conv2d` runs the contracts of one operation.
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
                    for (mode, checked) in [("checked", true), ("trusted", false)] {
                        let verdict = validate(&gpu, contract, implementation, &case, precision, checked)?;
                        if !verdict.passed() {
                            return Err(Failed::from(format!("{mode}: {verdict:#?}")));
                        }
                    }
                    Ok(())
                }));
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}
