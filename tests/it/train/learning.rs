//! What a network has learned, as `evaluate` and `predict` tell it.

use super::{CLASSES, Desk, SMALL, assert_close, drawing, sides};
use galaxy_gpu::data::write_hdf5;
use serde_json::{Value, json};

/// Training that learns the sides of 60 pictures within a few epochs.
const EASY: &str = "train --data data --model tiny.toml --augment off --batch 10 --learning-rate 0.01 --epochs 4 --out run --adapter 0 --json";

fn numbers(value: &Value) -> Vec<u64> {
    value.as_array().unwrap().iter().map(|number| number.as_u64().unwrap()).collect()
}

/// Checks that every score of an evaluation follows from its confusion matrix; returns the number of images.
fn assert_consistent(found: &Value) -> u64 {
    let rows: Vec<Vec<u64>> = found["confusion"].as_array().unwrap().iter().map(numbers).collect();
    let classes = found["per_class"].as_array().unwrap();
    assert!(rows.len() == classes.len() && rows.iter().all(|row| row.len() == rows.len()));
    let total: u64 = rows.iter().flatten().sum();
    let hits: u64 = (0..rows.len()).map(|class| rows[class][class]).sum();
    assert_close(&found["accuracy"], &json!(hits as f64 / total as f64), 1e-12);
    let ratio = |part: u64, whole: u64| json!(if whole == 0 { 0.0 } else { part as f64 / whole as f64 });
    for (class, scores) in classes.iter().enumerate() {
        let (support, hits) = (rows[class].iter().sum::<u64>(), rows[class][class]);
        let predicted: u64 = rows.iter().map(|row| row[class]).sum();
        assert_eq!(scores["support"], support);
        assert_close(&scores["recall"], &ratio(hits, support), 1e-12);
        assert_close(&scores["precision"], &ratio(hits, predicted), 1e-12);
        assert_close(&scores["f1"], &ratio(2 * hits, support + predicted), 1e-12);
    }
    assert_eq!(found["non_finite"], 0);
    total
}

#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn easy_pictures_are_learned_and_recognised() {
    let desk = Desk::new();
    desk.pictures(60);
    let run = desk.json(EASY);
    let best = &run["best"];
    assert!(best["val_accuracy"].as_f64().unwrap() > 0.9, "{run}");
    assert!(run["epochs"][3]["loss"].as_f64().unwrap() < 0.5 * run["epochs"][0]["loss"].as_f64().unwrap(), "{run}");

    let (text, notes) = desk.both("evaluate run --adapter 0 --data data --json");
    assert!(!notes.contains("note: "), "{notes}");
    let found: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(assert_consistent(&found), 12);
    assert_close(&found["accuracy"], &best["val_accuracy"], 1e-6);
    assert_close(&found["loss"], &best["val_loss"], 1e-4);
    let classes: Vec<&Value> = found["per_class"].as_array().unwrap().iter().map(|class| &class["name"]).collect();
    assert_eq!(classes, CLASSES);
    drawing(&desk.path("run/confusion_matrix.png"));
    predictions(&desk);
}

/// Pictures of both classes, of the network's size and of others, by their right names.
fn predictions(desk: &Desk) {
    let wide = image::RgbImage::from_fn(60, 40, |x, _| image::Rgb([if x < 30 { 30 } else { 200 }; 3]));
    wide.save(desk.path("wide.jpg")).unwrap();
    for (picture, index) in [("data/edge/004.png", 0), ("data/round/005.png", 1), ("wide.jpg", 1)] {
        let found = desk.json(&format!("predict run {picture} --json"));
        assert_eq!((&found["class"], &found["index"]), (&json!(CLASSES[index]), &json!(index)), "{picture}");
        let scores = found["probabilities"].as_object().unwrap();
        assert_eq!(scores.keys().collect::<Vec<_>>(), CLASSES);
        assert_eq!(scores[CLASSES[index]], found["confidence"]);
        assert!(found["confidence"].as_f64().unwrap() > 0.5);
        assert_close(&json!(scores.values().map(|score| score.as_f64().unwrap()).sum::<f64>()), &json!(1.0), 1e-5);
    }
    let text = desk.run("predict run data/edge/004.png");
    assert!(text.ends_with("This galaxy is most likely to be an edge.\n"), "{text}");
    assert!(text.lines().any(|line| line.starts_with("round ") && line.ends_with('%')), "{text}");
    let text = desk.run("predict run/weights/last.safetensors wide.jpg --device reference --last");
    assert!(text.ends_with("This galaxy is most likely to be a round.\n"), "{text}");
}

