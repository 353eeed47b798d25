//! `bench peak`: the most an adapter can do.

use crate::cli::{print_json, print_text};
use crate::engine::Gpu;
use crate::engine::peak::{absent, measure};
use crate::kernels::peak::{PEAKS, Peak, Unit};
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

#[derive(Serialize)]
struct Report {
    adapter: String,
    driver: String,
    backend: String,
    /// `gpu`: the adapter's own clock. `wall`: it has none, so submitting and waiting are included.
    clock: &'static str,
    ceilings: Vec<Line>,
}

/// Measures all peaks and prints them.
///
/// # Errors
/// There is no adapter, a micro-kernel's result is wrong, or the device is lost.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let gpu = Gpu::open(args.adapter.as_deref())?;
    let profile = gpu.profile();
    let mut ceilings = Vec::new();
    for peak in PEAKS {
        let absent = absent(peak, profile);
        let measured = if absent.is_none() { Some(measure(&gpu, peak)?) } else { None };
        ceilings.push(Line {
            name: peak.name,
            about: peak.about,
            contract: peak.contract.name,
            implementation: peak.implementation,
            unit: unit(peak),
            value: measured.map(|measured| measured.per_second / 1e9),
            milliseconds: measured.map(|measured| 1e3 * measured.seconds),
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

/// The unit in which a peak is printed, 10^9 of its own.
fn unit(peak: &Peak) -> &'static str {
    match peak.unit {
        Unit::Flops => "GFLOP/s",
        Unit::Bytes => "GB/s",
    }
}

impl Report {
    fn in_words(&self) -> String {
        let mut table = Table::new(&["peak", "micro-kernel", "ms a run", "value", "unit"]).right([2, 3]);
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
        let (adapter, driver, backend) = ("A".to_owned(), "D 1".to_owned(), "vulkan".to_owned());
        let text = Report { adapter, driver, backend, clock: "wall", ceilings: vec![line] }.in_words();
        assert!(text.starts_with("A (vulkan, D 1), wall clock\n\npeak"), "{text}");
        assert!(text.ends_with("-      -  not here: needs matrices\n"), "{text}");
    }
}
