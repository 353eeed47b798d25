//! Run folders: what is in them, that seeds decide it, and that nothing is overwritten.

use super::{Desk, SMALL, assert_close, drawing};
use crate::common;
use galaxy_gpu::data::{Split, simulate};
use galaxy_gpu::train::Weights;
use galaxy_gpu::train::history::{EpochRecord, History};
use safetensors::SafeTensors;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn a_run_leaves_history_curves_and_weights() {
    let desk = Desk::new();
    let text =
        desk.run("train --images 40 --size 16 --batch 10 --model conv3 --epochs 2 --seed 7 --adapter 0 --out run");
    for epoch in [1, 2] {
        assert_eq!(
            text.lines().filter(|line| line.starts_with(&format!("epoch {epoch}/2  loss "))).count(),
            1,
            "{text}"
        );
    }
    assert!(text.starts_with("data     simulated galaxies (seed 1): 40 images of 16x16\n"), "{text}");
    assert!(text.contains("with seed 7: 30 to train, 10 to test\n"), "{text}");
    assert_eq!(Desk::said(&text, "run "), "run (report.html, history.csv, metrics.json, curves.png, weights/)");

    let table = std::fs::read_to_string(desk.path("run/history.csv")).unwrap();
    assert_eq!(table.lines().next(), Some("epoch,loss,accuracy,val_loss,val_accuracy,seconds"));
    assert_eq!(table.lines().count(), 3);
    let history = History::read(&desk.path("run/history.csv")).unwrap();
    assert_eq!(history.epochs.iter().map(|record| record.epoch).collect::<Vec<_>>(), [1, 2]);
    // Before it has learned anything a network gives each of ten classes about a tenth.
    assert!(history.epochs.iter().all(|record| (record.loss - 10f32.ln()).abs() < 0.5 && record.seconds > 0.0));
    assert_eq!(drawing(&desk.path("run/curves.png")).dimensions(), (1600, 700));
}

#[test]
fn weights_say_what_they_are() {
    let desk = Desk::new();
    let text = desk.run(&format!("{SMALL} --epochs 2 --seed 7 --device reference --out run"));
    let dataset = simulate::simulate(&simulate::Settings { images: 40, size: 16, seed: 1 }).unwrap();
    let split = Split::stratified(&dataset, 0.2, 7).unwrap();
    let history = History::read(&desk.path("run/history.csv")).unwrap();
    let best = history.best().unwrap();
    for (name, record) in [("best", best), ("last", &history.epochs[1])] {
        let path = desk.path(&format!("run/weights/{name}.safetensors"));
        let bytes = std::fs::read(&path).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let card: Value = serde_json::from_str(&header.metadata().as_ref().unwrap()["galaxy-gpu"]).unwrap();
        assert_eq!((&card["model"]["name"], &card["height"], &card["width"]), (&json!("tiny"), &json!(16), &json!(16)));
        assert_eq!(card["classes"], json!(dataset.classes));
        assert_eq!((&card["preprocessing"], &card["version"]), (&json!("RGB u8 / 255, NHWC"), &json!(2)));
        assert_eq!((&card["seed"], &card["split_hash"]), (&json!(7), &json!(split.hash)));
        assert_eq!((&card["chosen_by"], &card["validation"]), (&json!("test"), &json!(0.0)));
        assert_eq!(card["epochs"], record.epoch);
        assert_close(&card["val_accuracy"], &json!(record.val_accuracy), 1e-6);
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let shape = |name| file.tensor(name).unwrap().shape().to_vec();
        assert_eq!((shape("conv2d.kernel"), shape("conv2d.bias")), (vec![3, 3, 3, 4], vec![4]));
        assert_eq!((shape("dense.kernel"), shape("dense.bias")), (vec![256, 10], vec![10]));
        assert_eq!(file.len(), 4);
        let weights = Weights::load(&path).unwrap();
        assert!(weights.tensors.iter().flatten().all(|value| value.is_finite()));
        if name == "last" {
            assert_eq!(weights.hash(), Desk::said(&text, "weights  hash"));
        }
    }
}

#[test]
fn json_is_one_object_with_everything() {
    let desk = Desk::new();
    let run = desk.json(&format!("{SMALL} --epochs 3 --device reference --json --out run"));
    let keys: Vec<&String> = run.as_object().unwrap().keys().collect();
    let all = [
        "run",
        "stopped",
        "ended_early",
        "epochs",
        "steps",
        "refused_steps",
        "roll_backs",
        "failure",
        "best",
        "split",
        "evaluation",
        "weights_hash",
        "device_memory",
    ];
    assert_eq!(keys, all);
    assert_eq!((&run["run"], &run["stopped"]), (&json!("run"), &json!(false)));
    let history = History::read(&desk.path("run/history.csv")).unwrap();
    let epochs: Vec<EpochRecord> = serde_json::from_value(run["epochs"].clone()).unwrap();
    assert_eq!(epochs, history.epochs);
    assert_eq!(run["best"]["epoch"], history.best().unwrap().epoch);
    let last = Weights::load(&desk.path("run/weights/last.safetensors")).unwrap();
    assert_eq!(run["weights_hash"], last.hash());
}

