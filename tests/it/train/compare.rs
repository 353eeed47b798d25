//! Comparisons out of folders made by hand: numbers, intervals, warnings, and what is missing.

use super::{Desk, drawing};
use galaxy_gpu::data::ChosenBy;
use galaxy_gpu::kernels::Precision;
use galaxy_gpu::model::{Model, initialise};
use galaxy_gpu::train::history::{EpochRecord, History};
use galaxy_gpu::train::{Card, PREPROCESSING, Weights};
use serde_json::{Value, json};

/// Leaves a run of three epochs that differ by 0.1 in accuracy around `middle`.
fn make(desk: &Desk, name: &str, middle: f32, change: impl Fn(&mut Card)) {
    let record = |epoch: u32, val_accuracy, seconds| EpochRecord {
        epoch,
        loss: 1.0,
        accuracy: 0.5,
        val_loss: 1.5,
        val_accuracy,
        seconds,
    };
    let epochs = vec![record(1, middle - 0.1, 9.0), record(2, middle + 0.1, 2.0), record(3, middle, 4.0)];
    std::fs::create_dir_all(desk.path(&format!("{name}/weights"))).unwrap();
    History { epochs }.write(&desk.path(&format!("{name}/history.csv"))).unwrap();
    let mut card = Card {
        model: Model::preset("conv3").unwrap(),
        classes: ["smooth", "spiral"].map(String::from).to_vec(),
        height: 16,
        width: 16,
        preprocessing: PREPROCESSING.into(),
        data: "sky.h5".into(),
        seed: 7,
        split_hash: "aaaa".into(),
        validation: 0.1,
        chosen_by: ChosenBy::Validation,
        precision: Precision::F32,
        epochs: 2,
        step: 20,
        val_accuracy: Some(middle + 0.1),
        shaders: None,
    };
    change(&mut card);
    let network = card.model.build(16, 16, 2).unwrap();
    let tensors = network.parameters().enumerate().map(|(i, p)| initialise(p, i, card.seed)).collect();
    let weights = Weights { card, tensors };
    for file in ["best", "last"] {
        weights.save(&desk.path(&format!("{name}/weights/{file}.safetensors"))).unwrap();
    }
    let metrics = json!({
        "images": "test", "count": 200, "accuracy": middle, "accuracy_95": [middle - 0.05, middle + 0.05],
        "balanced_accuracy": 0.6, "macro_f1": 0.55, "loss": 1.25,
        "calibration": { "ece": 0.03, "nll": 1.2, "temperature": 1.1 },
    });
    std::fs::write(desk.path(&format!("{name}/metrics.json")), metrics.to_string()).unwrap();
}

fn mean(row: &Value, score: &str) -> f64 {
    row[score]["mean"].as_f64().unwrap_or_else(|| panic!("no {score} in {row}"))
}

#[test]
fn numbers_are_those_of_the_folders() {
    let desk = Desk::new();
    make(&desk, "a", 0.5, |_| ());
    make(&desk, "b", 0.75, |card| card.seed = 8);
    let found = desk.json("compare a b --json --csv table.csv --out curves.png");
    assert_eq!((&found["warnings"], &found["missing"]), (&json!([]), &json!([])));
    let [a, b] = [0, 1].map(|place| &found["runs"][place]);
    for (row, middle, name) in [(a, 0.5, "a"), (b, 0.75, "b")] {
        assert_eq!(row["run"], name);
        // the middles are exact in f32, the others are rounded to it
        assert_eq!(mean(row, "test_accuracy"), middle);
        assert!((mean(row, "val_accuracy") - middle - 0.1).abs() < 1e-7);
        assert_eq!((mean(row, "best_epoch"), mean(row, "seconds_per_epoch")), (2.0, 4.0), "the median of 9, 2 and 4");
        assert_eq!((mean(row, "nll"), mean(row, "ece"), mean(row, "macro_f1")), (1.2, 0.03, 0.55));
        let interval = row["test_accuracy"]["interval_95"][0].as_f64().unwrap();
        assert!((interval - middle + 0.05).abs() < 1e-7);
        assert_eq!((&row["model"], &row["epochs"], &row["precision"]), (&json!("conv3"), &json!("3"), &json!("f32")));
        assert_eq!((&row["split_hash"], &row["data_hash"]), (&json!("aaaa"), &Value::Null), "no checkpoint says it");
    }
    let parameters = Model::preset("conv3").unwrap().build(16, 16, 2).unwrap().parameter_count();
    assert_eq!(a["parameters"], parameters.to_string());
    assert_ne!(a["weights_hash"], b["weights_hash"]);
    drawing(&desk.path("curves.png"));
    let table = std::fs::read_to_string(desk.path("table.csv")).unwrap();
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    let place = reader.headers().unwrap().iter().position(|name| name == "test_accuracy").unwrap();
    let column: Vec<String> = reader.records().map(|row| row.unwrap()[place].to_owned()).collect();
    assert_eq!(column, ["0.5", "0.75"]);
    let text = desk.run("compare a b");
    assert!(text.starts_with(&format!("all have model conv3, parameters {parameters}, data sky.h5, ")), "{text}");
    assert!(text.contains("0.7500 (0.7000 to 0.8000)") && text.contains("0.8500"), "{text}");
}

