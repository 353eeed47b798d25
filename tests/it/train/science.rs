//! Honest numbers: which side chooses, which is measured, how sure one may be, and what a class counts.

use super::{Desk, SMALL, assert_close, sides};
use crate::common;
use galaxy_gpu::data::write_hdf5;
use galaxy_gpu::engine::{CpuEngine, Engine, GpuEngine};
use galaxy_gpu::kernels::StepParams;
use galaxy_gpu::model::{Model, initialise};
use galaxy_gpu::plan::{Plan, Profile, Program};
use galaxy_gpu::train::history::{EpochRecord, History};
use galaxy_gpu::train::metrics::wilson_interval;
use galaxy_gpu::train::{Adam, Session, Setup, Weights};
use serde_json::{Value, json};

/// Twelve simulated galaxies of each of ten classes: 70 to train, 30 to validate and 20 to test.
const THREE: &str = "train --images 120 --size 16 --batch 10 --model tiny.toml --device reference --epochs 3 --validation 0.25 \
                     --learning-rate 0.01 --augment off";

fn read(desk: &Desk, path: &str) -> Value {
    serde_json::from_slice(&std::fs::read(desk.path(path)).unwrap()).unwrap()
}

/// Apart from the time they took.
fn history(desk: &Desk, run: &str) -> Vec<EpochRecord> {
    let history = History::read(&desk.path(&format!("{run}/history.csv"))).unwrap();
    history.epochs.into_iter().map(|record| EpochRecord { seconds: 0.0, ..record }).collect()
}

#[test]
fn the_validation_set_chooses_and_the_test_set_is_measured_at_the_end() {
    let desk = Desk::new();
    let run = desk.json(&format!("{THREE} --json --out run"));
    let split = &run["split"];
    let sizes = ["train", "validation", "test"].map(|side| split[side].as_u64().unwrap());
    assert_eq!((sizes, &split["chosen_by"]), ([70, 30, 20], &json!("validation")));
    // accuracies are shares of the 30 images that choose, and of the 20 of the test
    for record in history(&desk, "run") {
        let hits = f64::from(record.val_accuracy) * 30.0;
        assert!((hits - hits.round()).abs() < 1e-4, "{record:?}");
    }
    let found = &run["evaluation"];
    assert_eq!((&found["images"], &found["count"], &found["caveats"]), (&json!("test"), &json!(20), &json!([])));
    let confusion: Vec<Vec<u64>> = serde_json::from_value(found["confusion"].clone()).unwrap();
    let hits = (0..10).map(|class| confusion[class][class]).sum();
    assert_eq!(confusion.iter().flatten().sum::<u64>(), 20);
    let (low, high) = wilson_interval(hits, 20);
    assert_eq!(found["accuracy_95"], json!([low, high]));
    // each class has two test images, so that accuracy is balanced
    assert_close(&found["balanced_accuracy"], &found["accuracy"], 1e-9);
    let calibration = &found["calibration"];
    let fitted = (&calibration["fitted_on"], &calibration["fitted_images"], &calibration["bins"]);
    assert_eq!(fitted, (&json!("validation"), &json!(30), &json!(15)));
    // one takes f32's probabilities as they are, the other divides them by their sum
    assert_close(&calibration["nll"], &found["loss"], 1e-6);
    assert!(calibration["temperature"].as_f64().unwrap() > 0.05, "{found}");

    assert_eq!(&read(&desk, "run/metrics.json"), found);
    let best = Weights::load(&desk.path("run/weights/best.safetensors")).unwrap().card;
    assert_eq!((best.validation, json!(best.chosen_by)), (0.25, json!("validation")));
    assert_eq!((&run["best"]["epoch"], &found["epochs"]), (&json!(best.epochs), &json!(best.epochs)));
    // `evaluate` draws the same sides again, and finds the same
    let (text, notes) = desk.both("evaluate run --images 120 --size 16 --device reference --json --batch 10");
    assert_eq!((&serde_json::from_str::<Value>(&text).unwrap(), &notes[..]), (found, ""));
}

