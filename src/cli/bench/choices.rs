//! `bench choices`: measures every implementation of every call of a step, and prints the options that choose the fastest.

use crate::cli::flags::DeviceFlags;
use crate::cli::model::Sizes;
use crate::cli::options::check_output;
use crate::cli::{note, print_json, print_note, print_text};
use crate::error::Error;
use crate::files::write_whole;
use crate::graph::Augment;
use crate::kernels::Precision;
use crate::report::Table;
use crate::run::{Device, Recipe};
use crate::train::Setup;
use crate::train::tune::{Call, Measured, Tuned, tune};
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `bench choices`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  galaxy-gpu bench choices
  galaxy-gpu bench choices --size 64 --precision f32 --out fast.toml
  galaxy-gpu bench choices --batch 256 --infer --json

To use what it finds, give the --use options that it prints, or the file of --out to `train --config` (a --use on the \
command line then replaces all of the file's). Nothing is stored or chosen behind your back: the same options give the \
same bits.")]
pub struct Args {
    /// Network: conv3, conv4, or a TOML file
    #[arg(long, default_value = "conv4", value_name = "NAME|FILE.toml")]
    model: String,
    #[command(flatten)]
    sizes: Sizes,
    /// Measure an inference batch instead of a training step
    #[arg(long)]
    infer: bool,
    /// Write the choices to a file for `train --config`
    #[arg(long, value_name = "FILE.toml")]
    out: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceFlags,
}

/// A line of the JSON.
#[derive(Serialize)]
struct Timing {
    implementation: &'static str,
    ms: f64,
    gflops: f64,
    gigabytes_per_second: f64,
    /// Whether the plan chooses it by itself.
    planned: bool,
    /// Whether it is the fastest.
    best: bool,
}

#[derive(Serialize)]
struct CallReport<'a> {
    layer: &'a str,
    contract: &'static str,
    implementations: Vec<Timing>,
}

#[derive(Serialize)]
struct Report<'a> {
    model: &'a str,
    size: usize,
    batch: usize,
    program: &'static str,
    precision: Precision,
    adapter: &'a str,
    driver: &'a str,
    clock: &'static str,
    calls: Vec<CallReport<'a>>,
    choices: Vec<String>,
    /// Time of a whole step as planned.
    planned_ms: f64,
    /// The same with the choices; null if there are none.
    best_ms: Option<f64>,
}

/// Measures and prints.
///
/// # Errors
/// As [`tune`]; the user already chose an implementation; or the file cannot be written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    args.out.as_deref().map_or(Ok(()), |path| check_output("--out", path, &["toml"]))?;
    let recipe = args.device.recipe()?;
    if let Some(choice) = recipe.choices.first() {
        return Err(Error::setting("--use", choice, "left out, as this command measures all implementations").into());
    }
    let network = args.sizes.network(&args.model)?;
    let device = Device::for_training(&recipe, &mut note)?;
    let (precision, profile) = (device.precision, &device.profile);
    if profile.kind.has_no_driver() {
        let got = profile.kind.name();
        return Err(Error::setting("the device", got, "one that runs WGSL, such as --device software").into());
    }
    let augment = (!args.infer).then(Augment::default);
    // the data set is drawn for this device: it is never streamed
    let setup = Setup { training: !args.infer, augment, data_memory: None, ..device.setup(args.sizes.batch) };
    let make_engine = |plan| device.engine(plan);
    let tell = |round, rounds| print_note(format!("measuring round {round} of {rounds}"));
    let tuned = tune(&network, &setup, profile, make_engine, tell)?;
    let Sizes { size, batch, .. } = args.sizes;
    let program = if args.infer { "infer" } else { "train" };
    if args.json {
        print_json(&Report {
            model: &args.model,
            size,
            batch,
            program,
            precision,
            adapter: &profile.name,
            driver: &profile.driver,
            clock: tuned.clock,
            calls: tuned.calls.iter().map(CallReport::new).collect(),
            choices: tuned.choices().iter().map(ToString::to_string).collect(),
            planned_ms: 1e3 * tuned.own,
            best_ms: tuned.best.map(|seconds| 1e3 * seconds),
        })?;
    } else {
        print_text(format!(
            "{} ({}, {})\n{}, {size} px, batch {batch}, {precision}, {program}\n\n{}\n{}",
            profile.name,
            profile.backend,
            profile.driver,
            network.name,
            table(&tuned.calls),
            in_words(&tuned)
        ))?;
    }
    // print the result before writing the file, which may fail
    if let Some(path) = &args.out {
        write_whole(path, in_toml(&tuned, args, &recipe, (precision, &profile.name)).as_bytes())?;
        print_note(format!("the choices are in {}", path.display()));
    }
    Ok(ExitCode::SUCCESS)
}

