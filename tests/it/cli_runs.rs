//! Runs as a user meets them: what is refused before work begins, and what survives an early end.

use crate::common::desk::{Desk, deep};
use galaxy_gpu::data::{Dataset, write_hdf5};
use galaxy_gpu::train::Weights;
use std::path::{Path, PathBuf};

/// Six simulated galaxies of each class.
const TRAIN: &str = "train --device cpu --model tiny.toml --size 16 --images 60 --epochs 2 --batch 17";

fn card(path: &Path) -> galaxy_gpu::train::Card {
    Weights::load(path).unwrap().card
}

#[test]
fn a_run_says_what_its_weights_are_and_force_replaces_all_of_it() {
    let desk = Desk::new();
    desk.run(&format!("{TRAIN} --out run"));
    let last = card(&desk.path("run/weights/last.safetensors"));
    assert_eq!((last.epochs, last.step), (2, 6));
    assert!(last.val_accuracy.is_some());
    let made =
        ["confusion_matrix.png", "reliability.png", "mistakes.png", "samples.png", "augmented.png", "report.html"];
    for name in made.iter().chain(&["curves.png", "log.txt", "history.csv", "metrics.json"]) {
        assert!(desk.path("run").join(name).exists(), "{name}");
    }
    let page = std::fs::read_to_string(desk.path("run/report.html")).unwrap();
    let command = "galaxy-gpu train --images 60 --size 16 --model tiny.toml --epochs 2 --batch 17 --device cpu";
    assert!(page.replace("<span>", "").replace("</span>", "").contains(command), "how to make it again");
    assert!(page.contains("has no clock that tells kernels apart"), "the twins have none");

    desk.refuses(&format!("{TRAIN} --out run"), &["run: it already holds a run", "--force"]);
    desk.run(&format!("{TRAIN} --out run --force --seed 5 --no-report"));
    for name in made {
        assert!(!desk.path("run").join(name).exists(), "{name} of another run's weights");
    }
    let log = std::fs::read_to_string(desk.path("run/log.txt")).unwrap();
    assert_eq!(log.matches("epoch 1/2 ").count(), 1, "the log of this run alone: {log}");
    let (said, _) = desk.both("report run --device cpu");
    assert!(said.contains("run/report.html") && desk.path("run/report.html").exists(), "{said}");
    assert_eq!(card(&desk.path("run/weights/best.safetensors")).seed, 5);
}

#[test]
fn a_report_that_cannot_be_written_fails_no_training() {
    let desk = Desk::new();
    for name in ["report.html", "mistakes.png", "log.txt"] {
        std::fs::create_dir_all(desk.path("run").join(name)).unwrap();
    }
    let (said, noted) = desk.both(&format!("{TRAIN} --out run"));
    assert!(said.contains("test     accuracy") && desk.path("run/metrics.json").exists(), "{said}");
    for part in ["there is no report: ", "mistakes.png is not drawn: ", "log.txt: it cannot be written"] {
        assert!(noted.contains(part), "{part} in {noted}");
    }
    assert!(desk.path("run/samples.png").exists(), "the other pictures are there");
}

#[test]
fn what_cannot_work_is_refused_before_work_begins() {
    let desk = Desk::new();
    desk.refuses(&format!("{TRAIN} --out tiny.toml"), &["tiny.toml: it is no folder", "--out"]);
    desk.refuses(&format!("{TRAIN} --out tiny.toml/run --force"), &["tiny.toml: it is no folder"]);
    desk.refuses(&format!("{TRAIN} --class-names a,b"), &["--class-names is given without --data"]);
    desk.refuses("evaluate tiny.toml --out matrix.jpg", &["--out is \"matrix.jpg\"", "ends in .png"]);
    desk.refuses("evaluate tiny.toml --out nowhere/matrix.png", &["its folder does not exist"]);
    std::fs::create_dir(desk.path("folder.png")).unwrap();
    desk.refuses("evaluate tiny.toml --out folder.png", &["folder.png: it is a folder"]);
}

/// No machine has memory for 65536 images of this size.
#[cfg(target_os = "linux")]
#[test]
fn twins_that_do_not_fit_into_memory_are_refused() {
    let desk = Desk::new();
    let line = "train --device cpu --model conv3 --size 512 --images 20 --batch 65536 --out run";
    desk.refuses(line, &["--device cpu needs", "of memory", "smaller --batch"]);
    assert!(!desk.path("run").exists());
}

