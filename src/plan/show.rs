//! The plan as text: what runs, how, why, and where the memory goes.

use super::{Plan, Program, bytes_in_words};
use std::fmt;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for program in [Program::Train, Program::Infer] {
            writeln!(f, "{program:?}")?;
            for step in self.steps(program) {
                let grids: Vec<String> = step.dispatches.iter().map(|d| format!("{}x{}", d.grid.x, d.grid.y)).collect();
                writeln!(
                    f,
                    "  {:<16} {:<28} {:<12} grid {:<14} {:>9.1} MFLOP {:>10}  {}",
                    step.layer,
                    step.contract.name,
                    step.implementation,
                    grids.join(" + "),
                    step.cost.flops / 1e6,
                    bytes_in_words(step.cost.bytes as u64),
                    step.reason,
                )?;
            }
        }
        writeln!(f, "Buffers")?;
        for buffer in &self.buffers {
            writeln!(f, "  {:<24} {:>10}", buffer.name, bytes_in_words(buffer.bytes))?;
        }
        let (all, data) = self.bytes();
        write!(f, "  {:<24} {:>10}, of which data set {}", "total", bytes_in_words(all), bytes_in_words(data))
    }
}
