//! What a running training shows: to a terminal, to a pipe, to a program, and to TensorBoard's folder.

use crate::common::desk::{Desk, deep};
use galaxy_gpu::train::history::History;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

const TRAIN: &str = "train --device reference --model tiny.toml --size 16 --images 60 --batch 17 --out run";

impl Desk {
    fn as_in_a_terminal(&self, line: &str) -> Command {
        let mut command = self.program(line);
        command.env_remove("NO_COLOR").env_remove("CLICOLOR").env("TERM", "xterm");
        command
    }

    /// The events that a command prints.
    fn events(&self, line: &str) -> Vec<Value> {
        let text = self.run(line);
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }

    fn event_files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path("run/tensorboard")).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

fn named<'e>(events: &'e [Value], name: &str) -> Vec<&'e Value> {
    events.iter().filter(|event| event["event"] == name).collect()
}

#[test]
fn a_pipe_gets_one_line_an_epoch_and_no_control_characters() {
    let desk = Desk::new();
    let (text, notes) = desk.both(&format!("{TRAIN} --epochs 3"));
    assert_eq!(text.lines().filter(|line| line.starts_with("epoch ")).count(), 3, "{text}");
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    assert_eq!(notes, "");
}

#[test]
fn quiet_commands_say_nothing_but_errors() {
    let desk = Desk::new();
    for line in [
        format!("{TRAIN} --epochs 1 --quiet"),
        "evaluate run --device reference --size 16 --images 60 -q".into(),
        "predict run run/confusion_matrix.png --device reference -q".into(),
        "classify run run/confusion_matrix.png --out t.csv --device reference --quiet".into(),
        // the labels of another split are a note, which is not an error
        "-q evaluate run --device reference --images 40 --size 16".into(),
    ] {
        assert_eq!(desk.both(&line), Default::default(), "{line}");
    }
    let (numbers, notes) = desk.both("evaluate run --device reference --size 16 --images 60 -q --json");
    assert!(serde_json::from_str::<Value>(&numbers).unwrap()["accuracy"].is_number());
    assert_eq!(notes, "");
    desk.refuses(&format!("{TRAIN} --quiet"), &["error: run: it already holds a run"]);
}

#[test]
fn events_are_an_object_a_line_and_end_with_the_one_object() {
    let desk = Desk::new();
    let events = desk.events(&format!("{TRAIN} --epochs 3 --checkpoint-every 2 --json events"));
    let history = History::read(&desk.path("run/history.csv")).unwrap();
    let (start, end) = (&events[0], &events[events.len() - 1]);
    assert_eq!((&start["event"], &start["epochs"], &start["steps_per_epoch"]), (&"start".into(), &3.into(), &3.into()));
    assert_eq!((&start["model"], &start["split"]["train"], &start["steps"]), (&"tiny".into(), &50.into(), &0.into()));
    for (epoch, record) in named(&events, "epoch").iter().zip(&history.epochs) {
        // the same text, so the same bits
        for (name, value) in [("loss", record.loss), ("val_accuracy", record.val_accuracy)] {
            assert_eq!(epoch[name].to_string().parse::<f32>().unwrap(), value, "{epoch}");
        }
        assert_eq!(epoch["steps"], 3 * record.epoch);
    }
    assert_eq!(named(&events, "epoch").len(), 3);
    let progress = named(&events, "progress");
    assert!(progress.iter().all(|event| ["training", "validation"].contains(&event["phase"].as_str().unwrap())));
    assert!(!progress.is_empty());
    let kept = named(&events, "checkpoint");
    assert_eq!(kept.last().map(|event| &event["steps"]), Some(&9.into()), "the last one is written at the end");
    assert!(events.iter().all(|event| event["time"].is_f64()));

    let object = desk.run(&format!("{TRAIN} --epochs 3 --force --json"));
    let object: Value = serde_json::from_str(&object).unwrap();
    assert_eq!(end["event"], "end");
    for (name, value) in object.as_object().unwrap() {
        // seconds differ from run to run
        assert!(name == "epochs" || name == "best" || end[name] == *value, "{name}: {value} and {}", end[name]);
    }
    assert_eq!(end["best"]["epoch"], object["best"]["epoch"]);

    let events = desk.events("train --resume run --epochs 4 --json events");
    assert_eq!((&events[0]["steps"], &events[0]["images"]), (&9.into(), &0.into()));
    assert_eq!(named(&events, "epoch").len(), 1);
}

/// Going back and notes are events, too.
#[test]
fn a_training_that_diverges_tells_it_in_events() {
    let desk = Desk::new();
    desk.write("tiny.toml", deep(40));
    let line = format!("{TRAIN} --epochs 3 --learning-rate 1 --json events --tensorboard");
    let output = desk.as_in_a_terminal(&line).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(named(&events, "undo").iter().all(|event| event["epochs"] == 0), "{text}");
    assert!(!named(&events, "undo").is_empty() && !named(&events, "note").is_empty(), "{text}");
    let notes = String::from_utf8(output.stderr).unwrap();
    for note in named(&events, "note") {
        assert!(notes.contains(note["text"].as_str().unwrap()), "{note} is not in {notes}");
    }
    assert!(named(&events, "end")[0]["failure"].is_string() != output.status.success(), "{text}");
}

