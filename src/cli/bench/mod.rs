//! `bench`: what an adapter can do at most, and how much of that a training step reaches.

mod choices;
mod kernels;
mod peak;
mod step;

use clap::Subcommand;
use std::process::ExitCode;
use std::time::Instant;

/// What to measure.
#[derive(Subcommand)]
pub enum Command {
    /// Measure the most that the adapter can do, in arithmetic and memory, with micro-kernels whose results are checked
    Peak(peak::Args),
    /// Measure a training step or inference batch, with the plan and kernels of a training, on random images
    Step(Box<step::Args>),
    /// Measure every implementation of every call of a step, and find the fastest choices for this adapter
    Choices(Box<choices::Args>),
}

/// Runs the command; `started` is when the program started.
///
/// # Errors
/// There is no adapter, a size is out of range, something does not fit on the device, or the device is lost.
pub fn run(command: &Command, started: Instant) -> anyhow::Result<ExitCode> {
    match command {
        Command::Peak(args) => peak::run(args),
        Command::Step(args) => step::run(args, started),
        Command::Choices(args) => choices::run(args),
    }
}