#[test]
fn unfair_comparisons_are_marked() {
    let desk = Desk::new();
    make(&desk, "a", 0.5, |_| ());
    make(&desk, "seed", 0.5, |card| card.seed = 1);
    make(&desk, "split", 0.5, |card| card.split_hash = "bbbb".into());
    make(&desk, "data", 0.5, |card| card.data = "other.h5".into());
    make(&desk, "chosen", 0.5, |card| card.chosen_by = ChosenBy::Test);
    make(&desk, "classes", 0.5, |card| card.classes[1] = "bar".into());
    make(&desk, "unmeasured", 0.5, |_| ());
    std::fs::remove_file(desk.path("unmeasured/metrics.json")).unwrap();
    let warnings = |name: &str| desk.json(&format!("compare a {name} --json"))["warnings"].clone();
    assert_eq!(warnings("seed"), json!([]));
    for (name, part) in [
        ("split", "tested on different images"),
        ("data", "trained on different data"),
        ("chosen", "the test set chose the best epoch of chosen"),
        ("classes", "have different classes"),
        ("unmeasured", "some have not ended"),
    ] {
        let found = warnings(name);
        let [Value::String(only)] = &found.as_array().unwrap()[..] else { panic!("{name}: {found}") };
        assert!(only.contains(part), "{only}");
        let (_, notes) = desk.both(&format!("compare a {name}"));
        assert!(notes.contains(&format!("note: {only}")), "{notes}");
    }
}

#[test]
fn missing_numbers_are_named_and_the_rest_is_shown() {
    let desk = Desk::new();
    make(&desk, "a", 0.5, |_| ());
    make(&desk, "torn", 0.25, |_| ());
    std::fs::write(desk.path("torn/weights/best.safetensors"), "torn").unwrap();
    std::fs::remove_file(desk.path("torn/weights/last.safetensors")).unwrap();
    std::fs::write(desk.path("torn/metrics.json"), "{\"accuracy\": \"high\"}").unwrap();
    let found = desk.json("compare a torn --json --out curves.png");
    let row = &found["runs"][1];
    assert_eq!(
        (&row["model"], &row["test_accuracy"], &row["weights_hash"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    assert!((mean(row, "val_accuracy") - 0.35).abs() < 1e-7);
    let missing = found["missing"].to_string();
    for part in
        ["best.safetensors", "no weights that say", "metrics.json: these are no scores of a run", "no metrics.json"]
    {
        assert!(missing.contains(part), "{part} is not in {missing}");
    }
    let text = desk.run("compare a torn");
    let line = text.lines().find(|line| line.starts_with("torn ")).unwrap();
    assert!(line.contains(" - ") && line.contains("0.3500"), "{line}");

    std::fs::create_dir(desk.path("empty")).unwrap();
    desk.refuses("compare a empty", &["empty: it holds no run"]);
    desk.refuses("compare a nowhere", &["nowhere: it holds no run"]);
    desk.refuses("compare a --out curves.gif", &["--out is \"curves.gif\""]);
    desk.refuses("compare a --csv nowhere/table.csv", &["its folder does not exist"]);
    std::fs::write(desk.path("empty/repeat.json"), "{\"program\":\"1\",\"seeds\":[],\"settings\":{}}").unwrap();
    desk.refuses("compare empty", &["it has 0 seeds"]);
    std::fs::write(desk.path("empty/repeat.json"), "{\"program\":\"1\",\"seeds\":[4],\"settings\":{}}").unwrap();
    desk.refuses("compare empty", &["none of its seeds has a run", "--resume"]);
}