#[test]
fn event_files_are_kept_by_resume_removed_by_force_and_end_no_training() {
    let desk = Desk::new();
    desk.run(&format!("{TRAIN} --epochs 1 --tensorboard"));
    assert_eq!(desk.event_files().len(), 1);
    // a run that was begun with them goes on with them
    desk.run("train --resume run --epochs 2");
    assert_eq!(desk.event_files().len(), 2);
    std::fs::write(desk.path("run/tensorboard/mine.txt"), "mine").unwrap();
    desk.run(&format!("{TRAIN} --epochs 1 --force"));
    assert_eq!(desk.event_files(), [desk.path("run/tensorboard/mine.txt")]);

    std::fs::remove_dir_all(desk.path("run/tensorboard")).unwrap();
    std::fs::write(desk.path("run/tensorboard"), "no folder").unwrap();
    let (text, notes) = desk.both(&format!("{TRAIN} --epochs 1 --force --tensorboard"));
    assert!(text.contains("\nweights  hash "), "{text}");
    assert_eq!(notes.matches("note: nothing more is written for TensorBoard").count(), 1, "{notes}");
}

/// The first Ctrl-C says what it does and what a second one would.
#[cfg(unix)]
#[test]
fn an_interrupt_is_answered() {
    let desk = Desk::new();
    let mut command = desk.as_in_a_terminal(&format!("{TRAIN} --epochs 1000000"));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.by_ref().any(|line| line.unwrap().starts_with("epoch 2/")));
    let interrupt = format!("kill -INT {}", child.id());
    assert!(Command::new("sh").args(["-c", &interrupt]).status().unwrap().success());
    lines.for_each(drop);
    let output = child.wait_with_output().unwrap();
    let notes = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(75) && notes.starts_with("note: Ctrl-C: the running step ends"), "{notes}");
}

#[cfg(unix)]
mod terminal {
    use super::*;
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use rustix::termios::{Winsize, tcsetwinsize};
    use std::fs::File;
    use std::io::Read;

    /// What a terminal of so many columns is sent by a command that succeeds.
    fn seen(mut command: Command, columns: u16) -> String {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&controller, size).unwrap();
        let name = ptsname(&controller, Vec::new()).unwrap();
        let terminal = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        command.stdin(Stdio::null()).stdout(terminal.try_clone().unwrap()).stderr(terminal);
        let mut child = command.spawn().unwrap();
        // its ends of the terminal are the last ones
        drop(command);
        let (mut controller, mut bytes, mut some) = (File::from(controller), Vec::new(), [0; 4096]);
        // at the end Linux says EIO
        while let Ok(count @ 1..) = controller.read(&mut some) {
            bytes.extend(&some[..count]);
        }
        let text = String::from_utf8(bytes).unwrap();
        assert!(child.wait().unwrap().success(), "{text}");
        text
    }

    /// The bar each time it is drawn: what stands on a line before something else is drawn over it; without colours.
    fn frames(text: &str) -> Vec<String> {
        let text = text.replace("\r\n", "\n").replace("\x1b[32m", "").replace("\x1b[0m", "");
        let drawn = text.lines().flat_map(|line| line.split('\r').rev().skip(1).collect::<Vec<_>>());
        drawn
            .map(|frame| frame.trim_start_matches("\x1b[2K").to_owned())
            .filter(|frame| !frame.trim().is_empty())
            .collect()
    }

    #[test]
    fn a_bar_fits_its_terminal_and_goes_away() {
        let desk = Desk::new();
        for (columns, shown) in [(120, "images/s"), (80, "░"), (40, "loss "), (12, "epoch")] {
            let text = seen(desk.as_in_a_terminal(&format!("{TRAIN} --epochs 60 --force")), columns);
            let frames = frames(&text);
            assert!(frames.iter().any(|frame| frame.contains(shown)), "{columns}: {frames:?}");
            for frame in &frames {
                assert!(frame.chars().count() <= columns.into(), "{columns}: {frame:?}");
                assert!(!frame.contains(char::is_control), "{columns}: {frame:?}");
            }
            // every line that stays is whole
            let kept = text.replace("\r\n", "\n");
            let kept = kept.lines().map(|line| line.rsplit('\r').next().unwrap().trim_start_matches("\x1b[2K"));
            let epochs: Vec<&str> = kept.filter(|line| line.starts_with("epoch ")).collect();
            assert_eq!(epochs.len(), 60, "{epochs:?}");
            assert!(epochs.iter().all(|line| line.contains("val_accuracy") && line.ends_with(" s")), "{epochs:?}");
        }
    }

    #[test]
    fn colours_are_for_terminals_that_want_them() {
        let desk = Desk::new();
        let run = |variable: Option<(&str, &str)>, more: &str| {
            let mut command = desk.as_in_a_terminal(&format!("{TRAIN} --epochs 60 --force {more}"));
            command.envs(variable);
            seen(command, 80)
        };
        assert!(run(None, "").contains("\x1b[32m█"));
        // an empty NO_COLOR says nothing
        assert!(run(Some(("NO_COLOR", "")), "").contains("\x1b[32m█"));
        for variable in [("NO_COLOR", "1"), ("CLICOLOR", "0")] {
            let text = run(Some(variable), "");
            assert!(text.contains('█') && !text.contains("\x1b[3"), "{variable:?}: {text:?}");
        }
        let dumb = run(Some(("TERM", "dumb")), "").replace("\r\n", "\n");
        assert!(dumb.contains("\nepoch 60/60 ") && !dumb.contains(|c: char| c.is_control() && c != '\n'), "{dumb:?}");
        assert_eq!(run(None, "--quiet"), "");
    }
}
