//! `evaluate`: classes are matched by name, and numbers come first.

use crate::common::desk::Desk;
use galaxy_gpu::data::{Dataset, write_hdf5};
use std::path::PathBuf;

/// Six simulated galaxies of each class.
const TRAIN: &str = "train --device reference --model tiny.toml --size 16 --images 60 --epochs 2 --batch 17";

/// A data set of the simulated images, with classes or labels changed.
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
    let (numbers, notes) = desk.both("evaluate run --device reference --data same.h5 --all --json");
    assert!(!notes.contains("another order"), "{notes}");
    let (matched, notes) = desk.both("evaluate run --device reference --data reversed.h5 --all --json");
    assert!(notes.contains("note: the data has the network's classes in another order"), "{notes}");
    assert_eq!(numbers, matched);
    std::fs::remove_file(desk.path("run/confusion_matrix.png")).unwrap();
    desk.refuses("evaluate run --device reference --data strange.h5 --all", &["Teapot", "Cigar", "--class-names"]);
    assert!(!desk.path("run/confusion_matrix.png").exists());
}

#[test]
fn a_picture_that_cannot_be_drawn_costs_no_numbers() {
    let desk = Desk::new();
    desk.run(&format!("{TRAIN} --out run --no-report"));
    std::fs::create_dir_all(desk.path("run/confusion_matrix.png")).unwrap();
    let (numbers, notes) = desk.both("evaluate run --device reference --size 16 --images 60 --json");
    assert!(serde_json::from_str::<serde_json::Value>(&numbers).unwrap()["accuracy"].is_number());
    assert!(notes.contains("note: no confusion matrix is drawn: "), "{notes}");
}

#[test]
fn an_output_that_cannot_be_written_is_refused_before_work_begins() {
    let desk = Desk::new();
    desk.refuses("evaluate tiny.toml --out matrix.jpg", &["--out is \"matrix.jpg\"", "ends in .png or .svg or .pdf"]);
    desk.refuses("evaluate tiny.toml --out nowhere/matrix.png", &["its folder does not exist"]);
    std::fs::create_dir(desk.path("folder.png")).unwrap();
    desk.refuses("evaluate tiny.toml --out folder.png", &["folder.png: it is a folder"]);
}
