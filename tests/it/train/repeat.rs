//! Series of trainings: each seed is the training it would be alone, and what they vary by is right.

use super::{Desk, SMALL, drawing};
use galaxy_gpu::data::{Split, simulate};
use galaxy_gpu::train::history::History;
use serde_json::{Value, json};

/// What must be the same for a training alone and in a series.
fn files(desk: &Desk, run: &str) -> [Vec<u8>; 3] {
    let weights = ["best", "last"].map(|name| format!("{run}/weights/{name}.safetensors"));
    let [best, last] = weights.map(|name| std::fs::read(desk.path(&name)).unwrap());
    [best, last, std::fs::read(desk.path(&format!("{run}/metrics.json"))).unwrap()]
}

fn read(desk: &Desk, name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(desk.path(name)).unwrap()).unwrap()
}

#[test]
fn every_seed_is_the_training_it_is_alone() {
    let desk = Desk::new();
    let line = format!("{SMALL} --epochs 2 --device reference --validation 0.2");
    let (text, notes) = desk.both(&format!("{line} --seed 3 --repeat 3 --out series"));
    assert!(text.starts_with("seed     3, 1 of 3\ndata ") && text.contains("\nseed     5, 3 of 3\n"), "{text}");
    assert!(!notes.contains("resume"), "{notes}");
    for seed in [3, 4, 5] {
        desk.run(&format!("{line} --seed {seed} --out alone-{seed}"));
        assert!(files(&desk, &format!("series/seed-{seed}")) == files(&desk, &format!("alone-{seed}")), "{seed}");
    }
    let found = read(&desk, "series/repeat.json");
    assert_eq!(found["seeds"], json!([3, 4, 5]));
    let own = |seed: u64| read(&desk, &format!("alone-{seed}/metrics.json"));
    for (score, name) in
        [("test_accuracy", "accuracy"), ("macro_f1", "macro_f1"), ("balanced_accuracy", "balanced_accuracy")]
    {
        let values: Vec<f64> = [3, 4, 5].map(|seed| own(seed)[name].as_f64().unwrap()).to_vec();
        let mean = values.iter().sum::<f64>() / 3.0;
        let deviation = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 2.0).sqrt();
        let spread = &found["scores"][score];
        assert_eq!(spread["values"], json!(values));
        let [found_mean, found_deviation] = ["mean", "deviation"].map(|name| spread[name].as_f64().unwrap());
        // both are sums of three numbers below 1 in f64
        assert!((found_mean - mean).abs() < 1e-12 && (found_deviation - deviation).abs() < 1e-12, "{score}");
        let line = text.lines().find(|line| line.trim_start().starts_with("mean ")).unwrap();
        assert!(line.contains(&format!("{mean:.4}")), "{line}");
    }
    let best = History::read(&desk.path("alone-4/history.csv")).unwrap().best().unwrap().val_accuracy;
    assert_eq!(found["scores"]["val_accuracy"]["values"][1], json!(f64::from(best)));
    drawing(&desk.path("series/curves.png"));
    // splits differ with the seed, and the series is one row of a comparison
    let compared = desk.json("compare series alone-3 --json");
    assert_eq!((&compared["runs"][0]["repeated"], &compared["runs"][1]["repeated"]), (&json!(3), &Value::Null));
    assert_eq!(compared["runs"][0]["split_hash"].as_array().unwrap().len(), 3);
    assert_eq!(compared["runs"][0]["test_accuracy"], found["scores"]["test_accuracy"]);
}