#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn the_seed_decides_every_bit() {
    let desk = Desk::new();
    let train = |more: &str, out: &str| {
        let hash =
            desk.json(&format!("{SMALL} --adapter 0 --epochs 2 --json --out {out} {more}"))["weights_hash"].clone();
        let files = ["best", "last"].map(|name| std::fs::read(desk.path(&format!("{out}/weights/{name}.safetensors"))));
        (hash, files.map(Result::unwrap))
    };
    let first = train("--seed 3 --steps-per-submit 1", "a");
    assert!(first == train("--seed 3 --steps-per-submit 1", "b"), "the same seed gives the same files");
    assert!(first == train("--seed 3 --steps-per-submit 4", "c"), "steps in flight change nothing");
    assert_ne!(first.0, train("--seed 4 --steps-per-submit 1", "d").0, "another seed gives other weights");
}

/// Files of kept pipelines below a cache folder.
fn kept_pipelines(cache: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(cache.join("galaxy-gpu")).into_iter().flatten().map(|entry| entry.unwrap().path());
    files.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("pipelines-")).collect()
}

#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn pipelines_are_kept_where_they_can_be_and_nothing_fails_where_not() {
    let gpu = common::gpu();
    let desk = Desk::new();
    let train = |cache: &Path| {
        let line = format!("{SMALL} --adapter 0 --epochs 1 --json");
        let output = desk.program(&line).env("XDG_CACHE_HOME", cache).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["weights_hash"].clone()
    };
    let cache = desk.path("cache");
    let hash = train(&cache);
    if gpu.profile().backend == "vulkan" && cfg!(target_os = "linux") {
        let [file] = &kept_pipelines(&cache)[..] else { panic!("one file for the one adapter") };
        let whole = std::fs::read(file).unwrap();
        std::fs::write(file, &whole[..whole.len() / 2]).unwrap();
        assert_eq!(train(&cache), hash, "from a damaged file");
        assert_eq!(std::fs::read(file).unwrap().len(), whole.len(), "which is replaced");
    }
    assert_eq!(train(&cache), hash, "from what was kept");
    // A file where the folder should be: nothing can be written there, not even by root.
    assert_eq!(train(&desk.path("tiny.toml")), hash);
}

#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn twins_and_lone_layers_agree_with_the_adapter() {
    let desk = Desk::new();
    let train = |more: &str| desk.json(&format!("{SMALL} --epochs 1 --json {more}"))["epochs"][0].clone();
    let adapter = train("--adapter 0");
    let natively = ["--device native", "--device native --no-fuse"];
    let twins = ["--device reference", "--device reference --no-fuse"];
    for more in [&natively[..], &twins, &["--adapter 0 --no-fuse", "--adapter 0 --checked"]].concat() {
        let other = train(more);
        assert_close(&adapter["loss"], &other["loss"], 1e-3);
        assert_close(&adapter["val_loss"], &other["val_loss"], 1e-3);
    }
}

#[test]
fn augmentation_can_be_turned_off() {
    let desk = Desk::new();
    let loss = |more: &str| {
        desk.json(&format!("{SMALL} --epochs 1 --device reference --json {more}"))["epochs"][0]["loss"].clone()
    };
    let off = loss("--augment off");
    assert_ne!(off, loss(""));
    // A map that moves nothing is no map.
    assert_close(&off, &loss("--flip off --rotation 0 --zoom 0 0 --shift 0"), 1e-5);
}

#[test]
fn runs_are_numbered_where_no_folder_is_named() {
    let desk = Desk::new();
    let line = format!("{SMALL} --epochs 1 --device reference --json");
    for name in ["runs/1", "runs/2"] {
        assert_eq!(desk.json(&line)["run"], name);
        assert!(desk.path(name).join("weights/last.safetensors").is_file());
    }
    std::fs::remove_dir_all(desk.path("runs/1")).unwrap();
    std::fs::write(desk.path("runs/3"), "no run, but in the way").unwrap();
    assert_eq!(desk.json(&line)["run"], "runs/1");
    assert_eq!(desk.json(&line)["run"], "runs/4");
}

#[test]
fn a_run_that_a_program_reads_keeps_its_log_all_the_same() {
    let desk = Desk::new();
    desk.json(&format!("{SMALL} --epochs 2 --device reference --no-report --json --out run"));
    let log = std::fs::read_to_string(desk.path("run/log.txt")).unwrap();
    for said in ["data     simulated galaxies", "epoch 1/2  loss ", "epoch 2/2  loss ", "weights  hash "] {
        assert_eq!(log.matches(said).count(), 1, "{said}: {log}");
    }
}
