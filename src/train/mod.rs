//! Training: what a run measures and writes down.
//!
//! This room drives an engine over a data set. It knows nothing of argument parsing or the terminal: progress leaves it
//! as plain numbers, and pictures are made of those numbers in `report`.

pub mod history;
pub mod metrics;