/// A data set of the simulated images whose classes have these names, and labels to match.
fn renamed(desk: &Desk, name: &str, rename: impl Fn(&mut Dataset)) -> PathBuf {
    let settings = galaxy_gpu::data::simulate::Settings { images: 60, size: 16, seed: 1 };
    let mut dataset = galaxy_gpu::data::simulate::simulate(&settings).unwrap();
    rename(&mut dataset);
    let path = desk.path(name);
    write_hdf5(&path, &dataset).unwrap();
    path
}

#[test]
fn evaluation_matches_classes_by_name() {
    let desk = Desk::new();
    renamed(&desk, "same.h5", |_| {});
    renamed(&desk, "reversed.h5", |dataset| {
        dataset.classes.reverse();
        dataset.labels.iter_mut().for_each(|label| *label = 9 - *label);
    });
    renamed(&desk, "strange.h5", |dataset| dataset.classes[3] = "Teapot".into());
    desk.run(&format!("{TRAIN} --out run --learning-rate 0.01"));
    let (numbers, notes) = desk.both("evaluate run --device cpu --data same.h5 --all --json");
    assert!(!notes.contains("another order"), "{notes}");
    let (matched, notes) = desk.both("evaluate run --device cpu --data reversed.h5 --all --json");
    assert!(notes.contains("note: the data has the network's classes in another order"), "{notes}");
    assert_eq!(numbers, matched);
    std::fs::remove_file(desk.path("run/confusion_matrix.png")).unwrap();
    desk.refuses("evaluate run --device cpu --data strange.h5 --all", &["Teapot", "Cigar", "--class-names"]);
    assert!(!desk.path("run/confusion_matrix.png").exists());
}

#[test]
fn a_picture_that_cannot_be_drawn_costs_no_numbers() {
    let desk = Desk::new();
    desk.run(&format!("{TRAIN} --out run --no-report"));
    std::fs::create_dir_all(desk.path("run/confusion_matrix.png")).unwrap();
    let (numbers, notes) = desk.both("evaluate run --device cpu --size 16 --images 60 --json");
    assert!(serde_json::from_str::<serde_json::Value>(&numbers).unwrap()["accuracy"].is_number());
    assert!(notes.contains("note: no confusion matrix is drawn: "), "{notes}");
}

/// A reader that leaves early closes the pipe; the training goes on and everything is saved.
#[cfg(unix)]
#[test]
fn a_reader_that_leaves_ends_no_training() {
    let desk = Desk::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = desk.program(&format!("{TRAIN} --out run")).stdout(writer).status().unwrap();
    assert!(status.success(), "{status}");
    assert_eq!(card(&desk.path("run/weights/last.safetensors")).epochs, 2);
}

#[test]
fn steps_that_change_nothing_are_told() {
    let desk = Desk::new();
    let (_, notes) = desk.both(&format!("{TRAIN} --out run"));
    assert!(!notes.contains("changed nothing"), "{notes}");
    // The first step's parameters give scores beyond f32 once they meet a hidden layer's.
    desk.write("tiny.toml", deep(40));
    let (_, notes) = desk.both(&format!("{TRAIN} --out deep --learning-rate 1"));
    assert!(notes.contains("steps changed nothing, as their loss or gradient was not finite"), "{notes}");
}

/// The first Ctrl-C ends after the running step with everything saved; what was not measured is not claimed.
#[cfg(unix)]
#[test]
fn a_stopped_run_claims_nothing_for_its_last_weights() {
    let desk = Desk::new();
    let line = format!("{TRAIN} --out run --epochs 1000000 --steps-per-submit 1").replace("--epochs 2 ", "");
    let mut child = desk.program(&line).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    // Two epochs have ended, and the program listens.
    assert!(lines.by_ref().any(|line| line.unwrap().starts_with("epoch 2/")));
    // the shell's own kill: a small system has no program of that name
    let interrupt = format!("kill -INT {}", child.id());
    assert!(std::process::Command::new("sh").args(["-c", &interrupt]).status().unwrap().success());
    let said: String = lines.map(|line| line.unwrap() + "\n").collect();
    assert!(child.wait().unwrap().success());
    assert!(said.contains("stopped by Ctrl-C"), "{said}");
    let history = galaxy_gpu::train::history::History::read(&desk.path("run/history.csv")).unwrap();
    let (last, whole) = (card(&desk.path("run/weights/last.safetensors")), history.epochs.len() as u32);
    // Within an epoch, behind its last step but before it was measured, or at its end.
    assert!((3 * whole..=3 * whole + 3).contains(&last.step), "step {} of {whole} epochs", last.step);
    assert_eq!(last.epochs, last.step / 3);
    assert_eq!(last.val_accuracy.is_some(), last.step == 3 * whole);
}
