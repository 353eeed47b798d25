//! `devices`: lists the adapters of this machine, what computes without one, and what all of them can do.

use super::{print_json, print_text};
use crate::engine::gpu::adapters;
use crate::plan::{Profile, bytes_in_words};
use crate::report::Table;
use crate::run::{NO_GPU, OpenDevice};
use crate::simd::InstructionSet;
use serde::Serialize;
use std::process::ExitCode;

/// Arguments of `devices`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  galaxy-gpu devices
  galaxy-gpu train --adapter 1
  galaxy-gpu train --adapter nvidia
  galaxy-gpu train --device software")]
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
    /// What computes without an adapter; its kind is its name for `--device`.
    without_adapter: [Profile; 2],
    /// What `--device auto` takes, and why.
    auto: String,
}

/// Prints the adapters, the fastest kind first, and what computes without one.
///
/// # Errors
/// Standard output cannot be written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (profiles, without_adapter) = (adapters(), without_adapter());
    let auto = auto(&profiles, &without_adapter[0]);
    if args.json {
        let adapters = profiles.into_iter().enumerate().map(|(number, profile)| Adapter { number, profile }).collect();
        print_json(&Report { adapters, without_adapter, auto })?;
    } else {
        print_text(format!("{}\n--device auto takes {auto}\n", table(&profiles, &without_adapter)))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Native kernels, and the twins.
pub fn without_adapter() -> [Profile; 2] {
    [OpenDevice::Native(InstructionSet::fastest()), OpenDevice::Cpu].map(|device| device.profile())
}

/// What `--device auto` takes of these, and why.
pub fn auto(adapters: &[Profile], native: &Profile) -> String {
    match adapters.iter().enumerate().find(|(_, profile)| !profile.kind.is_software()) {
        Some((number, profile)) => format!("adapter {number}, {}, as it is a GPU", profile.name),
        None => format!("{} ({}), as {NO_GPU}", native.name, native.driver),
    }
}

/// A column for each device, as there are few devices and many figures.
fn table(adapters: &[Profile], without: &[Profile]) -> Table {
    let options = (0..adapters.len()).map(|number| format!("--adapter {number}"));
    let options = options.chain(without.iter().map(|profile| format!("--device {}", profile.kind.name())));
    let mut table = Table::new(&std::iter::once("option".to_owned()).chain(options).collect::<Vec<_>>());
    let mut row = |name: &str, value: &dyn Fn(&Profile) -> String| {
        table.row(
            &std::iter::once(name.to_owned()).chain(adapters.iter().chain(without).map(value)).collect::<Vec<_>>(),
        );
    };
    let yes = |has: bool| if has { "yes".to_owned() } else { "no".to_owned() };
    row("name", &|profile| profile.name.clone());
    row("kind", &|profile| profile.kind.name().to_owned());
    row("backend", &|profile| profile.backend.clone());
    row("driver", &|profile| profile.driver.clone());
    let limit = |bytes| if bytes == u64::MAX { "any".to_owned() } else { bytes_in_words(bytes) };
    row("largest binding", &|profile| limit(profile.binding_bytes));
    row("largest buffer", &|profile| limit(profile.buffer_bytes));
    row("memory for a plan", &|profile| profile.memory_bytes.map_or("unknown".to_owned(), bytes_in_words));
    let of_shaders = |profile: &Profile, value: String| if profile.kind.has_no_driver() { "-".into() } else { value };
    row("storage buffers of a kernel", &|profile| of_shaders(profile, profile.storage_buffers.to_string()));
    row("workgroup memory", &|profile| of_shaders(profile, bytes_in_words(profile.workgroup_bytes.into())));
    row("threads of a workgroup", &|profile| of_shaders(profile, profile.invocations.to_string()));
    row("threads of a subgroup", &|profile| match profile.subgroup {
        _ if profile.kind.has_no_driver() => "-".to_owned(),
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
    use crate::plan::AdapterKind;

    #[test]
    fn devices_are_columns() {
        let subgroups = Profile { subgroup: (8, 32), f16: true, ..Profile::webgpu() };
        let text = table(&[Profile::webgpu(), subgroups], &[Profile::cpu()]).to_string();
        let row = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            line[name.len()..].split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>()
        };
        assert_eq!(row("option"), ["--adapter 0", "--adapter 1", "--device reference"]);
        assert_eq!(row("largest binding"), ["128.0 MiB", "128.0 MiB", "any"]);
        assert_eq!(row("threads of a subgroup"), ["unknown", "8 to 32", "-"]);
        assert_eq!(row("16-bit floats"), ["no", "yes", "yes"]);
    }

    #[test]
    fn auto_takes_a_gpu_and_no_software_driver() {
        let adapter = |kind| Profile { kind, name: format!("{kind:?}"), ..Profile::webgpu() };
        let [software, card] = [AdapterKind::Software, AdapterKind::Discrete].map(adapter);
        let [native, _] = without_adapter();
        assert_eq!(auto(&[card, software.clone()], &native), "adapter 0, Discrete, as it is a GPU");
        let found = auto(&[software], &native);
        assert!(
            found.starts_with("native kernels (") && found.contains("as no GPU was found; --device software"),
            "{found}"
        );
    }
}
