//! Signals: the first one asks a job to end in good order, a second Ctrl-C ends it at once.

use crate::cli::print_note;
use anyhow::Context;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// What the first signal to a training says.
pub const INTERRUPTED: &str = "the running step ends and everything is saved; Ctrl-C again ends at once, without";
/// The exit code of a job that was asked to end: what it has is saved, and it is incomplete (EX_TEMPFAIL of sysexits.h).
pub const INCOMPLETE: u8 = 75;
/// The exit code that a shell gives to what SIGINT has ended.
const ENDED_AT_ONCE: i32 = 130;

/// A flag that the first signal sets, with this said. A second Ctrl-C ends the program at once; no other signal does, as schedulers and
/// closed terminals send several.
pub fn listen_for_interrupts(said: &'static str) -> anyhow::Result<Arc<AtomicBool>> {
    // the trainings of a series listen with one handler
    static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    if let Some(interrupted) = FLAG.get() {
        return Ok(interrupted.clone());
    }
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = interrupted.clone();
    let mut again = false;
    let heard = move |name: &str, by_hand: bool| {
        if by_hand && std::mem::replace(&mut again, true) {
            std::process::exit(ENDED_AT_ONCE);
        }
        if !flag.swap(true, Ordering::Relaxed) {
            print_note(format!("{name}: {said}"));
        }
    };
    listen(heard).context("cannot listen for signals")?;
    Ok(FLAG.get_or_init(|| interrupted).clone())
}

/// Calls `heard` with the name of each signal, and whether it is Ctrl-C.
#[cfg(not(unix))]
fn listen(mut heard: impl FnMut(&str, bool) + Send + 'static) -> anyhow::Result<()> {
    Ok(ctrlc::set_handler(move || heard("Ctrl-C", true))?)
}

/// Calls `heard` with the name of each signal, and whether it is Ctrl-C. Signals that were ignored when the program began, as nohup
/// does it, stay ignored.
#[cfg(unix)]
fn listen(mut heard: impl FnMut(&str, bool) + Send + 'static) -> anyhow::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
    let ignored = std::fs::read_to_string("/proc/self/status").map_or(0, |status| ignored(&status));
    let wanted =
        [SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2].into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0);
    let mut signals = signal_hook::iterator::Signals::new(wanted)?;
    let listen = move || {
        for signal in signals.forever() {
            let name = if signal == SIGINT {
                "Ctrl-C"
            } else {
                signal_hook::low_level::signal_name(signal).unwrap_or("a signal")
            };
            heard(name, signal == SIGINT);
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(listen)?;
    Ok(())
}

/// The mask of ignored signals in Linux's description of a process; none where it has none.
#[cfg(unix)]
fn ignored(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(all(test, unix))]
mod tests {
    use super::ignored;

    #[test]
    fn ignored_signals_are_those_of_the_mask() {
        let status = "SigBlk:\t0000000000000004\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000440\n";
        assert_eq!((ignored(status), ignored("Name:\tx\n")), (0x1001, 0));
    }
}
