//! `kernels time`: times each implementation on the cases that are real layers.

use super::{Columns, Selection, Task};
use crate::cli::{print_json, print_text};
use crate::engine::Gpu;
use crate::engine::measure::{Sampling, sample};
use crate::engine::peak::{Peaks, absent, measure};
use crate::engine::validate::{Compile, prepared_engine};
use crate::error::Result;
use crate::kernels::Case;
use crate::kernels::peak::{F16_MATRIX, F32_FMA};
use crate::plan::{Program, obstacle};
use serde::Serialize;
use std::process::ExitCode;
use std::sync::Arc;

/// Arguments of `kernels time`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  galaxy-gpu kernels time conv_block
  galaxy-gpu kernels time dense.forward --json
  galaxy-gpu kernels time relu.forward --shaders my-shaders --trust-shaders")]
pub struct Args {
    #[command(flatten)]
    selection: Selection,
}

/// A line of the JSON.
#[derive(Serialize)]
struct Timing {
    contract: &'static str,
    implementation: String,
    case: &'static str,
    /// Time of one call, median of several measurements.
    milliseconds: f64,
    /// 10^9 additions and multiplications a second.
    gflops: f64,
    /// 10^9 bytes a second, counting each byte that must move once.
    gigabytes_per_second: f64,
    /// Fraction of the nearer of the adapter's measured peaks, arithmetic and memory; above one if the data is in a cache.
    share_of_ceiling: f64,
}

#[derive(Serialize)]
struct Report<'a> {
    adapter: &'a str,
    driver: &'a str,
    checked: bool,
    /// `gpu`: the adapter's own clock. `wall`: it has none, so submitting and waiting are included.
    clock: &'static str,
    /// Cases that could not run; standard error says why.
    failed: usize,
    peak_gflops: f64,
    peak_gigabytes_per_second: f64,
    results: Vec<Timing>,
}

/// Times all bench cases and prints each result at once; exit code 1 if one could not run.
///
/// # Errors
/// There is no adapter, or the filter matches nothing to time.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Selection { checked, json, .. } = args.selection;
    let compile = args.selection.compile()?;
    let tasks = args.selection.tasks(&compile.shaders, |case| case.bench)?;
    let gpu = args.selection.open()?;
    let profile = gpu.profile();
    let clock = gpu.clock();
    let columns = Columns::of(&tasks);
    let peaks = Peaks::measure(&gpu, &F32_FMA)?;
    let matrices = tasks.iter().any(|task| task.implementation.needs.matrix) && absent(&F16_MATRIX, profile).is_none();
    let of_matrices = if matrices { measure(&gpu, &F16_MATRIX)?.per_second } else { peaks.flops };
    let [peak_gflops, peak_gigabytes_per_second] = [peaks.flops / 1e9, peaks.bytes / 1e9];
    if !json {
        print_text(format!("{} ({}, {}), {clock} clock\n", profile.name, profile.backend, profile.driver))?;
        print_text(format!("peaks: {peak_gflops:.1} GFLOP/s, {peak_gigabytes_per_second:.1} GB/s\n"))?;
        print_text(line(&columns, ["contract", "implementation", "case", "ms", "GFLOP/s", "GB/s", "% of peak"]))?;
    }
    let mut results = Vec::new();
    let mut failed = 0;
    for task in &tasks {
        for case in &task.cases {
            let name = format!("{}::{}::{}", task.contract.name, task.label(), case.name);
            if let Some(why) = obstacle(task.implementation, &case.constants, task.precision, profile) {
                eprintln!("skipped {name}: {why}");
                continue;
            }
            let flops = if task.implementation.needs.matrix { of_matrices } else { peaks.flops };
            match time_case(&gpu, task, case, &compile, Peaks { flops, ..peaks }) {
                Ok(timing) => {
                    if !json {
                        print_text(timing.in_words(&columns))?;
                    }
                    results.push(timing);
                }
                Err(error) => {
                    eprintln!("failed {name}: {error}");
                    failed += 1;
                }
            }
        }
    }
    if json {
        let (adapter, driver) = (&profile.name, &profile.driver);
        print_json(&Report {
            adapter,
            driver,
            checked,
            clock,
            failed,
            peak_gflops,
            peak_gigabytes_per_second,
            results,
        })?;
    }
    Ok(ExitCode::from(u8::from(failed > 0)))
}

fn line(columns: &Columns, cells: [&str; 7]) -> String {
    let [contract, implementation, case, milliseconds, gflops, bytes, percent] = cells;
    let (a, b, c) = (columns.contract, columns.implementation.max("implementation".len()), columns.case);
    format!(
        "{contract:<a$}  {implementation:<b$}  {case:<c$}  {milliseconds:>10}  {gflops:>8}  {bytes:>7}  {percent:>9}\n"
    )
}

impl Timing {
    fn in_words(&self, columns: &Columns) -> String {
        let milliseconds = format!("{:.4}", self.milliseconds);
        let numbers = [self.gflops, self.gigabytes_per_second, 1e2 * self.share_of_ceiling];
        let [gflops, bytes, percent] = numbers.map(|number| format!("{number:.1}"));
        line(columns, [self.contract, &self.implementation, self.case, &milliseconds, &gflops, &bytes, &percent])
    }
}

fn time_case(gpu: &Arc<Gpu>, task: &Task, case: &Case, compile: &Compile, peaks: Peaks) -> Result<Timing> {
    let Task { contract, implementation, precision, .. } = *task;
    let mut engine = prepared_engine(gpu, contract, implementation, case, precision, compile)?;
    let seconds = sample(&mut engine, Program::Train, &case.step, Sampling::KERNEL)?.median();
    let cost = contract.cost_in(&case.constants, precision);
    Ok(Timing {
        contract: contract.name,
        implementation: task.label(),
        case: case.name,
        milliseconds: 1e3 * seconds,
        gflops: cost.flops / seconds / 1e9,
        gigabytes_per_second: cost.bytes / seconds / 1e9,
        share_of_ceiling: peaks.fraction(cost, seconds).0,
    })
}
