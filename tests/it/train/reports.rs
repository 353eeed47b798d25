//! What a run folder holds besides weights, and what becomes of a run whose report or reader fails.

use crate::common::desk::{Desk, deep};
use galaxy_gpu::train::Weights;

/// Six simulated galaxies of each class.
const TRAIN: &str = "train --device reference --model tiny.toml --size 16 --images 60 --epochs 2 --batch 17";

#[test]
fn a_run_says_what_its_weights_are_and_force_replaces_all_of_it() {
    let desk = Desk::new();
    desk.run(&format!("{TRAIN} --out run"));
    let last = Weights::load(&desk.path("run/weights/last.safetensors")).unwrap().card;
    assert_eq!((last.epochs, last.step), (2, 6));
    assert!(last.val_accuracy.is_some());
    let made =
        ["confusion_matrix.png", "reliability.png", "mistakes.png", "samples.png", "augmented.png", "report.html"];
    for name in made.iter().chain(&["curves.png", "log.txt", "history.csv", "metrics.json"]) {
        assert!(desk.path("run").join(name).exists(), "{name}");
    }
    let page = std::fs::read_to_string(desk.path("run/report.html")).unwrap();
    let command = "galaxy-gpu train --images 60 --size 16 --model tiny.toml --epochs 2 --batch 17 --device reference";
    assert!(page.replace("<span>", "").replace("</span>", "").contains(command), "how to make it again");
    assert!(page.contains("has no clock that tells kernels apart"), "the twins have none");

    desk.refuses(&format!("{TRAIN} --out run"), &["run: it already holds a run", "--out", "--force"]);
    desk.run(&format!("{TRAIN} --out run --force --seed 5 --no-report"));
    for name in made {
        assert!(!desk.path("run").join(name).exists(), "{name} of another run's weights");
    }
    let log = std::fs::read_to_string(desk.path("run/log.txt")).unwrap();
    assert_eq!(log.matches("epoch 1/2 ").count(), 1, "the log of this run alone: {log}");
    let (said, _) = desk.both("report run --device reference --format pdf");
    let charts = ["curves", "confusion_matrix", "reliability"].map(|name| desk.path("run").join(format!("{name}.pdf")));
    let vectors = || charts.each_ref().map(|path| std::fs::read(path).unwrap());
    let first = vectors();
    assert!(first.iter().all(|bytes| bytes.starts_with(b"%PDF-")) && desk.path("run/confusion_matrix.png").exists());
    desk.run("report run --device reference --format pdf");
    assert!(first == vectors(), "the same run, the same bytes");
    assert!(said.contains("run/report.html") && desk.path("run/report.html").exists(), "{said}");
    assert_eq!(Weights::load(&desk.path("run/weights/best.safetensors")).unwrap().card.seed, 5);
    desk.run(&format!("{TRAIN} --out run --force --no-report"));
    assert!(charts.iter().all(|path| !path.exists()), "they are of another run's weights");
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

/// A reader that leaves early closes the pipe; the training goes on and everything is saved.
#[cfg(unix)]
#[test]
fn a_reader_that_leaves_ends_no_training() {
    let desk = Desk::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = desk.program(&format!("{TRAIN} --out run")).stdout(writer).status().unwrap();
    assert!(status.success(), "{status}");
    assert_eq!(Weights::load(&desk.path("run/weights/last.safetensors")).unwrap().card.epochs, 2);
    assert!(desk.path("run/curves.png").is_file());
}

#[test]
fn steps_that_change_nothing_are_reported() {
    let desk = Desk::new();
    let (_, notes) = desk.both(&format!("{TRAIN} --out run"));
    assert!(!notes.contains("changed nothing"), "{notes}");
    // The first step's parameters give scores beyond f32 once they meet a hidden layer's.
    desk.write("tiny.toml", deep(40));
    let (_, notes) = desk.both(&format!("{TRAIN} --out deep --learning-rate 1"));
    assert!(notes.contains("steps changed nothing, as their loss or gradient was not finite"), "{notes}");
}
