//! The command line: one file per command. Raw arguments become ready settings here; results are printed here and
//! nowhere else.

// Everything that is printed goes through `voice`.
#![deny(clippy::print_stdout)]

mod assessment;
mod bench;
mod classify;
mod compare;
mod data;
mod devices;
mod display;
mod doctor;
mod evaluate;
mod find_rate;
mod fits;
mod flags;
mod inspect;
mod interrupt;
mod kernels;
mod log;
mod model;
mod options;
mod plan;
mod predict;
mod repeat;
mod report;
mod shell;
mod threads;
mod train;
pub mod voice;

use crate::data::hdf5;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use voice::{print_json, print_note, print_text};

/// Train galaxy classifiers on any vendor's GPU.
#[derive(Parser)]
#[command(name = "galaxy-gpu", version, about, propagate_version = true)]
#[command(after_help = "Examples:
  galaxy-gpu train
  galaxy-gpu predict runs/1 galaxy.png
  galaxy-gpu train --help

Exit codes: 0 success, 1 the machine or a check failed, 2 the input is at fault, 75 asked to end before it was complete, 130 ended at once by a second Ctrl-C.")]
struct Cli {
    /// Print nothing but errors, and what --json asks for
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Threads that compute and decode; as many as the machine or its container allows where absent. Changes no result
    #[arg(long, global = true, value_name = "N")]
    threads: Option<usize>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train a network; on simulated galaxies unless --data names real ones
    Train(Box<train::Args>),
    /// Find a learning rate: one short training whose rate grows from step to step
    FindRate(Box<find_rate::Args>),
    /// Measure a trained network on the test set of a split
    Evaluate(evaluate::Args),
    /// Set runs side by side, with their curves
    Compare(compare::Args),
    /// Make report.html and the pictures of a trained run anew
    Report(report::Args),
    /// Classify one picture
    Predict(predict::Args),
    /// Classify any number of pictures into a table
    Classify(Box<classify::Args>),
    /// Show what each block of a network sees in a picture, and which pixels its answer depends on
    Inspect(inspect::Args),
    /// Describe networks, take them from Keras, write them for Keras and ONNX
    #[command(subcommand)]
    Model(model::Command),
    /// Look at data sets and draw simulated ones
    #[command(subcommand)]
    Data(data::Command),
    /// List, check and time the kernels
    #[command(subcommand)]
    Kernels(kernels::Command),
    /// Measure the most that the adapter can do, and how much of it a training step reaches
    #[command(subcommand)]
    Bench(bench::Command),
    /// Show what a training step and an inference batch will run, how and why
    Plan(plan::Args),
    /// List the adapters
    Devices(devices::Args),
    /// Check adapters, drivers, libhdf5, folders and disks, and say what to do
    Doctor(doctor::Args),
    /// Print a shell's completions
    Completions(shell::CompletionsArgs),
    /// Write manual pages
    Man(shell::ManArgs),
    /// Read an HDF5 file for the process that has started this one
    #[command(name = hdf5::COMMAND, hide = true)]
    ReadHdf5 {
        /// What to say of it
        request: hdf5::Request,
        /// The file
        file: PathBuf,
    },
}

/// The program's command line, whose help says all defaults.
fn command() -> clap::Command {
    flags::with_defaults(Cli::command())
}

/// A note of a lower room, printed.
fn note(text: String) {
    print_note(text);
}