impl<'a> CallReport<'a> {
    fn new(call: &'a Call) -> Self {
        Self { layer: &call.layer, contract: call.contract, implementations: timings(call) }
    }
}

fn timings(call: &Call) -> Vec<Timing> {
    let best = call.best();
    let timing = |(number, measured): (usize, &Measured)| Timing {
        implementation: measured.implementation,
        ms: 1e3 * measured.seconds,
        gflops: call.cost.flops / measured.seconds / 1e9,
        gigabytes_per_second: call.cost.bytes / measured.seconds / 1e9,
        planned: number == 0,
        best: best == Some(*measured),
    };
    call.measured.iter().enumerate().map(timing).collect()
}

/// A row for each implementation of each call.
fn table(calls: &[Call]) -> Table {
    let mut table = Table::new(&["layer", "contract", "implementation", "ms", "GFLOP/s", "GB/s", ""]).right([3, 4, 5]);
    for call in calls {
        for timing in timings(call) {
            let first = |text: &str| if timing.planned { text.to_owned() } else { String::new() };
            let mark = match (timing.planned, timing.best) {
                (true, true) => "planned, best",
                (true, false) => "planned",
                (false, true) => "best",
                (false, false) => "",
            };
            let [gflops, bytes] = [timing.gflops, timing.gigabytes_per_second].map(|number| format!("{number:.1}"));
            let ms = format!("{:.4}", timing.ms);
            table.row(&[
                first(&call.layer),
                first(call.contract),
                timing.implementation.to_owned(),
                ms,
                gflops,
                bytes,
                mark.to_owned(),
            ]);
        }
    }
    table
}

/// The result, and what to do with it.
fn in_words(tuned: &Tuned) -> String {
    let own = 1e3 * tuned.own;
    let choices = tuned.choices();
    match tuned.best.map(|seconds| 1e3 * seconds) {
        None => {
            format!("a whole step takes {own:.3} ms; the plan's own choices are the best, or within 3 % of the best\n")
        }
        Some(best) if choices.is_empty() => {
            format!(
                "a whole step takes {own:.3} ms as planned and {best:.3} ms with the best of each: nothing to gain\n"
            )
        }
        Some(best) => {
            let options = choices.iter().map(|choice| format!("  --use \"{choice}\"\n")).collect::<String>();
            format!("a whole step takes {own:.3} ms as planned, {best:.3} ms with the best of each:\n\n{options}")
        }
    }
}

/// The choices as a settings file, with a comment that says what they were measured for.
fn in_toml(tuned: &Tuned, args: &Args, recipe: &Recipe, (precision, adapter): (Precision, &str)) -> String {
    let Sizes { size, batch, .. } = args.sizes;
    let program = if args.infer { "an inference batch" } else { "a training step" };
    let choices = tuned.choices();
    let found = match tuned.best {
        Some(best) if !choices.is_empty() => format!("{:.3} ms with these choices", 1e3 * best),
        _ => "nothing clearly faster was found".to_owned(),
    };
    let mut text = format!(
        "# galaxy-gpu {} measured {program} of {}, {size} px, batch {batch}, on {}:\n# {:.3} ms as planned, {found}.\n",
        env!("CARGO_PKG_VERSION"),
        args.model.replace(char::is_control, " "),
        adapter.replace(char::is_control, " "),
        1e3 * tuned.own,
    );
    let mut settings = toml::Table::new();
    settings.insert("precision".into(), precision.to_string().into());
    if recipe.no_fuse {
        settings.insert("no-fuse".into(), true.into());
    }
    if let Some(folder) = &recipe.shaders {
        // a path in a settings file is relative to that file
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.clone());
        settings.insert("shaders".into(), folder.to_string_lossy().into_owned().into());
    }
    let names = choices.iter().map(|choice| toml::Value::from(choice.to_string()));
    settings.insert("use".into(), names.collect::<Vec<toml::Value>>().into());
    text += &settings.to_string();
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Cost;

    #[test]
    fn choices_are_recommended_only_if_the_whole_step_gains() {
        let way = |implementation, seconds| Measured { implementation, seconds };
        let (layer, contract) = ("gradient norm".to_owned(), "reduce.sum_squares");
        let measured = vec![way("vectors", 2e-3), way("direct", 1e-3)];
        let calls = vec![Call { layer, contract, cost: Cost::default(), measured }];
        let said = |best| in_words(&Tuned { clock: "gpu", calls: calls.clone(), own: 10e-3, best });
        assert!(
            said(Some(9e-3))
                .ends_with("9.000 ms with the best of each:\n\n  --use \"reduce.sum_squares@gradient norm=direct\"\n")
        );
        assert!(said(Some(9.9e-3)).ends_with("nothing to gain\n") && !said(Some(9.9e-3)).contains("--use"));
        assert!(said(None).contains("the plan's own choices are the best"));
    }
}