#[test]
fn a_series_resumes_where_it_stopped() {
    let desk = Desk::new();
    let line = format!("{SMALL} --epochs 2 --device reference --repeat 3");
    let whole = desk.json(&format!("{line} --json --out series"));
    assert_eq!((&whole["ended"], &whole["failure"], &whole["run"]), (&json!(3), &Value::Null, &json!("series")));
    let seeds = [0, 1, 2].map(|seed| files(&desk, &format!("series/seed-{seed}")));
    let (text, _) = desk.both("train --resume series");
    assert!(!text.contains("epoch 1/"), "nothing is trained again: {text}");

    // cut off after the first epoch of the second seed, before the third
    std::fs::remove_dir_all(desk.path("series/seed-2")).unwrap();
    std::fs::remove_dir_all(desk.path("series/seed-1")).unwrap();
    desk.run(&format!("{SMALL} --epochs 1 --device reference --seed 1 --out series/seed-1"));
    std::fs::remove_file(desk.path("series/seed-1/metrics.json")).unwrap();
    let text = desk.run("train --resume series --epochs 2");
    assert!(!text.contains("1 of 3") && text.contains("2 of 3\n") && text.contains("3 of 3\n"), "{text}");
    assert!(text.contains("resumed  in epoch 2"), "{text}");
    for (seed, before) in seeds.iter().enumerate() {
        assert!(*before == files(&desk, &format!("series/seed-{seed}")), "seed {seed}");
    }
    assert_eq!(read(&desk, "series/repeat.json")["scores"]["test_accuracy"], whole["scores"]["test_accuracy"]);

    // longer: one more seed, then one more epoch for all
    let longer = desk.json("train --resume series --repeat 4 --json");
    assert_eq!((&longer["seeds"], &longer["ended"]), (&json!([0, 1, 2, 3]), &json!(4)));
    desk.run("train --resume series --epochs 3");
    for seed in 0..4 {
        let history = History::read(&desk.path(&format!("series/seed-{seed}/history.csv"))).unwrap();
        assert_eq!(history.epochs.len(), 3);
    }
    desk.run(&format!("{SMALL} --epochs 3 --device reference --seed 3 --out alone"));
    assert!(files(&desk, "series/seed-3") == files(&desk, "alone"));
}

#[test]
fn a_seed_that_fails_ends_the_series_and_finished_seeds_stay() {
    let desk = Desk::new();
    desk.run(&format!("{SMALL} --epochs 1 --device reference --repeat 3 --out series"));
    let first = files(&desk, "series/seed-0");
    std::fs::remove_file(desk.path("series/seed-1/metrics.json")).unwrap();
    std::fs::remove_dir_all(desk.path("series/seed-2")).unwrap();
    // refused before anything begins, it leaves the series as it was
    desk.refuses("train --resume series --data nowhere.h5", &["nowhere.h5"]);
    spoil(&desk, "series/seed-1");
    desk.refuses("train --resume series", &["series/seed-1"]);
    std::fs::remove_dir_all(desk.path("series/seed-0")).unwrap();
    let output = desk.program("train --resume series").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("error: seed 1: ") && said.contains("1 of 3 seeds have ended"), "{said}");
    assert!(first == files(&desk, "series/seed-0") && !desk.path("series/seed-2").exists());
    assert_eq!(read(&desk, "series/repeat.json")["scores"]["test_accuracy"]["values"].as_array().unwrap().len(), 1);
}

#[test]
fn series_that_cannot_be_are_refused_before_anything_is_written() {
    let desk = Desk::new();
    let line = format!("{SMALL} --epochs 1 --device reference");
    let series = format!("{line} --repeat 2 --out series");
    desk.refuses(&format!("{line} --repeat 0 --out series"), &["--repeat is 0, but must be from 1 to 1000"]);
    desk.refuses(&format!("{series} --seed 18446744073709551615"), &["--seed is 18446744073709551615", "2 seeds"]);
    desk.refuses(&format!("{series} --learning-rate 0"), &["--learning-rate is 0"]);
    desk.refuses(&format!("{series} --data nowhere.h5"), &["nowhere.h5"]);
    desk.run(&format!("{line} --out run"));
    desk.refuses("train --resume run --repeat 2", &["--repeat is 2", "a series"]);
    desk.run(&series);
    desk.refuses(&series, &["series: it already holds a run", "--force"]);
    desk.refuses(&format!("{line} --out series"), &["series: it already holds a run"]);
    desk.refuses("train --resume series --repeat 1", &["--repeat is 1", "at least 2"]);
    desk.refuses("train --resume series --batch 5", &["--batch is 5", "10"]);
    std::fs::write(desk.path("series/repeat.json"), "{}").unwrap();
    desk.refuses("train --resume series", &["series/repeat.json", "no series"]);
}

