//! `kernels`: lists, shows, checks and times the implementations of every contract. They come from the registry, so a new
//! kernel appears here without touching this folder.

mod lockstep;
mod quick;
mod show;
mod task;
mod time;
mod validate;

pub use quick::quick;

use super::print_text;
use crate::cli::flags::ShaderFlags;
use crate::engine::Gpu;
use crate::engine::validate::Compile;
use crate::error::{Error, Result};
use crate::kernels::{Case, Contract, Matrix, Shaders, registry};
use crate::report::Table;
use crate::simd::InstructionSet;
use crate::suggest::did_you_mean;
use clap::{Args, Subcommand};
use std::process::ExitCode;
use std::sync::Arc;
use task::{Bench, Kernel, Task};

/// The subcommands.
#[derive(Subcommand)]
pub enum Command {
    /// List contracts, their WGSL and native kernels (best first) and their constants
    #[command(after_help = "Example:\n  galaxy-gpu kernels list")]
    List,
    /// Show contracts in full: formula, bindings, work, cases, implementations and their files
    Show(show::Args),
    /// Check every kernel against its CPU twin, WGSL on this machine's GPU and native on its CPU; exit code 1 if one fails
    Validate(validate::Args),
    /// Time every kernel on real layers
    Time(time::Args),
}

/// Runs the command.
///
/// # Errors
/// There is no adapter, the filter matches nothing, or the device is lost.
pub fn run(command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::List => print_text(list())?,
        Command::Show(args) => show::run(args)?,
        Command::Validate(args) => return validate::run(args),
        Command::Time(args) => return time::run(args),
    }
    Ok(ExitCode::SUCCESS)
}

/// Which kernels to run, and where.
#[derive(Args)]
struct Selection {
    /// Part of the name of a contract or kernel (native: those compiled for the CPU) or, with ::, of contract::kernel::case
    /// [default: all]
    filter: Option<String>,
    /// Adapter by number or part of its name, as `galaxy-gpu devices` lists them
    #[arg(long, value_name = "N|NAME")]
    adapter: Option<String>,
    /// Let the driver check every access of every kernel (slower)
    #[arg(long)]
    checked: bool,
    /// Run kernels for cooperative matrices without any: tiles of so many rows, on subgroups of so many threads, spelt out in
    /// plain WGSL (slow)
    #[arg(long, alias = "imitate-matrices", value_name = "ROWSxTHREADS")]
    emulate_matrices: Option<Matrix>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    foreign: ShaderFlags,
}

impl Selection {
    /// The kernels that match the filter - WGSL in every precision, native ones with each of these instruction sets - with the cases
    /// that they accept and that `wanted` picks. The filter is part of the contract's name or of the kernel's or, if it holds `::`, of
    /// the full name.
    ///
    /// # Errors
    /// The filter matches nothing; the message lists the operations.
    fn tasks(&self, shaders: &Shaders, sets: &[InstructionSet], wanted: fn(&Case) -> bool) -> Result<Vec<Task>> {
        let filter = self.filter.as_deref().unwrap_or_default();
        let matches = |contract: &Contract, label: &str, case: &Case| match filter.contains("::") {
            true => format!("{}::{label}::{}", contract.name, case.name).contains(filter),
            false => contract.name.contains(filter) || label.contains(filter),
        };
        let mut tasks = Vec::new();
        for &contract in registry() {
            for kernel in Kernel::all(contract, shaders, sets) {
                let label = kernel.label();
                let runs = |case: &Case| wanted(case) && kernel.accepts(case);
                let picked = |case: &Case| runs(case) && matches(contract, &label, case);
                let cases: Vec<Case> = (contract.cases)().into_iter().filter(picked).collect();
                if !cases.is_empty() {
                    tasks.push(Task { contract, kernel, cases });
                }
            }
        }
        if tasks.is_empty() {
            let (operations, names) = (operations(), names());
            let near = did_you_mean(filter, operations.iter().copied().chain(names.iter().map(String::as_str)));
            let operations = operations.join(", ");
            let allowed = format!("part of the name of an operation with cases to run: {operations}{near}");
            return Err(Error::setting("the filter", format!("\"{filter}\""), allowed));
        }
        Ok(tasks)
    }

