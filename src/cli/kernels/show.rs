//! `kernels show`: everything about a contract, for someone who wants to write a kernel for it.

use crate::cli::flags::ShaderFlags;
use crate::cli::{print_json, print_text};
use crate::engine::Gpu;
use crate::error::{Error, Result};
use crate::kernels::{
    Access, Adapters, Binding, Case, Contract, Element, Implementation, Native, Needs, Precision, Prelude, Shaders,
    Source, find, registry,
};
use crate::plan::{Profile, bytes_in_words, obstacle};
use crate::report::Table;
use crate::simd::InstructionSet;
use serde::Serialize;

/// Arguments of `kernels show`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  galaxy-gpu kernels show conv2d
  galaxy-gpu kernels show relu.forward --source
  galaxy-gpu kernels show conv_block.forward --json")]
pub struct Args {
    /// Part of a contract's name; conv2d shows all directions of the operation
    contract: String,
    /// Print the WGSL of each implementation as it is compiled: declarations, the files it uses, its own
    #[arg(long)]
    source: bool,
    /// Leave out line numbers, so that the text can be pasted
    #[arg(long, requires = "source")]
    plain: bool,
    /// Show the text for mixed precision
    #[arg(long, requires = "source")]
    mixed: bool,
    /// Adapter by number or part of its name, as `galaxy-gpu devices` lists them
    #[arg(long, value_name = "N|NAME")]
    adapter: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    foreign: ShaderFlags,
}

/// A binding in the JSON.
#[derive(Serialize)]
struct BindingReport {
    /// Number in the shader, where 0 is the step's parameters.
    number: usize,
    name: &'static str,
    f32: &'static str,
    mixed: &'static str,
    access: &'static str,
    /// Number of elements in the shown case.
    elements: usize,
}

/// An implementation in the JSON.
#[derive(Serialize)]
struct ImplementationReport {
    name: &'static str,
    needs: Vec<String>,
    shaders: Vec<String>,
    /// Whether it accepts the sizes of the shown case.
    fits_case: bool,
    /// Null if no adapter was found.
    runs_here: Option<bool>,
    /// Why it does not run on this adapter, whatever the sizes.
    #[serde(skip_serializing_if = "Option::is_none")]
    obstacle: Option<String>,
    /// The WGSL of each shader, with --source.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    source: Vec<String>,
}

/// A native kernel in the JSON.
#[derive(Serialize)]
struct NativeReport {
    name: &'static str,
    /// What it computes with here: the instruction sets of this processor, fastest first.
    instructions: Vec<String>,
    /// Whether it accepts the sizes of the shown case.
    fits_case: bool,
}

/// Work of one call in the JSON.
#[derive(Serialize)]
struct Work {
    flops: f64,
    bytes: f64,
    bytes_mixed: f64,
    flops_per_byte: f64,
}

