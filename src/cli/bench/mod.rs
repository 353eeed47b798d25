//! `bench`: the adapter's ceilings, and how near to them a training step comes.

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
    /// Measure what the adapter can do at most: arithmetic and memory, by micro-kernels whose results are checked
    Peak(peak::Args),
    /// Measure a training step or inference batch: the same plan and kernels as in training, on random images
    Step(Box<step::Args>),
    /// Measure every implementation of every call of a step, and find the fastest choices for this adapter
    Choices(Box<choices::Args>),
}

/// Runs the command; `started` is when the program did.
///
/// # Errors
/// No adapter, sizes out of range, whatever the device cannot hold, a lost device.
pub fn run(command: &Command, started: Instant) -> anyhow::Result<ExitCode> {
    match command {
        Command::Peak(args) => peak::run(args),
        Command::Step(args) => step::run(args, started),
        Command::Choices(args) => choices::run(args),
    }
}