    /// What these tasks run on: an adapter only if one of them is WGSL.
    ///
    /// # Errors
    /// As [`Selection::open`].
    fn bench(&self, tasks: &[Task], compile: Compile) -> Result<Bench> {
        let needed = self.adapter.is_some() || tasks.iter().any(|task| !task.kernel.is_native());
        let gpu = if needed { Some(self.open()?) } else { None };
        Ok(Bench { gpu, compile })
    }

    /// Opens the adapter.
    ///
    /// # Errors
    /// As [`Gpu::open`] and [`Gpu::open_emulating`].
    fn open(&self) -> Result<Arc<Gpu>> {
        let adapter = self.adapter.as_deref();
        self.emulate_matrices.map_or_else(|| Gpu::open(adapter), |matrix| Gpu::open_emulating(adapter, matrix))
    }

    /// How to compile the kernels.
    ///
    /// # Errors
    /// As [`ShaderFlags::load`].
    fn compile(&self) -> Result<Compile> {
        Ok(Compile { checked: self.checked, shaders: self.foreign.load()? })
    }
}

/// The operations of the registry, in its order, each once.
fn operations() -> Vec<&'static str> {
    let mut operations: Vec<&str> =
        registry().iter().map(|contract| contract.name.split('.').next().unwrap_or(contract.name)).collect();
    operations.dedup();
    operations
}

/// All names that a filter can match: contracts, implementations, and cases with `::`.
fn names() -> Vec<String> {
    let mut names = Vec::new();
    for &contract in registry() {
        names.push(contract.name.to_owned());
        for kernel in Kernel::all(contract, &Shaders::default(), &InstructionSet::detected()) {
            let label = kernel.label();
            let whole = format!("{}::{label}", contract.name);
            names.extend((contract.cases)().iter().map(|case| format!("{whole}::{}", case.name)));
            names.extend([label, whole]);
        }
    }
    names
}

fn list() -> String {
    let mut table = Table::new(&["contract", "WGSL", "native", "cases", "constants"]).right([3]);
    for &contract in registry() {
        let implementations: Vec<&str> = contract.implementations.iter().map(|i| i.name).collect();
        let native: Vec<&str> = contract.native.iter().map(|native| native.name).collect();
        let native = if native.is_empty() { "-".to_owned() } else { native.join(", ") };
        let cases = (contract.cases)().len().to_string();
        let constants: Vec<&str> = contract.constants.iter().map(|constant| constant.name).collect();
        table.row(&[contract.name, &implementations.join(", "), &native, &cases, &constants.join(" ")]);
    }
    table.to_string()
}

/// Column widths that fit the names of all tasks, as lines are printed one by one.
struct Columns {
    contract: usize,
    implementation: usize,
    case: usize,
}

impl Columns {
    fn of(tasks: &[Task]) -> Self {
        let cases = tasks.iter().flat_map(|task| &task.cases);
        Self {
            contract: tasks.iter().map(|task| task.contract.name.len()).max().unwrap_or(0),
            implementation: tasks.iter().map(|task| task.label().len()).max().unwrap_or(0),
            case: cases.map(|case| case.name.len()).max().unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tasks(filter: &str) -> Result<Vec<Task>> {
        let foreign = ShaderFlags::default();
        let selection = Selection {
            filter: Some(filter.into()),
            adapter: None,
            checked: false,
            json: false,
            emulate_matrices: None,
            foreign,
        };
        selection.tasks(&Shaders::default(), &InstructionSet::detected(), |_| true)
    }

    #[test]
    fn filters_pick_operations_contracts_and_cases() {
        assert!(tasks("relu").unwrap().iter().all(|task| task.contract.name.starts_with("relu.")));
        assert!(tasks("").unwrap().len() >= registry().len());
        let one = tasks("relu.forward::direct::").unwrap();
        assert_eq!((one.len(), one[0].label()), (1, "direct".to_owned()));
        let native = tasks("native").unwrap();
        assert!(native.iter().all(|task| task.kernel.is_native()), "no adapter is needed");
        assert!(InstructionSet::detected().iter().all(|set| tasks(&format!("{set}")).is_ok()));
        let case = one[0].cases[0].name;
        let picked = tasks(&format!("relu.forward::direct::{case}")).unwrap();
        assert!(picked[0].cases.iter().all(|picked| picked.name.starts_with(case)));
    }

    #[test]
    fn a_filter_that_matches_nothing_lists_the_operations() {
        let message = tasks("warp drive").err().unwrap().to_string();
        assert!(message.contains("\"warp drive\"") && message.contains("conv2d, conv_block, maxpool2d"), "{message}");
    }
}