#[test]
fn scores_of_many_classes_follow_from_the_confusion_matrix() {
    let desk = Desk::new();
    let run = desk.json(&format!("{SMALL} --epochs 3 --device reference --json --no-report --out run"));
    let small = "--images 40 --size 16 --device reference";
    let last = desk.json(&format!("evaluate run {small} --last --json --out last.png"));
    assert_eq!(assert_consistent(&last), 10);
    assert_close(&last["loss"], &run["epochs"][2]["val_loss"], 1e-4);
    assert_close(&last["accuracy"], &run["epochs"][2]["val_accuracy"], 1e-6);
    drawing(&desk.path("last.png"));
    assert!(!desk.path("run/confusion_matrix.png").exists(), "--out names another place");
    // A batch that does not divide the images, and one that holds them all.
    let all = desk.json(&format!("evaluate run {small} --all --json --batch 7"));
    assert_eq!(assert_consistent(&all), 40);
    assert!(all["accuracy"].as_f64().unwrap() < 1.0, "too good to show anything");
    let at_once = desk.json(&format!("evaluate run {small} --all --json --batch 64"));
    assert_eq!(all["confusion"], at_once["confusion"]);
    let text = desk.run(&format!("evaluate run {small} --all"));
    let start = format!("accuracy {:.4} (95 % interval ", all["accuracy"].as_f64().unwrap());
    assert!(text.starts_with(&start) && text.contains(" on 40 images\n"), "{text}");
    assert!(text.lines().any(|line| line.starts_with("Barred Spiral Galaxy ") && line.ends_with('4')), "{text}");
    assert!(text.ends_with("confusion matrix drawn in run/confusion_matrix.png\n"), "{text}");
}

/// Lists the images from `first` on in `file`, the first `train` of them for the training.
fn write_split(desk: &Desk, file: &str, first: usize, train: usize) {
    let mut table = "index,ans,split\n".to_owned();
    for index in first..40 {
        table += &format!("{index},{},{}\n", index % 2, if index < first + train { "train" } else { "test" });
    }
    std::fs::write(desk.path(file), table).unwrap();
}

#[test]
fn a_given_split_is_kept_and_another_one_is_noted() {
    let desk = Desk::new();
    write_hdf5(&desk.path("sides.h5"), &sides(40)).unwrap();
    write_split(&desk, "mine.csv", 4, 20);
    write_split(&desk, "other.csv", 4, 21);
    let data = "--data sides.h5 --device reference";
    let text = desk
        .run(&format!("train {data} --split mine.csv --model tiny.toml --augment off --batch 6 --epochs 2 --out run"));
    assert!(text.contains("split    mine.csv: 20 to train, 16 to test\n"), "{text}");
    let (text, notes) = desk.both(&format!("evaluate run {data} --split mine.csv --json"));
    assert_eq!(assert_consistent(&serde_json::from_str(&text).unwrap()), 16);
    assert_eq!(notes, "");
    let note = "note: this is not the split the weights were trained with";
    for (more, images) in [("--split other.csv", 15), ("", 8)] {
        let (text, notes) = desk.both(&format!("evaluate run {data} --json {more}"));
        assert_eq!(assert_consistent(&serde_json::from_str(&text).unwrap()), images);
        assert!(notes.starts_with(note) && notes.lines().count() == 1, "{notes}");
    }
    assert_eq!(desk.both(&format!("evaluate run {data} --all --json")).1, "", "every image is no split");
}