/// A contract in the JSON.
#[derive(Serialize)]
struct Report {
    contract: &'static str,
    formula: &'static str,
    /// The real layer whose lengths and work are shown.
    case: &'static str,
    constants: Vec<(&'static str, f64)>,
    bindings: Vec<BindingReport>,
    work: Work,
    tolerance: f64,
    cases: Vec<&'static str>,
    implementations: Vec<ImplementationReport>,
    native: Vec<NativeReport>,
    files: Vec<(&'static str, String)>,
}

#[derive(Serialize)]
struct Whole {
    /// Null if none was found.
    adapter: Option<String>,
    contracts: Vec<Report>,
}

/// Prints the contracts. It works without an adapter, but then cannot say which implementations run.
///
/// # Errors
/// No contract has that name, the adapter asked for does not exist, or as [`ShaderFlags::load`].
pub fn run(args: &Args) -> anyhow::Result<()> {
    let found: Vec<&Contract> = registry().iter().copied().filter(|c| c.name.contains(&args.contract)).collect();
    if found.is_empty() {
        let names: Vec<&str> = registry().iter().map(|contract| contract.name).collect();
        let allowed = format!("part of the name of one of {}", names.join(", "));
        return Err(Error::setting("the contract", format!("\"{}\"", args.contract), allowed).into());
    }
    let shaders = args.foreign.load()?;
    let profile = match Gpu::open(args.adapter.as_deref()) {
        Ok(gpu) => Some(gpu.profile().clone()),
        Err(error) if args.adapter.is_some() => return Err(error.into()),
        Err(_) => None,
    };
    let reports = found.into_iter().map(|contract| Report::new(contract, args, &shaders, profile.as_ref()));
    let contracts = reports.collect::<Result<Vec<Report>>>()?;
    if args.json {
        print_json(&Whole { adapter: profile.map(|profile| profile.name), contracts })?;
        return Ok(());
    }
    let adapter =
        profile.map_or("no adapter was found".into(), |p| format!("{} ({}, {})", p.name, p.backend, p.driver));
    let contracts: Vec<String> = contracts.iter().map(|report| report.in_words(args.source)).collect();
    print_text(format!("{adapter}\n\n{}", contracts.join("\n")))
}

/// The case whose numbers are shown: the last real layer, or else the last case.
fn shown(contract: &Contract) -> Option<Case> {
    let mut cases = (contract.cases)();
    let place = cases.iter().rposition(|case| case.bench).or(cases.len().checked_sub(1))?;
    Some(cases.swap_remove(place))
}

impl Report {
    fn new(contract: &'static Contract, args: &Args, shaders: &Shaders, profile: Option<&Profile>) -> Result<Self> {
        let case = shown(contract).ok_or_else(|| Error::setting("the cases", "none", "at least one"))?;
        let lengths = (contract.lengths)(&case.constants);
        let bindings = contract.bindings.iter().zip(lengths).zip(1..).map(|((b, elements), number)| BindingReport {
            number,
            name: b.name,
            f32: element(b, Precision::F32),
            mixed: element(b, Precision::Mixed),
            access: access(b.access),
            elements,
        });
        let [cost, mixed] = [Precision::F32, Precision::Mixed].map(|p| contract.cost_in(&case.constants, p));
        let work = Work {
            flops: cost.flops,
            bytes: cost.bytes,
            bytes_mixed: mixed.bytes,
            flops_per_byte: cost.flops / cost.bytes,
        };
        let implementations = shaders.implementations(contract).into_iter();
        let implementations =
            implementations.map(|i| ImplementationReport::new(contract, i, &case, (args, shaders, profile)));
        Ok(Self {
            contract: contract.name,
            formula: contract.formula,
            case: case.name,
            constants: case.constants.pairs().to_vec(),
            bindings: bindings.collect(),
            work,
            tolerance: (contract.tolerance)(&case.constants).relative,
            cases: (contract.cases)().iter().map(|case| case.name).collect(),
            implementations: implementations.collect(),
            native: contract.native.iter().map(|native| NativeReport::new(native, &case)).collect(),
            files: files(contract.name),
        })
    }

    fn in_words(&self, source: bool) -> String {
        let constants: Vec<String> = self.constants.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let Work { flops, bytes, bytes_mixed, flops_per_byte } = self.work;
        let mut bindings = Table::new(&["", "binding", "f32", "mixed", "access", "elements"]).right([0, 5]);
        for b in &self.bindings {
            let (number, elements) = (b.number.to_string(), b.elements.to_string());
            bindings.row(&[&number, b.name, b.f32, b.mixed, b.access, &elements]);
        }
        let mut implementations = Table::new(&["implementation", "here", "needs", "shaders"]);
        for i in &self.implementations {
            let mut here = match (i.runs_here, &i.obstacle) {
                (None, _) => "?".to_owned(),
                (Some(_), None) => "runs".to_owned(),
                (Some(_), Some(why)) => format!("no: {why}"),
            };
            here += if i.fits_case { "" } else { "; not for this case's sizes" };
            let needs = if i.needs.is_empty() { "nothing".to_owned() } else { i.needs.join(", ") };
            implementations.row(&[i.name, &here, &needs, &i.shaders.join(" + ")]);
        }
        let mut native = Table::new(&["native kernel", "computes here with"]);
        for kernel in &self.native {
            let sizes = if kernel.fits_case { "" } else { "; not for this case's sizes" };
            native.row(&[kernel.name, &format!("{}{sizes}", kernel.instructions.join(", "))]);
        }
        let native =
            if self.native.is_empty() { "no native kernel: it runs its twin\n".to_owned() } else { native.to_string() };
        let files: Vec<String> = self.files.iter().map(|(what, place)| format!("  {what:<10} {place}\n")).collect();
        let mixed = if bytes_mixed == bytes {
            String::new()
        } else {
            format!(" ({} mixed)", bytes_in_words(bytes_mixed as u64))
        };
        let mut text = format!(
            "{}\n  formula    {}\n  case       {}: {}\n  work       {:.2} MFLOP, {}{mixed}: {flops_per_byte:.1} FLOP a byte\n  \
             tolerance  {:.1e}\n  cases      {}\n{}\n{}\n{}\n{}",
            self.contract,
            self.formula,
            self.case,
            constants.join(" "),
            flops / 1e6,
            bytes_in_words(bytes as u64),
            self.tolerance,
            self.cases.join("; "),
            files.concat(),
            bindings,
            implementations,
            native,
        );
        if source {
            for implementation in &self.implementations {
                for (place, source) in implementation.shaders.iter().zip(&implementation.source) {
                    text += &format!("\n// ---- {}={}: {place}\n{source}", self.contract, implementation.name);
                }
            }
        }
        text
    }
}

impl ImplementationReport {
    fn new(
        contract: &'static Contract,
        implementation: &'static Implementation,
        case: &Case,
        (args, shaders, profile): (&Args, &Shaders, Option<&Profile>),
    ) -> Self {
        // show the shaders for a case that it accepts, which may be another than the shown one
        let accepted = |case: &Case| (implementation.accepts)(&case.constants);
        let fits_case = accepted(case);
        let own = if fits_case { Some(case.clone()) } else { (contract.cases)().into_iter().find(accepted) };
        let constants = own.as_ref().map_or(&case.constants, |case| &case.constants).clone();
        let precision = implementation.needs.precision.unwrap_or(match args.mixed {
            true if contract.precisions().contains(&Precision::Mixed) => Precision::Mixed,
            _ => Precision::F32,
        });
        let matrix = profile.and_then(|profile| profile.matrix).filter(|_| implementation.needs.matrix);
        let prelude = Prelude { precision, matrix };
        let sources = own.map(|case| {
            let launch = (implementation.launch)(&case.constants);
            Source::of_launch(shaders, (contract, implementation.name), &launch, prelude)
        });
        let sources = sources.unwrap_or_default();
        let text = |source: &Source| if args.plain { source.text() } else { numbered(source) };
        let obstacle = profile.and_then(|profile| obstacle(implementation, &constants, precision, profile));
        Self {
            name: implementation.name,
            needs: needs(&implementation.needs),
            shaders: sources.iter().map(|source| source.kernel().place()).collect(),
            fits_case,
            runs_here: profile.map(|_| obstacle.is_none()),
            obstacle,
            source: if args.source { sources.iter().map(text).collect() } else { Vec::new() },
        }
    }
}

impl NativeReport {
    fn new(native: &Native, case: &Case) -> Self {
        Self {
            name: native.name,
            instructions: InstructionSet::detected().iter().map(ToString::to_string).collect(),
            fits_case: (native.accepts)(&case.constants),
        }
    }
}

/// Each part under the name of its file, with its own line numbers.
fn numbered(source: &Source) -> String {
    let part = |(file, text): (String, String)| {
        let lines =
            text.lines().zip(1..).map(|(line, number)| format!("{number:>4} {line}").trim_end().to_owned() + "\n");
        format!("     // {file}\n{}", lines.collect::<String>())
    };
    source.parts().into_iter().map(part).collect()
}

fn element(binding: &Binding, precision: Precision) -> &'static str {
    match binding.element_in(precision) {
        Element::F32 => "f32",
        Element::F16 => "f16",
        Element::U32 => "u32",
    }
}

fn access(access: Access) -> &'static str {
    match access {
        Access::Read => "read",
        Access::Write => "write",
        Access::Update => "update",
    }
}

