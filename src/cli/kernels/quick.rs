//! A quick check of an adapter: the kernels a training would run on it, each on one case.

use super::registry;
use super::task::{Bench, Kernel, Task};
use super::validate::{Outcome, run_case};
use crate::engine::Gpu;
use crate::engine::validate::Compile;
use crate::graph::Graph;
use crate::kernels::{Case, Contract, Implementation, Precision};
use crate::plan::{Options, Plan, Profile, Program};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a quick check has found.
pub struct Quick {
    /// Kernels that agree with their twins.
    pub passed: usize,
    /// What is wrong with each of the others.
    pub faults: Vec<String>,
}

/// Holds every implementation that plans of this precision take on this adapter to its twin, on its cheapest case of several
/// workgroups.
pub fn quick(gpu: &Arc<Gpu>, profile: &Profile, precision: Precision) -> Quick {
    let mut found = Quick { passed: 0, faults: Vec::new() };
    let mut queue = Vec::new();
    for &contract in registry().iter().filter(|contract| contract.precisions().contains(&precision)) {
        let picked = picked(contract, profile, precision);
        if picked.is_empty() {
            found.faults.push(format!("{} has no implementation here", contract.name));
        }
        let task = |(implementation, case)| Task {
            contract,
            kernel: Kernel::Wgsl(implementation, precision),
            cases: vec![case],
        };
        queue.extend(picked.into_iter().map(task));
    }
    let bench = Bench { gpu: Some(gpu.clone()), compile: Compile::own(false) };
    for fault in run_all(&bench, &queue) {
        match fault {
            None => found.passed += 1,
            Some(fault) => found.faults.push(fault),
        }
    }
    found
}

/// What is wrong with each task's case, if anything, in any order. Compiling takes most of the time, so it goes on all cores; on threads of their
/// own, as pipelines are built by rayon's while a thread that waits for them would be in their way.
fn run_all(bench: &Bench, queue: &[Task]) -> Vec<Option<String>> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut found = Vec::new();
        while let Some(task) = queue.get(next.fetch_add(1, Ordering::Relaxed)) {
            found.extend(task.cases.iter().map(|case| fault(bench, task, case)));
        }
        found
    };
    let threads = rayon::current_num_threads().min(8);
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let crashed = || vec![Some("its check panicked".to_owned())];
        running.into_iter().flat_map(|thread| thread.join().unwrap_or_else(|_| crashed())).collect()
    })
}

fn fault(bench: &Bench, task: &Task, case: &Case) -> Option<String> {
    let result = run_case(bench, task, case);
    let name = || format!("{}::{}::{}", task.contract.name, task.label(), case.name);
    (result.verdict != Outcome::Passed).then(|| format!("{}: {}", name(), result.reasons.join("; ")))
}

/// The implementations that plans take, each with the case to run.
fn picked(
    contract: &'static Contract,
    profile: &Profile,
    precision: Precision,
) -> Vec<(&'static Implementation, Case)> {
    let mut best: Vec<(&'static Implementation, Case, (bool, f64))> = Vec::new();
    for case in (contract.cases)() {
        let Ok(plan) = Plan::new(&Graph::single(contract, &case, precision), profile, &Options::default()) else {
            continue;
        };
        let Some(step) = plan.steps(Program::Train).first() else { continue };
        let Some(implementation) = contract.implementation(step.implementation) else { continue };
        let alone = step.dispatches.iter().all(|dispatch| dispatch.grid.x * dispatch.grid.y == 1);
        let price = (alone, step.cost.flops + step.cost.bytes);
        match best.iter_mut().find(|(known, ..)| known.name == implementation.name) {
            Some((.., case_so_far, price_so_far)) if price < *price_so_far => {
                (*case_so_far, *price_so_far) = (case, price)
            }
            Some(_) => {}
            None => best.push((implementation, case, price)),
        }
    }
    best.into_iter().map(|(implementation, case, _)| (implementation, case)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_contract_is_checked_by_what_plans_take() {
        for &contract in registry() {
            for &precision in contract.precisions() {
                let profile = Profile { f16: true, ..Profile::webgpu() };
                let found = picked(contract, &profile, precision);
                assert!(!found.is_empty(), "{} in {precision}", contract.name);
                for (implementation, case) in &found {
                    assert!((implementation.accepts)(&case.constants), "{}::{}", contract.name, implementation.name);
                }
            }
        }
    }

    #[test]
    #[cfg_attr(no_adapter, ignore = "needs an adapter")]
    fn an_adapter_too_small_for_a_contract_has_a_fault() {
        let gpu = Gpu::for_tests();
        let tiny = Profile { binding_bytes: 4, ..gpu.profile().clone() };
        let found = quick(&gpu, &tiny, Precision::F32);
        assert!(found.faults.iter().any(|fault| fault.ends_with("has no implementation here")), "{:?}", found.faults);
    }
}
