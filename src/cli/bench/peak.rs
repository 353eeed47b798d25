//! `bench peak`: the most an adapter and the CPU can do.

use crate::cli::{print_json, print_text};
use crate::engine::peak::{MakeEngine, absent, measure};
use crate::engine::{CpuEngine, Gpu, GpuEngine};
use crate::error::Result;
use crate::kernels::peak::{PEAKS, Peak, Unit};
use crate::plan::Profile;
use crate::report::Table;
use crate::simd::InstructionSet;
use serde::Serialize;
use std::process::ExitCode;

/// Arguments of `bench peak`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  galaxy-gpu bench peak
  galaxy-gpu bench peak --adapter 1 --json")]
pub struct Args {
    /// Adapter by number or part of its name, as `galaxy-gpu devices` lists them
    #[arg(long, value_name = "N|NAME")]
    adapter: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// A peak in the JSON.
#[derive(Serialize)]
struct Line {
    name: &'static str,
    about: &'static str,
    contract: &'static str,
    implementation: &'static str,
    /// `GFLOP/s` or `GB/s`, in powers of ten.
    unit: &'static str,
    /// In that unit; null if the adapter has no such peak.
    value: Option<f64>,
    /// Time of one run of the micro-kernel.
    milliseconds: Option<f64>,
    /// Why there is no value.
    absent: Option<String>,
}

/// The peaks of the CPU with an instruction set, in the JSON.
#[derive(Serialize)]
struct Native {
    instructions: String,
    threads: usize,
    ceilings: Vec<Line>,
}

#[derive(Serialize)]
struct Report {
    /// Null if there is none.
    adapter: Option<String>,
    driver: Option<String>,
    backend: Option<String>,
    /// `gpu`: the adapter's own clock. `wall`: it has none, so submitting and waiting are included.
    clock: &'static str,
    ceilings: Vec<Line>,
    native: Vec<Native>,
}

/// Measures all peaks, those of the adapter and those of the CPU with each of its instruction sets, and prints them.
///
/// # Errors
/// The adapter asked for is not there, a micro-kernel's result is wrong, or the device is lost.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let gpu = match Gpu::open(args.adapter.as_deref()) {
        Err(error) if args.adapter.is_some() => return Err(error.into()),
        opened => opened.ok(),
    };
    let profile = gpu.as_ref().map(|gpu| gpu.profile().clone());
    let ceilings = match &gpu {
        Some(gpu) => lines(gpu.profile(), &|plan| Ok(Box::new(GpuEngine::new(gpu, plan, false)?)))?,
        None => Vec::new(),
    };
    let mut native = Vec::new();
    for set in InstructionSet::detected() {
        let found = lines(&Profile::native(set), &|plan| Ok(Box::new(CpuEngine::native(plan, set))))?;
        let ceilings = found.into_iter().filter(|line| line.absent.is_none()).collect();
        native.push(Native { instructions: set.to_string(), threads: rayon::current_num_threads(), ceilings });
    }
    let report = Report {
        clock: gpu.as_ref().map_or("wall", |gpu| gpu.clock()),
        adapter: profile.as_ref().map(|profile| profile.name.clone()),
        driver: profile.as_ref().map(|profile| profile.driver.clone()),
        backend: profile.map(|profile| profile.backend),
        ceilings,
        native,
    };
    if args.json {
        print_json(&report)?
    } else {
        print_text(report.in_words())?
    }
    Ok(ExitCode::SUCCESS)
}

/// All peaks of a device, measured where it has them.
fn lines(profile: &Profile, make_engine: MakeEngine) -> Result<Vec<Line>> {
    let line = |&peak: &&'static Peak| {
        let absent = absent(peak, profile);
        let measured = if absent.is_none() { Some(measure(profile, make_engine, peak)?) } else { None };
        Ok(Line {
            name: peak.name,
            about: peak.about,
            contract: peak.contract.name,
            implementation: peak.implementation,
            unit: unit(peak),
            value: measured.map(|measured| measured.per_second / 1e9),
            milliseconds: measured.map(|measured| 1e3 * measured.seconds),
            absent,
        })
    };
    PEAKS.iter().map(line).collect()
}

/// The unit in which a peak is printed, 10^9 of its own.
fn unit(peak: &Peak) -> &'static str {
    match peak.unit {
        Unit::Flops => "GFLOP/s",
        Unit::Bytes => "GB/s",
    }
}

fn table(lines: &[Line]) -> Table {
    let mut table = Table::new(&["peak", "micro-kernel", "ms a run", "value", "unit"]).right([2, 3]);
    for line in lines {
        let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.1}"));
        let unit = line.absent.as_ref().map_or(line.unit.to_owned(), |why| format!("not here: {why}"));
        let kernel = format!("{} ({})", line.contract, line.implementation);
        let (value, milliseconds) = (number(line.value), number(line.milliseconds));
        table.row(&[line.about, &kernel, &milliseconds, &value, &unit]);
    }
    table
}

impl Report {
    fn in_words(&self) -> String {
        let mut parts = Vec::new();
        if let Self { adapter: Some(adapter), driver: Some(driver), backend: Some(backend), clock, ceilings, .. } = self
        {
            parts.push(format!("{adapter} ({backend}, {driver}), {clock} clock\n\n{}", table(ceilings)));
        }
        for Native { instructions, threads, ceilings } in &self.native {
            parts
                .push(format!("native kernels ({instructions}, {threads} threads), wall clock\n\n{}", table(ceilings)));
        }
        parts.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_that_is_absent_says_why() {
        let line = Line {
            name: "f16_matrix",
            about: "f16 matrix",
            contract: "peak.matrix",
            implementation: "cooperative",
            unit: "GFLOP/s",
            value: None,
            milliseconds: None,
            absent: Some("needs matrices".into()),
        };
        let [adapter, driver, backend] = ["A", "D 1", "vulkan"].map(|word| Some(word.to_owned()));
        let report = Report { adapter, driver, backend, clock: "wall", ceilings: vec![line], native: Vec::new() };
        let text = report.in_words();
        assert!(text.starts_with("A (vulkan, D 1), wall clock\n\npeak"), "{text}");
        assert!(text.ends_with("-      -  not here: needs matrices\n"), "{text}");
    }
}
