//! All tests but those of single kernels (`tests/kernels.rs`), in one binary, as each links the whole crate anew.

mod common;

mod augmentation;
mod bench;
mod branches;
mod circles;
mod classify;
mod data;
mod devices;
mod doctor;
mod documents;
mod engines;
mod example;
mod gradients;
mod inspect;
mod interchange;
mod keras;
mod keras_operations;
mod kernels;
mod micro;
mod mixed;
mod model;
mod native;
mod pipelines;
mod plan;
mod shell;
mod structure;
mod suggestions;
mod supply_chain;
mod train;
mod translation;