#[test]
fn a_run_whose_test_set_chooses_says_so() {
    let desk = Desk::new();
    let text = desk.run(&format!("{SMALL} --device reference --epochs 2 --out run"));
    assert!(Desk::said(&text, "best ").ends_with(", chosen by the test set"), "{text}");
    assert!(Desk::said(&text, "test ").starts_with("accuracy 0."), "{text}");
    let chose = "these images also chose the best epoch";
    assert!(text.contains(chose) && text.contains("the temperature was fitted on the same images"), "{text}");
    let metrics = read(&desk, "run/metrics.json");
    assert_eq!((&metrics["chosen_by"], &metrics["caveats"].as_array().unwrap().len()), (&json!("test"), &2));
    assert_eq!(
        (&metrics["calibration"]["fitted_on"], &metrics["calibration"]["fitted_images"]),
        (&json!("test"), &json!(10))
    );
    assert_eq!(json!(Weights::load(&desk.path("run/weights/best.safetensors")).unwrap().card.chosen_by), "test");
    let small = "--images 40 --size 16 --device reference";
    assert_eq!(desk.json(&format!("evaluate run {small} --batch 10 --json")), metrics);
    // weights that were not chosen, and images that are no side
    let last = desk.run(&format!("evaluate run {small} --last"));
    assert!(!last.contains(chose) && last.contains("fitted on 10 test images"), "{last}");
    let all = desk.run(&format!("evaluate run {small} --all"));
    assert!(all.contains("all images are measured") && !all.contains(chose), "{all}");
    let text = desk.run(&THREE.replace("--epochs 3", "--epochs 1"));
    assert!(text.contains("70 to train, 30 to validate, 20 to test\n"), "{text}");
    assert!(text.contains(", chosen by the validation set\n") && !text.contains("note that"), "{text}");
}

/// Runs on the same training and validation images, with other test images, are the same.
#[test]
fn test_images_decide_nothing() {
    let desk = Desk::new();
    write_hdf5(&desk.path("sides.h5"), &sides(60)).unwrap();
    let word = |index: usize| ["train", "train", "train", "val", "val", ""][index / 8];
    let run = |name: &str, tests: std::ops::Range<usize>| {
        let side = |index| if tests.contains(&index) { "test" } else { word(index) };
        let rows = (0..48).chain(tests.clone().filter(|&index| index >= 48)).filter(|&index| !side(index).is_empty());
        let text: String = rows.map(|index| format!("{index},{},{}\n", index % 2, side(index))).collect();
        std::fs::write(desk.path("split.csv"), format!("index,ans,split\n{text}")).unwrap();
        let line =
            "--data sides.h5 --split split.csv --model tiny.toml --batch 6 --device reference --epochs 3 --json --out";
        let found = desk.json(&format!("train {line} {name}"));
        assert_eq!(found["split"]["chosen_by"], "validation");
        let weights = Weights::load(&desk.path(&format!("{name}/weights/best.safetensors"))).unwrap();
        (history(&desk, name), weights.hash(), found["weights_hash"].clone(), found["split"]["hash"].clone(), found)
    };
    let (a, b) = (run("a", 40..48), run("b", 48..55));
    assert!((&a.0, &a.1, &a.2) == (&b.0, &b.1, &b.2));
    assert_ne!(a.3, b.3, "they are two splits all the same");
    assert_eq!((&a.4["evaluation"]["count"], &b.4["evaluation"]["count"]), (&json!(8), &json!(7)));
    desk.refuses(
        "train --data sides.h5 --split split.csv --validation 0.1 --model tiny.toml --device reference",
        &["--validation is 0.1", "split.csv has 16 validation images"],
    );
}

#[test]
fn a_split_that_is_written_down_is_that_of_the_training() {
    let desk = Desk::new();
    write_hdf5(&desk.path("sides.h5"), &sides(60)).unwrap();
    let split = desk.json("data split sides.h5 --seed 3 --validation 0.25 --out split.csv --json");
    assert_eq!((&split["train"], &split["validation"], &split["test"]), (&json!(36), &json!(12), &json!(12)));
    assert_eq!((&split["patches"], &split["moved"]), (&json!(0), &json!(0)));
    let train = |more: &str| {
        let line = "train --data sides.h5 --model tiny.toml --device reference --epochs 1 --seed 3 --json";
        let found = desk.json(&format!("{line} {more}"));
        (found["weights_hash"].clone(), found["split"]["hash"].clone())
    };
    let drawn = train("--validation 0.25");
    assert_eq!(drawn.1, split["hash"]);
    assert_eq!(drawn, train("--split split.csv"));
    desk.refuses("data split sides.h5 --out split.csv", &["split.csv: it exists already", "--force"]);
    let text = desk.run("data split sides.h5 --out split.csv --force");
    assert!(text.starts_with("20% of each class drawn with seed 0: 48 to train, 12 to test\nhash "), "{text}");
    assert_eq!(std::fs::read_to_string(desk.path("split.csv")).unwrap().matches(",test\n").count(), 12);
}

