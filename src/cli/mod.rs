//! The command line: one file per command. Raw arguments become ready settings here; results are printed here and
//! nowhere else.

// What a closed pipe must not upset goes through `print_text`.
#![deny(clippy::print_stdout)]

mod assessment;
mod augmentation;
mod bench;
mod classify;
mod console;
mod data;
mod devices;
mod doctor;
mod evaluate;
mod kernels;
mod memory;
mod model;
mod optimizer;
mod options;
mod plan;
mod predict;
mod progress;
mod resume;
mod train;

use crate::data::hdf5;
use anyhow::Context;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

/// Train galaxy classifiers on any vendor's GPU.
#[derive(Parser)]
#[command(name = "galaxy-gpu", version, about, propagate_version = true)]
#[command(after_help = "Exit codes: 0 success, 1 the machine or a check failed, 2 the input is at fault.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train a network; on simulated galaxies unless --data names real ones
    Train(Box<train::Args>),
    /// Measure a trained network on the test side of a split
    Evaluate(evaluate::Args),
    /// Classify one picture
    Predict(predict::Args),
    /// Classify any number of pictures into a table
    Classify(Box<classify::Args>),
    /// Describe networks
    #[command(subcommand)]
    Model(model::Command),
    /// Look at data sets and draw simulated ones
    #[command(subcommand)]
    Data(data::Command),
    /// List, check and time the kernels
    #[command(subcommand)]
    Kernels(kernels::Command),
    /// Measure the adapter's ceilings, and training steps against them
    #[command(subcommand)]
    Bench(bench::Command),
    /// Show what a training step and an inference batch will run, how and why
    Plan(plan::Args),
    /// List the adapters
    Devices(devices::Args),
    /// Check adapters, drivers, libhdf5, folders and disks, and say what to do
    Doctor(doctor::Args),
    /// Read an HDF5 file for the process that has started this one
    #[command(name = hdf5::COMMAND, hide = true)]
    ReadHdf5 {
        /// What to say of it
        request: hdf5::Request,
        /// The file
        file: PathBuf,
    },
}

/// Parses the command line and runs the command.
///
/// # Errors
/// Whatever the command could not do, with the context of what was being done.
pub fn run() -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let matches = Cli::command().get_matches();
    match Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()).command {
        Command::Train(args) => train::run(*args, &resume::given(&matches)),
        Command::Evaluate(args) => evaluate::run(&args),
        Command::Predict(args) => predict::run(&args),
        Command::Classify(args) => classify::run(&args),
        Command::Model(command) => model::run(&command),
        Command::Data(command) => data::run(&command),
        Command::Kernels(command) => kernels::run(&command),
        Command::Bench(command) => bench::run(&command, started),
        Command::Plan(args) => plan::run(&args),
        Command::Devices(args) => devices::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::ReadHdf5 { request, file } => Ok(hdf5::serve(request, &file)),
    }
}

/// Prints one JSON object on standard output.
fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    print_text(serde_json::to_string_pretty(value)? + "\n")
}

/// Prints text on standard output as it is. A reader that has seen enough (`| head`) is no failure, which `println!`
/// would make of it.
fn print_text(text: impl AsRef<str>) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_ref().as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("standard output cannot be written"),
    }
}

/// Prints a note on standard error. One that cannot be printed is lost, as there is nowhere left to say so.
fn print_note(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "note: {text}");
}
