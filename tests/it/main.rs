//! All tests but those of single kernels (`tests/kernels.rs`), in one binary, as each links the whole crate anew.

mod common;

mod augmentation;
mod classify;
mod cli;
mod cli_bench;
mod cli_doctor;
mod cli_fits;
mod cli_progress;
mod cli_runs;
mod cli_shell;
mod data;
mod engines;
mod gradients;
mod interchange;
mod keras;
mod keras_operations;
mod micro;
mod mixed;
mod pipelines;
mod plan;
mod research;
mod structure;
mod suggestions;
mod supply_chain;
mod train;
mod translation;