#[test]
fn force_replaces_a_series_whole() {
    let desk = Desk::new();
    let line = format!("{SMALL} --epochs 1 --device reference --out series --force");
    desk.run(&format!("{line} --repeat 3"));
    let (last, mine) = (desk.path("series/seed-2"), desk.path("series/seed-1/notes.txt"));
    std::fs::write(&mine, "mine").unwrap();
    desk.run(&format!("{line} --repeat 1 --seed 5"));
    assert!(!last.exists() && !desk.path("series/seed-0").exists() && desk.path("series/seed-5").exists());
    assert_eq!(std::fs::read_to_string(&mine).unwrap(), "mine");
    assert_eq!(read(&desk, "series/repeat.json")["seeds"], json!([5]));
    // a training alone replaces a series, too
    desk.run(&line);
    assert!(!desk.path("series/repeat.json").exists() && desk.path("series/metrics.json").exists());
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_the_series_and_it_resumes() {
    let desk = Desk::new();
    let line = format!("{SMALL} --epochs 1000000 --device reference --repeat 2 --out series");
    let text = super::interrupt::interrupt(&desk, &line, "epoch 1/");
    assert!(text.contains("seed     0, 1 of 2\n") && !text.contains("2 of 2"), "{text}");
    assert!(!desk.path("series/seed-1").exists());
    let epochs = History::read(&desk.path("series/seed-0/history.csv")).unwrap().epochs.len() + 1;
    desk.run(&format!("train --resume series --epochs {epochs}"));
    for seed in 0..2 {
        desk.run(&format!("{SMALL} --epochs {epochs} --device reference --seed {seed} --out alone-{seed}"));
        assert!(files(&desk, &format!("series/seed-{seed}")) == files(&desk, &format!("alone-{seed}")), "seed {seed}");
    }
}

#[test]
fn with_a_split_of_its_own_only_the_training_varies() {
    let desk = Desk::new();
    let dataset = simulate::simulate(&simulate::Settings { images: 40, size: 16, seed: 1 }).unwrap();
    Split::stratified(&dataset, 0.2, 0).unwrap().write_csv(&desk.path("split.csv"), &dataset).unwrap();
    let (_, notes) =
        desk.both(&format!("{SMALL} --epochs 1 --device reference --split split.csv --repeat 2 --out series"));
    assert!(notes.contains("split.csv: only the training varies"), "{notes}");
    let found = read(&desk, "series/repeat.json");
    assert_eq!(found["runs"][0]["split_hash"], found["runs"][1]["split_hash"]);
    assert_ne!(found["runs"][0]["weights_hash"], found["runs"][1]["weights_hash"]);
}

/// Spoils the checkpoint of a run, and gives what it was.
fn spoil(desk: &Desk, run: &str) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let files = std::fs::read_dir(desk.path(&format!("{run}/checkpoint"))).unwrap().map(|file| file.unwrap().path());
    let before: Vec<_> = files.map(|file| (file.clone(), std::fs::read(file).unwrap())).collect();
    before.iter().for_each(|(file, _)| std::fs::write(file, "torn").unwrap());
    before
}

fn epochs(desk: &Desk, run: &str) -> usize {
    History::read(&desk.path(&format!("{run}/history.csv"))).unwrap().epochs.len()
}

#[cfg(unix)]
#[test]
fn a_series_that_replaces_another_and_is_cut_off_keeps_none_of_its_seeds() {
    let desk = Desk::new();
    let line = format!("{SMALL} --device reference --repeat 3 --out series");
    desk.run(&format!("{line} --epochs 1"));
    let other = "--learning-rate 0.002";
    super::interrupt::interrupt(&desk, &format!("{line} --force --epochs 1000000 {other}"), "epoch 1/");
    assert!(!desk.path("series/seed-1").exists() && !desk.path("series/seed-2").exists());
    let epochs = epochs(&desk, "series/seed-0") + 1;
    desk.run(&format!("train --resume series --epochs {epochs}"));
    for seed in 0..3 {
        desk.run(&format!("{SMALL} --device reference --epochs {epochs} {other} --seed {seed} --out alone-{seed}"));
        assert!(files(&desk, &format!("series/seed-{seed}")) == files(&desk, &format!("alone-{seed}")), "seed {seed}");
    }
}