/// Parses the command line and runs the command.
///
/// # Errors
/// Whatever the command could not do, with the context of what was being done.
pub fn run() -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let cli = Cli::from_arg_matches(&command().get_matches()).unwrap_or_else(|error| error.exit());
    if cli.quiet {
        voice::be_quiet();
    }
    // the child that reads HDF5 files computes nothing, and has little memory
    if !matches!(cli.command, Command::ReadHdf5 { .. }) {
        threads::start(cli.threads)?;
    }
    match cli.command {
        Command::Train(args) => train::run(*args),
        Command::FindRate(args) => find_rate::run(&args),
        Command::Evaluate(args) => evaluate::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Predict(args) => predict::run(&args),
        Command::Classify(args) => classify::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Model(command) => model::run(&command),
        Command::Data(command) => data::run(&command),
        Command::Kernels(command) => kernels::run(&command),
        Command::Bench(command) => bench::run(&command, started),
        Command::Plan(args) => plan::run(&args),
        Command::Devices(args) => devices::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Completions(args) => shell::completions(&args, command()),
        Command::Man(args) => shell::man(&args, command()),
        Command::ReadHdf5 { request, file } => Ok(hdf5::serve(request, &file)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All commands with their names, as `["data", "show"]`.
    fn commands(command: &clap::Command, names: &[String]) -> Vec<(Vec<String>, clap::Command)> {
        let below = command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help");
        let below = below.flat_map(|below| commands(below, &[names, &[below.get_name().to_owned()]].concat()));
        std::iter::once((names.to_vec(), command.clone())).chain(below.collect::<Vec<_>>()).collect()
    }

    /// The words of a command line, up to what only a shell understands.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut quote) = (vec![String::new()], None);
        let end = [" > ", " && ", " | "].iter().filter_map(|sign| line.find(sign)).min().unwrap_or(line.len());
        for letter in line[..end].chars() {
            match (letter, quote) {
                ('\'' | '"', None) => quote = Some(letter),
                (letter, Some(open)) if letter == open => quote = None,
                (' ', None) => words.push(String::new()),
                _ => words.last_mut().unwrap().push(letter),
            }
        }
        words.retain(|word| !word.is_empty());
        words
    }

    #[test]
    fn every_command_has_examples_and_they_parse() {
        let mut program = Cli::command();
        program.build();
        program.clone().debug_assert();
        for (names, command) in commands(&program, &[]) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples: Vec<&str> = help.lines().filter_map(|line| line.strip_prefix("  galaxy-gpu ")).collect();
            let about_it = examples.iter().any(|example| words(example).starts_with(&names[..]));
            assert!(about_it || command.has_subcommands(), "{names:?} has no example in its help");
            for example in examples {
                let line = std::iter::once("galaxy-gpu".to_owned()).chain(words(example));
                // asking for help is an error to clap, and a good example
                match Cli::command().try_get_matches_from(line) {
                    Err(error) if error.use_stderr() => panic!("{names:?}: {example}: {error}"),
                    _ => {}
                }
            }
        }
    }

    /// Documents with commands for users.
    const DOCUMENTS: [(&str, &str); 7] = [
        ("README.md", include_str!("../../README.md")),
        ("docs/astronomer.md", include_str!("../../docs/astronomer.md")),
        ("docs/keras-pytorch.md", include_str!("../../docs/keras-pytorch.md")),
        ("docs/kernels.md", include_str!("../../docs/kernels.md")),
        ("docs/operator.md", include_str!("../../docs/operator.md")),
        ("docs/one-training-step.md", include_str!("../../docs/one-training-step.md")),
        ("docs/adding-a-kernel.md", include_str!("../../docs/adding-a-kernel.md")),
    ];

    /// The arguments of each call of the program in the `sh` blocks of a document: continued lines joined, comments left out.
    fn calls(document: &str) -> Vec<String> {
        let blocks = document.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
        let lines = blocks.flat_map(|block| {
            let lines: Vec<String> = block.replace("\\\n", " ").lines().map(str::to_owned).collect();
            lines
        });
        let lines = lines.map(|line| line.split(" #").next().unwrap_or_default().to_owned());
        let commands = lines.flat_map(|line| line.split("&&").map(|call| call.trim().to_owned()).collect::<Vec<_>>());
        let starts = ["galaxy-gpu ", "cargo run --release -- "];
        commands
            .filter_map(|call| starts.iter().find_map(|start| call.strip_prefix(start)).map(str::to_owned))
            .collect()
    }

    #[test]
    fn every_command_in_the_documents_parses() {
        for (name, document) in DOCUMENTS {
            let calls = calls(document);
            assert!(calls.len() >= 4, "{name} has only {calls:?}");
            for call in calls {
                let line = std::iter::once("galaxy-gpu".to_owned()).chain(words(&call));
                if let Err(error) = Cli::command().try_get_matches_from(line) {
                    panic!("{name}: {call}: {error}");
                }
            }
        }
    }

    #[test]
    fn calls_are_found_behind_others_and_across_lines() {
        let text = "```sh\nscripts/setup && cargo run --release -- train --epochs 1 # not --this\ngalaxy-gpu plan \\\n  --json\n```";
        assert_eq!(calls(text), ["train --epochs 1", "plan    --json"]);
    }

    /// Help is wrapped to the terminal's width, at most 100 columns: a line break inside a paragraph would make it ragged.
    #[test]
    fn help_is_left_to_clap_to_wrap() {
        for (names, command) in commands(&Cli::command(), &[]) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let lines: Vec<&str> = help.lines().collect();
            for example in lines.iter().filter(|line| line.starts_with("  galaxy-gpu ")) {
                assert!(example.chars().count() <= 96, "{names:?}: an example is too long: {example}");
            }
            let is_text = |line: &str| !line.is_empty() && !line.starts_with(' ');
            for pair in lines.windows(2).filter(|pair| !pair[0].ends_with(':')) {
                assert!(
                    !(is_text(pair[0]) && is_text(pair[1])),
                    "{names:?}: a line break inside a paragraph: {}",
                    pair[0]
                );
            }
        }
    }
}
