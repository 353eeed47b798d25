//! `kernels validate`: the kernel tests on the user's own card and CPU.

use super::task::{Bench, Task};
use super::{Columns, Selection, lockstep};
use crate::cli::{print_json, print_text};
use crate::engine::validate::Verdict;
use crate::error::Error;
use crate::kernels::Case;
use crate::simd::InstructionSet;
use serde::Serialize;
use std::process::ExitCode;

/// Arguments of `kernels validate`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  galaxy-gpu kernels validate
  galaxy-gpu kernels validate native
  galaxy-gpu kernels validate conv2d.forward --checked
  galaxy-gpu kernels validate dense.forward::direct --adapter 1 --json
  galaxy-gpu kernels validate relu.forward --shaders my-shaders
  galaxy-gpu kernels validate matrix --emulate-matrices 16x32
  galaxy-gpu kernels validate --lockstep --model conv4 --size 32 --batch 4
  galaxy-gpu kernels validate --lockstep --device native")]
pub struct Args {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    lockstep: lockstep::Options,
}

/// The result of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    Passed,
    Failed,
    /// The adapter cannot run it.
    Skipped,
}

/// A line of the JSON.
#[derive(Serialize)]
pub(super) struct CaseResult {
    contract: &'static str,
    implementation: String,
    case: &'static str,
    /// Null if nothing was compared or the error is infinite (NaN, integers that differ).
    worst_error: Option<f64>,
    tolerance: f64,
    /// The output with the largest error.
    worst_output: Option<&'static str>,
    pub(super) verdict: Outcome,
    /// Why it failed or was skipped.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) reasons: Vec<String>,
}

#[derive(Serialize)]
struct Report<'a> {
    /// Null if no WGSL kernel is among those that ran.
    adapter: Option<&'a str>,
    driver: Option<&'a str>,
    checked: bool,
    passed: usize,
    failed: usize,
    skipped: usize,
    results: Vec<CaseResult>,
}

/// Runs all cases and prints the results; exit code 1 if one failed.
///
/// # Errors
/// There is no adapter, or the filter matches nothing.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Selection { checked, json, .. } = args.selection;
    let compile = args.selection.compile()?;
    if args.lockstep.lockstep {
        return lockstep::run(&args.selection, &args.lockstep, &compile);
    }
    let tasks = args.selection.tasks(&compile.shaders, &InstructionSet::detected(), |_| true)?;
    let bench = args.selection.bench(&tasks, compile)?;
    let profile = bench.gpu.as_ref().map(|gpu| gpu.profile());
    let columns = Columns::of(&tasks);
    let mut results = Vec::new();
    if !json {
        print_text(profile.map_or("native kernels; no adapter is needed\n".to_owned(), |profile| {
            format!("{} ({}, {})\n", profile.name, profile.backend, profile.driver)
        }))?;
    }
    for task in &tasks {
        let run = |case| run_case(&bench, task, case);
        let of_task: Vec<CaseResult> = task.cases.iter().map(run).collect();
        if !json {
            print_text(in_words(task, &of_task, &columns))?;
        }
        results.extend(of_task);
    }
    let count = |outcome| results.iter().filter(|result| result.verdict == outcome).count();
    let [passed, failed, skipped] = [Outcome::Passed, Outcome::Failed, Outcome::Skipped].map(count);
    if json {
        let (adapter, driver) = (profile.map(|p| &p.name[..]), profile.map(|p| &p.driver[..]));
        print_json(&Report { adapter, driver, checked, passed, failed, skipped, results })?;
    } else {
        print_text(format!("{passed} cases passed, {failed} failed, {skipped} skipped\n"))?;
    }
    Ok(ExitCode::from(u8::from(failed > 0)))
}

pub(super) fn run_case(bench: &Bench, task: &Task, case: &Case) -> CaseResult {
    let contract = task.contract;
    let mut result = CaseResult {
        contract: contract.name,
        implementation: task.label(),
        case: case.name,
        worst_error: None,
        tolerance: (contract.tolerance)(&case.constants).relative,
        worst_output: None,
        verdict: Outcome::Skipped,
        reasons: Vec::new(),
    };
    if let Some(why) = bench.obstacle(task, case) {
        result.reasons.push(why);
        return result;
    }
    match bench.validate(task, case) {
        Ok(verdict) => {
            let worst = verdict.worst();
            result.worst_error = worst.map(|output| output.deviation.error).filter(|error| error.is_finite());
            result.worst_output = worst.map(|output| output.name);
            result.tolerance = worst.map_or(result.tolerance, |output| output.tolerance.relative);
            result.verdict = if verdict.passed() { Outcome::Passed } else { Outcome::Failed };
            result.reasons = faults(&verdict);
        }
        Err(error) => {
            // A case that is too large for the adapter says nothing about the kernel; any other error does.
            result.verdict = if matches!(error, Error::Limit { .. }) { Outcome::Skipped } else { Outcome::Failed };
            result.reasons.push(error.to_string());
        }
    }
    result
}

