//! `kernels time`: how long each implementation takes on the cases that are real layers.

use super::{Columns, Selection, Task};
use crate::cli::{print_json, print_text};
use crate::engine::validate::prepared_engine;
use crate::engine::{Gpu, GpuEngine};
use crate::error::Result;
use crate::kernels::{Case, StepParams};
use crate::plan::{Program, obstacle};
use serde::Serialize;
use std::process::ExitCode;
use std::sync::Arc;

/// Arguments of `kernels time`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  galaxy-gpu kernels time conv_block
  galaxy-gpu kernels time dense.forward --json")]
pub struct Args {
    #[command(flatten)]
    selection: Selection,
}

/// Measurements of a case; their median counts.
const SAMPLES: usize = 5;
/// Seconds that one measurement should last, so that the clock's steps do not matter.
const SAMPLE_SECONDS: f64 = 0.02;
/// Most runs in one submission.
const MOST_REPEATS: f64 = 200.0;

/// A line of the JSON.
#[derive(Serialize)]
struct Timing {
    contract: &'static str,
    implementation: String,
    case: &'static str,
    /// Of one call, median of several measurements.
    milliseconds: f64,
    /// 10^9 additions and multiplications a second.
    gflops: f64,
    /// 10^9 bytes a second, counting each byte that must move once.
    gigabytes_per_second: f64,
}

#[derive(Serialize)]
struct Report<'a> {
    adapter: &'a str,
    driver: &'a str,
    checked: bool,
    /// `gpu`: the adapter's own clock. `wall`: it has none, so submission and waiting count.
    clock: &'static str,
    /// Cases that could not run; why is said on standard error.
    failed: usize,
    results: Vec<Timing>,
}

/// Times all bench cases and prints the results as they come; exit code 1 where one could not run.
///
/// # Errors
/// No adapter, a filter that matches nothing to time.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Selection { checked, json, .. } = args.selection;
    let tasks = args.selection.tasks(|case| case.bench)?;
    let gpu = args.selection.open()?;
    let profile = gpu.profile();
    let clock = if profile.timestamps { "gpu" } else { "wall" };
    let columns = Columns::of(&tasks);
    if !json {
        print_text(format!("{} ({}, {}), {clock} clock\n", profile.name, profile.backend, profile.driver))?;
        print_text(line(&columns, ["contract", "implementation", "case", "ms", "GFLOP/s", "GB/s"]))?;
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
            match time_case(&gpu, task, case, checked) {
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
        print_json(&Report { adapter, driver, checked, clock, failed, results })?;
    }
    Ok(ExitCode::from(u8::from(failed > 0)))
}

fn line(columns: &Columns, cells: [&str; 6]) -> String {
    let [contract, implementation, case, milliseconds, gflops, bytes] = cells;
    let (a, b, c) = (columns.contract, columns.implementation.max("implementation".len()), columns.case);
    format!("{contract:<a$}  {implementation:<b$}  {case:<c$}  {milliseconds:>10}  {gflops:>8}  {bytes:>7}\n")
}

impl Timing {
    fn in_words(&self, columns: &Columns) -> String {
        let milliseconds = format!("{:.4}", self.milliseconds);
        let [gflops, bytes] = [self.gflops, self.gigabytes_per_second].map(|number| format!("{number:.1}"));
        line(columns, [self.contract, &self.implementation, self.case, &milliseconds, &gflops, &bytes])
    }
}

fn time_case(gpu: &Arc<Gpu>, task: &Task, case: &Case, checked: bool) -> Result<Timing> {
    let Task { contract, implementation, precision, .. } = *task;
    let mut engine = prepared_engine(gpu, contract, implementation, case, precision, checked)?;
    let seconds = median_seconds(&mut engine, &case.step)?;
    let cost = contract.cost_in(&case.constants, precision);
    Ok(Timing {
        contract: contract.name,
        implementation: task.label(),
        case: case.name,
        milliseconds: 1e3 * seconds,
        gflops: cost.flops / seconds / 1e9,
        gigabytes_per_second: cost.bytes / seconds / 1e9,
    })
}

/// Median of several measurements, each of as many runs as it takes to read the clock well.
fn median_seconds(engine: &mut GpuEngine, step: &StepParams) -> Result<f64> {
    // The first run also waits for uploads and warms the caches.
    engine.time(Program::Train, step, 1)?;
    let once = engine.time(Program::Train, step, 1)?;
    let repeats = (SAMPLE_SECONDS / once.max(1e-9)).clamp(1.0, MOST_REPEATS) as usize;
    let mut samples = (0..SAMPLES).map(|_| engine.time(Program::Train, step, repeats)).collect::<Result<Vec<f64>>>()?;
    samples.sort_by(f64::total_cmp);
    // A clock that did not move at all would divide by zero.
    Ok(samples[SAMPLES / 2].max(1e-12))
}