fn needs(needs: &Needs) -> Vec<String> {
    let Needs { adapters, precision, matrix, workgroup_bytes, invocations, subgroup } = *needs;
    let mut words = Vec::new();
    match adapters {
        Adapters::All => {}
        Adapters::Software => words.push("a software adapter".to_owned()),
        Adapters::Hardware => words.push("a hardware adapter".to_owned()),
    }
    words.extend(precision.map(|precision| format!("{precision} precision")));
    words.extend(matrix.then(|| "cooperative matrices".to_owned()));
    words.extend((workgroup_bytes > 0).then(|| format!("{workgroup_bytes} B of workgroup memory")));
    words.extend((invocations > 0).then(|| format!("{invocations} threads a workgroup")));
    words.extend((subgroup > 0).then(|| format!("subgroups of {subgroup}")));
    words
}

/// The files that belong to a contract, relative to the crate's root.
fn files(contract: &str) -> Vec<(&'static str, String)> {
    let operation = contract.split('.').next().unwrap_or(contract);
    let module = if IN_A_FILE.contains(&operation) { operation.to_owned() } else { format!("{operation}/mod") };
    let mut files =
        vec![("contract", format!("src/kernels/{module}.rs")), ("shaders", format!("shaders/{operation}/"))];
    files.extend(find(contract).filter(|contract| !contract.native.is_empty()).map(|_| {
        let place = match operation {
            _ if IN_A_FILE.contains(&operation) => format!("{operation}.rs"),
            _ if NATIVE_FOLDERS.contains(&operation) => format!("{operation}/native/"),
            _ => format!("{operation}/native.rs"),
        };
        ("native", format!("src/kernels/{place}"))
    }));
    if NOTED.contains(&operation) {
        files.push(("notes", format!("shaders/{operation}/NOTES.md")));
    }
    files.push(("test", format!("tests/kernels.rs (cargo test --release --test kernels {contract})")));
    files.push(("bench", format!("benches/kernels.rs (cargo bench --bench kernels {contract})")));
    files
}

/// Operations that are one file.
const IN_A_FILE: [&str; 5] = ["add", "concatenate", "matrix", "relu", "softmax_cross_entropy"];

/// Operations with a folder of native kernels.
const NATIVE_FOLDERS: [&str; 2] = ["conv2d", "conv_block"];

/// Operations with notes on what was tried.
const NOTED: [&str; 8] = ["adam", "conv2d", "conv_block", "dense", "dropout", "maxpool2d", "peak", "relu"];

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn files_are_where_they_are_said_to_be() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for &contract in registry() {
            for (_, place) in files(contract.name) {
                let path = place.split(' ').next().unwrap();
                assert!(root.join(path).exists(), "{}: {path}", contract.name);
            }
            let operation = contract.name.split('.').next().unwrap();
            let notes = root.join(format!("shaders/{operation}/NOTES.md")).exists();
            assert_eq!(NOTED.contains(&operation), notes, "{operation}");
        }
    }

    #[test]
    fn the_shown_case_is_a_real_layer() {
        assert!(registry().iter().copied().all(|contract| shown(contract).unwrap().bench));
    }
}
