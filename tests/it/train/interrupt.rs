//! Signals: a run ends at once, in good order, with all that it has.

use super::{Desk, SMALL, drawing};
use crate::common::{Device, on_every_device};
use galaxy_gpu::train::Weights;
use galaxy_gpu::train::history::History;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

/// Starts a command, sends SIGINT after the first line that begins with `line`, and returns all it printed.
pub(crate) fn interrupt(desk: &Desk, command: &str, line: &str) -> String {
    signalled(desk, command, line, "-INT")
}

/// As [`interrupt`], with these signals one after the other.
fn signalled(desk: &Desk, command: &str, line: &str, signals: &str) -> String {
    let mut child = desk.program(command).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    while !text.lines().any(|said| said.starts_with(line)) {
        assert!(reader.read_line(&mut text).unwrap() > 0, "ended before {line:?}: {text}");
    }
    let sent = Command::new("sh")
        .args(["-c", &format!("for s in {signals}; do kill $s {}; done", child.id())])
        .status()
        .unwrap();
    assert!(sent.success());
    reader.read_to_string(&mut text).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(75), "{status}: {text}");
    assert!(text.contains("stopped  before its end; the weights of this moment are saved\n"), "{text}");
    text
}

on_every_device!(a_stopped_run_keeps_its_epochs_and_its_last_weights);

fn a_stopped_run_keeps_its_epochs_and_its_last_weights(device: Device) {
    let desk = Desk::new();
    let line = format!("{SMALL} --epochs 1000000 --out run --device {device}");
    let text = interrupt(&desk, &line, "epoch 1/");
    let history = History::read(&desk.path("run/history.csv")).unwrap();
    assert_eq!(history.epochs.len(), text.lines().filter(|line| line.starts_with("epoch ")).count());
    assert!(!history.epochs.is_empty() && history.epochs.len() < 1_000_000);
    let last = Weights::load(&desk.path("run/weights/last.safetensors")).unwrap();
    assert_eq!(last.hash(), Desk::said(&text, "weights  hash"));
    // Three steps train on all 30 images. A run stopped in validation has trained an epoch that has no record.
    assert_eq!(last.card.epochs, last.card.step / 3);
    // what was not measured is not claimed
    assert_eq!(last.card.val_accuracy.is_some(), last.card.step == 3 * history.epochs.len() as u32);
    let unrecorded = last.card.epochs as usize - history.epochs.len();
    assert!(unrecorded <= 1, "{} epochs are missing in the history", unrecorded);
    let best = Weights::load(&desk.path("run/weights/best.safetensors")).unwrap();
    assert_eq!(best.card.epochs, history.best().unwrap().epoch);
    drawing(&desk.path("run/curves.png"));
    assert!(!desk.path("run/metrics.json").exists() && !text.contains("\ntest "), "the test is for the end: {text}");
    desk.json("evaluate run --images 40 --size 16 --device reference --last --json");
    // and goes on from that moment
    let epochs = history.epochs.len() + 2;
    let whole = desk.run(&format!("{SMALL} --epochs {epochs} --out whole --device {device}"));
    let text = desk.run(&format!("train --resume run --epochs {epochs}"));
    assert!(text.contains(&format!(" images in, step {}\n", last.card.step)), "{text}");
    assert_eq!(Desk::said(&text, "weights  hash"), Desk::said(&whole, "weights  hash"));
    let best = |run: &str| std::fs::read(desk.path(&format!("{run}/weights/best.safetensors"))).unwrap();
    assert!(best("run") == best("whole"));
}

/// What a scheduler or a closed terminal sends saves the run, names the whole command that resumes it, and is told from success.
#[test]
fn every_signal_that_ends_a_job_saves_it() {
    let desk = Desk::new();
    for (number, signals) in ["-TERM", "-HUP", "-USR1", "-USR2", "-TERM -HUP -TERM"].into_iter().enumerate() {
        let run = format!("it's-{number}");
        // no shell reads the name here
        let text =
            signalled(&desk, &format!("{SMALL} --epochs 3000000 --device reference --out {run}"), "epoch 1/", signals);
        let resume = Desk::said(&text, "resume");
        assert_eq!(resume, format!("galaxy-gpu train --resume 'it'\\''s-{number}'"));
        let epochs = History::read(&desk.path(&format!("{run}/history.csv"))).unwrap().epochs.len();
        let text = desk.run(&format!("train --resume {run} --epochs {}", epochs + 1));
        assert!(text.contains("\ntest ") && !text.contains("\nresume "), "{text}");
    }
}

/// What the one who starts a job has told it to ignore stays ignored.
#[cfg(target_os = "linux")]
#[test]
fn under_nohup_a_closed_terminal_changes_nothing() {
    let desk = Desk::new();
    let own = desk.program(&format!("{SMALL} --epochs 4 --device reference --out run"));
    let words = std::iter::once(own.get_program()).chain(own.get_args());
    let mut child = Command::new("sh");
    child.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).args(words).stdout(Stdio::piped()).stderr(Stdio::null());
    child.current_dir(desk.path("")).envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut child = child.spawn().unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    while !text.lines().any(|line| line.starts_with("epoch 1/")) {
        assert!(reader.read_line(&mut text).unwrap() > 0, "ended early: {text}");
    }
    assert!(Command::new("sh").args(["-c", &format!("kill -HUP {}", child.id())]).status().unwrap().success());
    reader.read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success() && text.contains("epoch 4/4") && text.contains("\ntest "), "{text}");
}

/// Nothing of the run that was there before may be taken for the new one's.
#[test]
fn a_run_stopped_in_its_first_epoch_shows_no_earlier_results() {
    let desk = Desk::new();
    desk.run(&format!("{SMALL} --epochs 1 --device reference --out run"));
    desk.run("evaluate run --images 40 --size 16 --device reference");
    assert!(desk.path("run/weights/best.safetensors").is_file() && desk.path("run/confusion_matrix.png").is_file());
    // An epoch of seconds, in steps of a fraction of one.
    let line = "train --images 400 --size 32 --model conv3 --batch 10 --epochs 9 --device reference --seed 5 --out run --force";
    let text = interrupt(&desk, line, "training ");
    assert!(!text.contains("\nepoch ") && !text.contains("\nbest "), "{text}");
    assert!(History::read(&desk.path("run/history.csv")).unwrap().epochs.is_empty());
    let last = Weights::load(&desk.path("run/weights/last.safetensors")).unwrap();
    assert_eq!((last.hash(), last.card.epochs), (Desk::said(&text, "weights  hash"), 0));
    assert!(!desk.path("run/weights/best.safetensors").exists() && !desk.path("run/confusion_matrix.png").exists());
    assert_eq!(drawing(&desk.path("run/curves.png")).dimensions(), (1600, 700));
    // Without a best there is still the last.
    let found = desk.json("evaluate run --images 20 --size 32 --device reference --all --json");
    assert_eq!(found["per_class"].as_array().unwrap().len(), 10);
}
