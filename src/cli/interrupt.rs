//! Ctrl-C: the first one asks, the second one ends.

use crate::cli::print_note;
use anyhow::Context;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// What the first Ctrl-C says.
pub const INTERRUPTED: &str =
    "Ctrl-C: the running step ends and everything is saved; Ctrl-C again ends at once, without";

/// A flag that the first Ctrl-C sets, with this said. The second one ends the program at once, with the exit code that a shell gives to
/// what SIGINT has ended.
pub fn listen_for_interrupts(said: &'static str) -> anyhow::Result<Arc<AtomicBool>> {
    // the trainings of a series listen with one handler
    static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    if let Some(interrupted) = FLAG.get() {
        return Ok(interrupted.clone());
    }
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = interrupted.clone();
    let listen = move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        print_note(said);
    };
    ctrlc::set_handler(listen).context("cannot listen for Ctrl-C")?;
    Ok(FLAG.get_or_init(|| interrupted).clone())
}