#[test]
fn a_longer_series_that_is_cut_off_makes_every_seed_longer() {
    let desk = Desk::new();
    desk.run(&format!("{SMALL} --epochs 1 --device reference --repeat 2 --out series"));
    let before = spoil(&desk, "series/seed-1");
    let output = desk.program("train --resume series --epochs 2").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!([0, 1].map(|seed| epochs(&desk, &format!("series/seed-{seed}"))), [2, 1]);
    before.iter().for_each(|(file, bytes)| std::fs::write(file, bytes).unwrap());
    desk.run("train --resume series");
    for seed in 0..2 {
        desk.run(&format!("{SMALL} --epochs 2 --device reference --seed {seed} --out alone-{seed}"));
        assert!(files(&desk, &format!("series/seed-{seed}")) == files(&desk, &format!("alone-{seed}")), "seed {seed}");
    }
    desk.refuses("train --resume series --repeat 3 --epochs 1", &["--epochs is 1", "at least 2"]);
}

#[test]
fn a_series_out_of_time_resumes_and_one_out_of_patience_has_ended() {
    let desk = Desk::new();
    let endless = format!("{SMALL} --epochs 1000000 --device reference --repeat 2");
    desk.run(&format!("{endless} --time-budget 1s --out series"));
    let text = desk.run("train --resume series");
    assert_eq!(text.matches("resumed  in epoch ").count(), 2, "{text}");
    // at this rate no epoch is better than the first
    desk.run(&format!("{endless} --learning-rate 1e-12 --patience 1 --out patient"));
    assert_eq!(epochs(&desk, "patient/seed-1"), 2);
    let text = desk.run("train --resume patient");
    assert!(!text.contains("resumed "), "{text}");
    // more patience is more to train, for the seeds that follow, too
    desk.run("train --resume patient --patience 2 --repeat 3");
    assert_eq!([0, 1, 2].map(|seed| epochs(&desk, &format!("patient/seed-{seed}"))), [3, 3, 3]);
}

#[test]
fn a_series_resumes_from_another_folder() {
    let desk = Desk::new();
    desk.run(&format!("{SMALL} --epochs 1 --device reference --repeat 1 --out series"));
    std::fs::create_dir(desk.path("elsewhere")).unwrap();
    let mut command = desk.program("train --resume ../series --repeat 2");
    let output = command.current_dir(desk.path("elsewhere")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(epochs(&desk, "series/seed-1"), 1);
}

#[test]
fn a_refused_force_deletes_nothing() {
    let desk = Desk::new();
    let line = format!("{SMALL} --epochs 1 --device reference --repeat 2 --out series");
    desk.run(&line);
    desk.refuses(&format!("{line} --force --learning-rate 0"), &["--learning-rate is 0"]);
    // what the training begins with must outlive what it replaces
    let outside = "outside series, which --force replaces";
    desk.refuses(&format!("{line} --force --weights series/seed-1"), &["--weights is series/seed-1", outside]);
    let line = "train --device reference --repeat 2 --out series --force";
    desk.refuses(&format!("{line} --model series/seed-0/model.toml"), &["--model is series/seed-0/model", outside]);
    desk.refuses(&format!("{line} --config series/seed-0/config.toml"), &["--model is series/seed-0/model", outside]);
}

#[test]
fn no_seed_s_log_tells_of_the_series() {
    let desk = Desk::new();
    let text = desk.run(&format!("{SMALL} --epochs 1 --device reference --repeat 2 --out series"));
    let log = std::fs::read_to_string(desk.path("series/seed-1/log.txt")).unwrap();
    assert!(text.contains("deviation") && log.contains("epoch 1/1") && !log.contains("deviation"), "{log}");
}

#[test]
fn a_training_alone_replaces_the_seeds_of_a_series() {
    let desk = Desk::new();
    let line = format!("{SMALL} --epochs 1 --device reference --out series");
    desk.run(&format!("{line} --repeat 2 --tensorboard"));
    std::fs::write(desk.path("series/seed-1/notes.txt"), "mine").unwrap();
    desk.run(&format!("{line} --force"));
    assert!(!desk.path("series/seed-0").exists());
    let left: Vec<_> =
        std::fs::read_dir(desk.path("series/seed-1")).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(left, ["notes.txt"]);
}
