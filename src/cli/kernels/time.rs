//! `kernels time`: times each implementation on the cases that are real layers.

use super::task::{Bench, Kernel, Task};
use super::{Columns, Selection};
use crate::cli::{print_json, print_text};
use crate::engine::measure::{Sampling, sample};
use crate::engine::peak::{MakeEngine, Peaks, absent, measure};
use crate::engine::{CpuEngine, Gpu, GpuEngine};
use crate::error::Result;
use crate::kernels::Case;
use crate::kernels::peak::{F16_MATRIX, F32_FMA};
use crate::plan::{Profile, Program};
use crate::simd::InstructionSet;
use serde::Serialize;
use std::process::ExitCode;
use std::sync::Arc;

/// Arguments of `kernels time`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  galaxy-gpu kernels time conv_block
  galaxy-gpu kernels time native --json
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
    /// Fraction of the nearer of the measured peaks of what runs it, arithmetic and memory; above one if the data is in a cache.
    share_of_ceiling: f64,
}

#[derive(Serialize)]
struct Report<'a> {
    /// Null if no WGSL kernel is among those that ran.
    adapter: Option<&'a str>,
    driver: Option<&'a str>,
    checked: bool,
    /// `gpu`: the adapter's own clock. `wall`: it has none, so submitting and waiting are included.
    clock: &'static str,
    /// Cases that could not run; standard error says why.
    failed: usize,
    peak_gflops: Option<f64>,
    peak_gigabytes_per_second: Option<f64>,
    /// The CPU's peaks, where native kernels ran.
    native: Option<NativePeaks>,
    results: Vec<Timing>,
}

/// What native kernels are compared with, in the JSON.
#[derive(Serialize)]
struct NativePeaks {
    instructions: String,
    peak_gflops: f64,
    peak_gigabytes_per_second: f64,
}

/// The peaks that kernels are compared with.
struct Ceilings {
    wgsl: Option<Peaks>,
    /// Flops a second of cooperative matrices, where a kernel uses them.
    matrices: Option<f64>,
    native: Option<Peaks>,
}

impl Ceilings {
    fn measure(tasks: &[Task], bench: &Bench, set: InstructionSet) -> Result<Self> {
        let mut found = Self { wgsl: None, matrices: None, native: None };
        if let Some(gpu) = &bench.gpu {
            let make_engine: MakeEngine = &|plan| Ok(Box::new(GpuEngine::new(gpu, plan, false)?));
            found.wgsl = Some(Peaks::measure(gpu.profile(), make_engine, &F32_FMA)?);
            if tasks.iter().any(|task| task.kernel.uses_matrices()) && absent(&F16_MATRIX, gpu.profile()).is_none() {
                found.matrices = Some(measure(gpu.profile(), make_engine, &F16_MATRIX)?.per_second);
            }
        }
        if tasks.iter().any(|task| task.kernel.is_native()) {
            let make_engine: MakeEngine = &|plan| Ok(Box::new(CpuEngine::native(plan, set)));
            found.native = Some(Peaks::measure(&Profile::native(set), make_engine, &F32_FMA)?);
        }
        Ok(found)
    }

    /// What was measured, and on what.
    fn in_words(&self, gpu: Option<&Arc<Gpu>>, set: InstructionSet) -> String {
        let line = |device: String, clock, Peaks { flops, bytes }: Peaks| {
            format!("{device}, {clock} clock\npeaks: {:.1} GFLOP/s, {:.1} GB/s\n", flops / 1e9, bytes / 1e9)
        };
        let wgsl = gpu.zip(self.wgsl).map(|(gpu, peaks)| {
            let Profile { name, backend, driver, .. } = gpu.profile();
            line(format!("{name} ({backend}, {driver})"), gpu.clock(), peaks)
        });
        let native = self.native.map(|peaks| {
            let Profile { name, driver, .. } = Profile::native(set);
            line(format!("{name} ({driver})"), "wall", peaks)
        });
        wgsl.into_iter().chain(native).collect()
    }

    fn of(&self, kernel: Kernel) -> Option<Peaks> {
        let peaks = if kernel.is_native() { self.native } else { self.wgsl }?;
        let flops = self.matrices.filter(|_| kernel.uses_matrices()).unwrap_or(peaks.flops);
        Some(Peaks { flops, ..peaks })
    }
}

/// Times all bench cases and prints each result at once; exit code 1 if one could not run.
///
/// # Errors
/// There is no adapter, or the filter matches nothing to time.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Selection { checked, json, .. } = args.selection;
    let compile = args.selection.compile()?;
    let set = InstructionSet::fastest();
    let tasks = args.selection.tasks(&compile.shaders, &[set], |case| case.bench)?;
    let bench = args.selection.bench(&tasks, compile)?;
    let gpu = bench.gpu.as_ref();
    let clock = gpu.map_or("wall", |gpu| gpu.clock());
    let columns = Columns::of(&tasks);
    let ceilings = Ceilings::measure(&tasks, &bench, set)?;
    if !json {
        print_text(ceilings.in_words(gpu, set))?;
        print_text(line(&columns, ["contract", "implementation", "case", "ms", "GFLOP/s", "GB/s", "% of peak"]))?;
    }
    let mut results = Vec::new();
    let mut failed = 0;
    for (task, case) in tasks.iter().flat_map(|task| task.cases.iter().map(move |case| (task, case))) {
        let name = || format!("{}::{}::{}", task.contract.name, task.label(), case.name);
        if let Some(why) = bench.obstacle(task, case) {
            eprintln!("skipped {}: {why}", name());
            continue;
        }
        match time_case(&bench, task, case, ceilings.of(task.kernel)) {
            Ok(timing) => {
                if !json {
                    print_text(timing.in_words(&columns))?;
                }
                results.push(timing);
            }
            Err(error) => {
                eprintln!("failed {}: {error}", name());
                failed += 1;
            }
        }
    }
    if json {
        let native = ceilings.native.map(|Peaks { flops, bytes }| NativePeaks {
            instructions: set.to_string(),
            peak_gflops: flops / 1e9,
            peak_gigabytes_per_second: bytes / 1e9,
        });
        print_json(&Report {
            adapter: gpu.map(|gpu| &gpu.profile().name[..]),
            driver: gpu.map(|gpu| &gpu.profile().driver[..]),
            checked,
            clock,
            failed,
            peak_gflops: ceilings.wgsl.map(|peaks| peaks.flops / 1e9),
            peak_gigabytes_per_second: ceilings.wgsl.map(|peaks| peaks.bytes / 1e9),
            native,
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

fn time_case(bench: &Bench, task: &Task, case: &Case, peaks: Option<Peaks>) -> Result<Timing> {
    let mut engine = bench.engine(task, case)?;
    let seconds = sample(&mut *engine, Program::Train, &case.step, Sampling::KERNEL)?.median();
    let cost = task.contract.cost_in(&case.constants, task.kernel.precision());
    Ok(Timing {
        contract: task.contract.name,
        implementation: task.label(),
        case: case.name,
        milliseconds: 1e3 * seconds,
        gflops: cost.flops / seconds / 1e9,
        gigabytes_per_second: cost.bytes / seconds / 1e9,
        share_of_ceiling: peaks.map_or(0.0, |peaks| peaks.fraction(cost, seconds).0),
    })
}
