//! `devices`: lists the adapters of this machine and what they can do.

use super::{print_json, print_text};
use crate::engine::gpu::adapters;
use crate::error::Error;
use crate::plan::{Profile, bytes_in_words};
use crate::report::Table;
use serde::Serialize;
use std::process::ExitCode;

/// Arguments of `devices`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  galaxy-gpu devices
  galaxy-gpu train --adapter 1
  galaxy-gpu train --adapter nvidia")]
pub struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// An adapter, with its number for `--adapter`.
#[derive(Serialize)]
struct Adapter {
    number: usize,
    #[serde(flatten)]
    profile: Profile,
}

#[derive(Serialize)]
struct Report {
    adapters: Vec<Adapter>,
}

/// Prints the adapters, the fastest kind first.
///
/// # Errors
/// There is no adapter.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let profiles = adapters();
    if args.json {
        let adapters = profiles.iter().cloned().enumerate().map(|(number, profile)| Adapter { number, profile });
        print_json(&Report { adapters: adapters.collect() })?;
    }
    if profiles.is_empty() {
        let remedy = "install a Vulkan driver (on Debian: scripts/setup), or compute with --device cpu";
        return Err(Error::device("no GPU adapter was found", remedy).into());
    }
    if !args.json {
        print_text(table(&profiles).to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A column for each adapter, as there are few adapters and many figures.
fn table(profiles: &[Profile]) -> Table {
    let numbers = (0..profiles.len()).map(|number| number.to_string());
    let mut table = Table::new(&std::iter::once("adapter".to_owned()).chain(numbers).collect::<Vec<_>>());
    let mut row = |name: &str, value: &dyn Fn(&Profile) -> String| {
        table.row(&std::iter::once(name.to_owned()).chain(profiles.iter().map(value)).collect::<Vec<_>>());
    };
    let yes = |has: bool| if has { "yes".to_owned() } else { "no".to_owned() };
    row("name", &|profile| profile.name.clone());
    row("kind", &|profile| profile.kind.name().to_owned());
    row("backend", &|profile| profile.backend.clone());
    row("driver", &|profile| profile.driver.clone());
    row("largest binding", &|profile| bytes_in_words(profile.binding_bytes));
    row("largest buffer", &|profile| bytes_in_words(profile.buffer_bytes));
    row("memory for a plan", &|profile| profile.memory_bytes.map_or("unknown".to_owned(), bytes_in_words));
    row("storage buffers of a kernel", &|profile| profile.storage_buffers.to_string());
    row("workgroup memory", &|profile| bytes_in_words(profile.workgroup_bytes.into()));
    row("threads of a workgroup", &|profile| profile.invocations.to_string());
    row("threads of a subgroup", &|profile| match profile.subgroup {
        (0, 0) => "unknown".to_owned(),
        (least, most) if least == most => least.to_string(),
        (least, most) => format!("{least} to {most}"),
    });
    row("16-bit floats", &|profile| yes(profile.f16));
    row("clock of its own", &|profile| yes(profile.timestamps));
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adapters_are_columns() {
        let text =
            table(&[Profile::webgpu(), Profile { subgroup: (8, 32), f16: true, ..Profile::webgpu() }]).to_string();
        let row = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            line[name.len()..].split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>()
        };
        assert_eq!(row("adapter"), ["0", "1"]);
        assert_eq!(row("largest binding"), ["128.0 MiB", "128.0 MiB"]);
        assert_eq!(row("threads of a subgroup"), ["unknown", "8 to 32"]);
        assert_eq!(row("16-bit floats"), ["no", "yes"]);
    }
}