#[test]
fn a_run_resumes_with_its_validation_set_and_class_weights() {
    let desk = Desk::new();
    let settings = format!("{THREE} --class-weights 1,2,1,1,1,1,1,1,1,0.5").replace("--epochs 3", "");
    let text = desk.run(&format!("{settings} --epochs 4 --out whole"));
    assert!(text.contains(", class weights 1,2,1,1,1,1,1,1,1,0.5\n"), "{text}");
    desk.run(&format!("{settings} --epochs 2 --out run"));
    assert!(desk.path("run/metrics.json").exists());
    for (option, parts) in [
        ("--validation 0.1", ["--validation is 0.1", "0.25"]),
        ("--validation 0", ["--validation is 0", "0.25"]),
        ("--class-weights none", ["--class-weights is none", "1,2,1,1,1,1,1,1,1,0.5"]),
        ("--class-weights balanced", ["--class-weights is balanced", "1,2,1,1,1,1,1,1,1,0.5"]),
    ] {
        desk.refuses(&format!("train --resume run {option}"), &parts);
    }
    desk.run("train --resume run --epochs 4 --validation 0.25 --class-weights 1,2,1,1,1,1,1,1,1,0.5");
    assert_eq!(history(&desk, "run"), history(&desk, "whole"));
    for file in ["weights/best.safetensors", "weights/last.safetensors", "metrics.json"] {
        let bytes = |run: &str| std::fs::read(desk.path(run).join(file)).unwrap();
        assert!(bytes("run") == bytes("whole"), "{file}");
    }
    // simulated classes are equally frequent: balance changes nothing, other weights do
    let hash = |more: &str| desk.json(&format!("{THREE} --json {more}"))["weights_hash"].clone();
    let none = hash("");
    assert_eq!(none, hash("--class-weights balanced"));
    assert_ne!(none, hash("--class-weights 1,1,1,1,1,1,1,1,1,1.5"));
    desk.refuses(&format!("{THREE} --class-weights 1,2"), &["--class-weights is 2 numbers", "10 numbers"]);
    desk.refuses(&format!("{THREE} --class-weights 1,x"), &["--class-weights", "W1,W2"]);
    desk.refuses(&format!("{THREE} --class-weights -1,2"), &["--class-weights", "from 0 to"]);
}

/// Keras's `class_weight`: losses are weighted, summed and divided by the number of images; what is measured is not weighted.
fn class_weights_match_keras(open: &dyn Fn(Plan) -> Box<dyn Engine>, profile: &Profile) {
    let dataset = sides(8);
    let network = Model::smallest(4).build(16, 16, 2).unwrap();
    let start: Vec<Vec<f32>> = network.parameters().enumerate().map(|(i, p)| initialise(p, i, 5)).collect();
    let session = |class_weights, order: &[u32]| {
        let setup = Setup { training: true, class_weights, ..Setup::inference(4) };
        let mut session = Session::new(&network, &dataset, &setup, profile, |plan| Ok(open(plan))).unwrap();
        session.set_parameters(&start).unwrap();
        session.set_order(order).unwrap();
        session
    };
    let step = |session: &mut Session, count| {
        let mut arrived = session.run(Program::Train, &[StepParams { count, ..Adam::default().params(0) }]).unwrap();
        arrived.extend(session.wait().unwrap());
        assert_eq!(arrived.len(), 1);
        arrived[0]
    };
    let close = |a: f64, b: f64| assert!((a - b).abs() <= 1e-4 * b.abs(), "{a} and {b}");

    // images 0 to 3 have the labels 0 1 0 1
    let mut weighted = session(Some(vec![0.5, 3.0]), &[0, 1, 2, 3]);
    let measured = f64::from(weighted.infer(0, 4, 1).unwrap().loss());
    let probabilities = weighted.probabilities().unwrap();
    let losses: Vec<f64> = (0..4).map(|i| -f64::from(probabilities[2 * i + i % 2]).ln()).collect();
    close(measured, losses.iter().sum::<f64>() / 4.0);
    // the metrics hold the sum over the images
    let first = step(&mut weighted, 4);
    close(f64::from(first.loss), 0.5 * (losses[0] + losses[2]) + 3.0 * (losses[1] + losses[3]));
    assert_eq!(first.count, 4.0);
    let after = weighted.infer(0, 4, 1).unwrap().loss();
    let probabilities = weighted.probabilities().unwrap();
    let losses = (0..4).map(|i| -f64::from(probabilities[2 * i + i % 2]).ln());
    close(f64::from(after), losses.sum::<f64>() / 4.0);

    // 3 (g1 + g3) / 4 is one and a half times (g1 + g3) / 2; divided by the sum of weights they would be equal
    let of_four = step(&mut session(Some(vec![0.0, 3.0]), &[0, 1, 2, 3]), 4);
    let of_two = step(&mut session(None, &[1, 3]), 2);
    close(f64::from(of_four.gradient_squares), 2.25 * f64::from(of_two.gradient_squares));
    let setup = Setup { training: true, class_weights: Some(vec![1.0; 3]), ..Setup::inference(4) };
    let refused = Session::new(&network, &dataset, &setup, profile, |plan| Ok(open(plan))).err().unwrap().to_string();
    assert!(refused.contains("--class-weights is 3 numbers"), "{refused}");
}

#[test]
fn class_weights_match_keras_on_the_twins() {
    class_weights_match_keras(&|plan| Box::new(CpuEngine::<f32>::new(plan)), &Profile::cpu());
}

#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn class_weights_match_keras_on_the_adapter() {
    let gpu = common::gpu();
    class_weights_match_keras(&|plan| Box::new(GpuEngine::new(&gpu, plan, false).unwrap()), gpu.profile());
}
