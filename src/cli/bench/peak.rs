//! `bench peak`: an adapter's ceilings.

use crate::cli::{print_json, print_text};
use crate::engine::Gpu;
use crate::engine::peak::{absent, measure};
use crate::kernels::peak::{CEILINGS, Ceiling, Unit};
use crate::report::Table;
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

/// A ceiling in the JSON.
#[derive(Serialize)]
struct Line {
    name: &'static str,
    about: &'static str,
    contract: &'static str,
    implementation: &'static str,
    /// `GFLOP/s` or `GB/s`, in powers of ten.
    unit: &'static str,
    /// In that unit; null where the adapter has no such ceiling.
    value: Option<f64>,
    /// Of one run of the micro-kernel.
    milliseconds: Option<f64>,
    /// Why there is no value.
    absent: Option<String>,
}

#[derive(Serialize)]
struct Report {
    adapter: String,
    driver: String,
    backend: String,
    /// `gpu`: the adapter's own clock. `wall`: it has none, so submission and waiting count.
    clock: &'static str,
    ceilings: Vec<Line>,
}

/// Measures all ceilings and prints them.
///
/// # Errors
/// No adapter, a micro-kernel whose result is wrong, a lost device.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let gpu = Gpu::open(args.adapter.as_deref())?;
    let profile = gpu.profile();
    let mut ceilings = Vec::new();
    for ceiling in CEILINGS {
        let absent = absent(ceiling, profile);
        let peak = if absent.is_none() { Some(measure(&gpu, ceiling)?) } else { None };
        ceilings.push(Line {
            name: ceiling.name,
            about: ceiling.about,
            contract: ceiling.contract.name,
            implementation: ceiling.implementation,
            unit: unit(ceiling),
            value: peak.map(|peak| peak.per_second / 1e9),
            milliseconds: peak.map(|peak| 1e3 * peak.seconds),
            absent,
        });
    }
    let report = Report {
        adapter: profile.name.clone(),
        driver: profile.driver.clone(),
        backend: profile.backend.clone(),
        clock: gpu.clock(),
        ceilings,
    };
    if args.json {
        print_json(&report)?
    } else {
        print_text(report.in_words())?
    }
    Ok(ExitCode::SUCCESS)
}

/// The unit people use for a ceiling, 10^9 of its own.
fn unit(ceiling: &Ceiling) -> &'static str {
    match ceiling.unit {
        Unit::Flops => "GFLOP/s",
        Unit::Bytes => "GB/s",
    }
}

impl Report {
    fn in_words(&self) -> String {
        let mut table = Table::new(&["ceiling", "micro-kernel", "ms a run", "value", "unit"]).right([2, 3]);
        for line in &self.ceilings {
            let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.1}"));
            let unit = line.absent.as_ref().map_or(line.unit.to_owned(), |why| format!("not here: {why}"));
            let kernel = format!("{} ({})", line.contract, line.implementation);
            let (value, milliseconds) = (number(line.value), number(line.milliseconds));
            table.row(&[line.about, &kernel, &milliseconds, &value, &unit]);
        }
        let Self { adapter, driver, backend, clock, .. } = self;
        format!("{adapter} ({backend}, {driver}), {clock} clock\n\n{table}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ceiling_that_is_absent_says_why() {
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
        let (adapter, driver, backend) = ("A".to_owned(), "D 1".to_owned(), "vulkan".to_owned());
        let text = Report { adapter, driver, backend, clock: "wall", ceilings: vec![line] }.in_words();
        assert!(text.starts_with("A (vulkan, D 1), wall clock\n\nceiling"), "{text}");
        assert!(text.ends_with("-      -  not here: needs matrices\n"), "{text}");
    }
}