/// What is wrong, a sentence for each output.
fn faults(verdict: &Verdict) -> Vec<String> {
    let off = verdict.outputs.iter().filter(|output| !output.deviation.passed).map(|output| {
        let (d, allowed) = (output.deviation, output.tolerance.relative);
        format!(
            "{}[{}] is {:e}, the twin has {:e}: error {:.2e}, mean square {:.2e}, allowed {allowed:.2e} and its square",
            output.name, d.index, d.got, d.want, d.error, d.nmse
        )
    });
    let overrun = verdict.overrun.iter().map(|name| format!("{name}: written outside its range"));
    off.chain(overrun).collect()
}

/// One line for an implementation, and one for each reason why a case failed or was skipped.
fn in_words(task: &Task, results: &[CaseResult], columns: &Columns) -> String {
    let passed = results.iter().filter(|result| result.verdict == Outcome::Passed).count();
    // The case nearest to its tolerance; a case that must be exact counts only if it fails.
    let nearness = |result: &CaseResult| match result.worst_error {
        Some(error) if error > 0.0 => error / result.tolerance,
        _ => 0.0,
    };
    let nearest = results.iter().max_by(|a, b| nearness(a).total_cmp(&nearness(b)));
    let worst = match nearest {
        Some(CaseResult { worst_error: Some(error), tolerance, case, .. }) if *error > 0.0 => {
            format!("worst error {error:.1e} of {tolerance:.1e} allowed ({case})")
        }
        _ if passed > 0 => "exact".to_owned(),
        _ => String::new(),
    };
    let counts = format!("{passed:>2} of {:>2} cases passed", results.len());
    let (contract, implementation) = (task.contract.name, task.label());
    let (wide, wide_too) = (columns.contract, columns.implementation);
    let mut text =
        format!("{contract:<wide$}  {implementation:<wide_too$}  {counts}  {worst}").trim_end().to_owned() + "\n";
    // A shader that does not compile fails all its cases alike, so say it once.
    let mut told: Vec<(&CaseResult, Vec<&str>)> = Vec::new();
    for result in results.iter().filter(|result| !result.reasons.is_empty()) {
        match told.iter_mut().find(|(first, _)| first.reasons == result.reasons) {
            Some((_, cases)) => cases.push(result.case),
            None => told.push((result, vec![result.case])),
        }
    }
    for (result, cases) in told {
        let outcome = if result.verdict == Outcome::Failed { "FAILED" } else { "skipped" };
        let lines = result.reasons.iter().map(|reason| format!("    {outcome} {}: {reason}\n", cases.join(", ")));
        text.extend(lines);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::kernels::task::Kernel;
    use crate::engine::validate::Output;
    use crate::kernels::{Precision, Tolerance};

    #[test]
    fn faults_name_the_output_the_place_both_values_and_overruns() {
        let tolerance = Tolerance { relative: 1e-6 };
        let outputs = vec![
            Output { name: "images", deviation: tolerance.measure(&[1.0, 2.5], &[1.0, 2.0]), tolerance },
            Output { name: "order", deviation: tolerance.measure(&[1.0], &[1.0]), tolerance },
        ];
        let faults = faults(&Verdict { outputs, overrun: vec!["order"] });
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].starts_with("images[1] is 2.5e0, the twin has 2e0"), "{faults:?}");
        assert_eq!(faults[1], "order: written outside its range");
    }

    #[test]
    fn cases_that_fail_alike_are_told_once() {
        let contract = crate::kernels::find("relu.forward").unwrap();
        let implementation = contract.implementation("direct").unwrap();
        let cases = (contract.cases)();
        let result = |case: &Case, verdict, reasons| CaseResult {
            contract: contract.name,
            implementation: implementation.name.to_owned(),
            case: case.name,
            worst_error: Some(0.0),
            tolerance: 0.0,
            worst_output: Some("output"),
            verdict,
            reasons,
        };
        let broken = || vec!["it does not compile".to_owned()];
        let results = [
            result(&cases[0], Outcome::Failed, broken()),
            result(&cases[1], Outcome::Passed, Vec::new()),
            result(&cases[2], Outcome::Failed, broken()),
        ];
        let kernel = Kernel::Wgsl(implementation, Precision::F32);
        let task = Task { contract, kernel, cases: cases.clone() };
        let text = in_words(&task, &results, &Columns { contract: 12, implementation: 6, case: 0 });
        let told = format!("    FAILED {}, {}: it does not compile", cases[0].name, cases[2].name);
        assert!(text.lines().any(|line| line == told), "{text}");
        assert!(text.starts_with("relu.forward  direct   1 of  3 cases passed  exact\n"), "{text}");
    }
}
