//! Settings in files: what a run leaves of its own trains it again, and what a file says is held to what a command line may say.

use super::{Desk, sides};
use galaxy_gpu::data::write_hdf5;
use std::fs;

const OPTIONS: &str = "--data sides.h5 --batch 4 --model tiny.toml --device reference --epochs 3 --seed 18446744073709551615 \
                       --zoom -0.3 0.07 --flip off --label-smoothing 0.1 --class-weights 1,2 --schedule cosine --warm-up 0.5 \
                       --final-rate 0.00001 --learning-rate 0.003 --weight-decay 0.02 --clip-norm 1.5 --ema 0.9 \
                       --micro-batch 3 --validation 0.25 --use dense.forward=direct --patience 7";

fn hash(text: &str) -> String {
    Desk::said(text, "weights  hash")
}

#[test]
fn a_runs_file_trains_it_again_when_its_model_is_gone() {
    let desk = Desk::new();
    write_hdf5(&desk.path("sides.h5"), &sides(24)).unwrap();
    let text = desk.run(&format!("train {OPTIONS} --out run"));
    assert!(
        text.contains(", cosine schedule, warm-up of 0.5 epochs, weight decay 0.02, gradients clipped at 1.5"),
        "{text}"
    );
    fs::remove_file(desk.path("tiny.toml")).unwrap();
    // the whole folder may be elsewhere
    fs::rename(desk.path("run"), desk.path("moved")).unwrap();
    assert_eq!(hash(&desk.run("train --config moved/config.toml --out again")), hash(&text));
    let file = |run: &str, name: &str| fs::read_to_string(desk.path(&format!("{run}/{name}"))).unwrap();
    for name in ["config.toml", "model.toml"] {
        assert_eq!(file("moved", name), file("again", name), "{name}");
    }
    // what the command line says goes before it, in any order
    let other = desk.run("train --epochs 2 --config moved/config.toml --seed 1 --zoom -0.1 0.1 --out other");
    assert!(hash(&other) != hash(&text) && other.contains("training 2 epochs"), "{other}");
    let settings = file("other", "config.toml");
    for part in ["\nepochs = 2\n", "\nseed = 1\n", "\nzoom = [-0.1, 0.1]\n", "\nclip-norm = 1.5\n"] {
        assert!(settings.contains(part), "{part:?} in {settings}");
    }
    // a run that goes on writes down what it goes on with
    desk.run("train --resume other --epochs 3");
    assert!(file("other", "config.toml").contains("\nepochs = 3\n"));
    desk.refuses("train --config moved/config.toml --out again", &["again: it already holds a run"]);
    desk.run("train --config again/config.toml --out again --force");
}

/// When `gpu` was the default, it meant the first adapter, whatever its kind; the file of a run that knew no other default still means it.
#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn the_file_of_an_old_run_trains_it_again_where_it_was_trained() {
    let desk = Desk::new();
    let text = desk.run("train --images 40 --size 16 --batch 10 --model tiny.toml --epochs 1 --adapter 0 --out run");
    let file = fs::read_to_string(desk.path("run/config.toml")).unwrap();
    let is_new = |line: &&str| line.starts_with("cpu-features = ") || line.starts_with("adapter = ");
    assert_eq!(file.lines().filter(is_new).count(), 2, "{file}");
    let old: Vec<&str> = file.lines().filter(|line| !is_new(line)).collect();
    desk.write("run/config.toml", old.join("\n").replace("device = \"auto\"", "device = \"gpu\""));
    assert_eq!(hash(&desk.run("train --config run/config.toml --out again")), hash(&text));
}

#[test]
fn files_with_settings_that_no_command_line_may_give_are_refused() {
    let desk = Desk::new();
    for (text, parts) in [
        ("epoch = 3", &["a.toml: there is no setting epoch (did you mean epochs?)"][..]),
        ("epochs = 0", &["a.toml: epochs is 0: it must be at least 1"]),
        ("batch = 'many'", &["a.toml: batch is \"many\": ", "expected usize"]),
        ("schedule = 'sine'", &["a.toml: schedule is \"sine\": ", "expected one of `constant`, `cosine`"]),
        ("force = true", &["a.toml: force is no setting", "--force on the command line"]),
        ("[model]\nname = 'x'", &["a.toml: model is ", "must be a text"]),
        ("epochs = ", &["a.toml: line 1, column "]),
        ("learning-rate = 2", &["--learning-rate is 2"]),
        ("model = 'none.toml'", &["none.toml"]),
    ] {
        fs::write(desk.path("a.toml"), text).unwrap();
        desk.refuses("train --config a.toml --device reference --out run", parts);
    }
    desk.refuses("train --config none.toml --out run", &["none.toml: "]);
    fs::write(desk.path("a.toml"), "images = 40\nsize = 16\nbatch = 10\nmodel = 'tiny.toml'\naugment = false\n")
        .unwrap();
    let text = desk.run("train --config a.toml --device reference --epochs 1 --out run");
    assert!(text.contains("training 1 epochs, batch 10, augmentation off"), "{text}");
    desk.refuses("train --config a.toml --resume run", &["--config", "--resume"]);
}

#[test]
fn options_of_the_optimizer_that_make_no_sense_are_refused_by_name() {
    let desk = Desk::new();
    for (options, part) in [
        ("--warm-up 9", "--warm-up is 9, but must be from 0 to the 8 of --epochs"),
        ("--warm-up -1", "--warm-up is -1"),
        ("--schedule cosine --final-rate 0.1", "--final-rate is 0.1"),
        ("--final-rate 0.0001", "left out with --schedule constant"),
        ("--schedule cosine --schedule-epochs 3", "--schedule-epochs is given"),
        ("--schedule step --schedule-factor 1", "--schedule-factor is 1"),
        ("--weight-decay -1", "--weight-decay is -1"),
        ("--clip-norm 0", "--clip-norm is 0"),
        ("--ema 1", "--ema is 1"),
        ("--time-budget 10", "such as 2h, 10m"),
    ] {
        desk.refuses(&format!("train --device reference --model tiny.toml --out run {options}"), &[part]);
    }
}

#[test]
fn a_training_that_ends_early_is_finished_and_says_why() {
    let desk = Desk::new();
    let settings =
        "--images 40 --size 16 --batch 10 --model tiny.toml --device reference --learning-rate 1e-20 --epochs 9";
    let text = desk.run(&format!("train {settings} --patience 2 --out run"));
    assert!(text.contains("ended    after 3 of 9 epochs: none was better than the best for 2\n"), "{text}");
    let metrics: serde_json::Value = serde_json::from_slice(&fs::read(desk.path("run/metrics.json")).unwrap()).unwrap();
    assert_eq!((&metrics["ended_early"], &metrics["images"]), (&"patience".into(), &"test".into()));
    let run = desk.json("train --resume run --patience 4 --json");
    assert_eq!((&run["ended_early"], run["epochs"].as_array().unwrap().len()), (&"patience".into(), 5));
    let whole = desk.json(&format!("train {settings} --epochs 5 --out whole --json").replace("--epochs 9 ", ""));
    assert!(whole["ended_early"].is_null() && whole["weights_hash"] == run["weights_hash"]);
}

#[test]
fn a_longer_resumed_run_says_that_its_cosine_changes() {
    let desk = Desk::new();
    let settings = "--images 40 --size 16 --batch 10 --model tiny.toml --device reference --schedule cosine";
    desk.run(&format!("train {settings} --epochs 2 --out run"));
    let (_, notes) = desk.both("train --resume run --epochs 3");
    assert!(notes.contains("the learning rate follows the cosine of 3 epochs from here on"), "{notes}");
    let (_, notes) = desk.both("train --resume run");
    assert!(!notes.contains("cosine"), "{notes}");
}

#[test]
fn weights_are_a_start_where_the_network_is_the_same() {
    let desk = Desk::new();
    let settings = "--images 40 --size 16 --batch 10 --device reference --epochs 1";
    desk.run(&format!("train {settings} --model tiny.toml --learning-rate 0.01 --out run"));
    let text = desk.run(&format!("train {settings} --weights run --learning-rate 1e-20 --out tuned"));
    let best = galaxy_gpu::train::find_weights(&desk.path("run"), false).unwrap();
    assert_eq!(hash(&text), best.hash(), "steps of nothing");
    assert!(text.contains("model    tiny: "), "{text}");
    // it goes on without them
    fs::rename(desk.path("run"), desk.path("gone")).unwrap();
    desk.run("train --resume tuned --epochs 2");
    desk.refuses(&format!("train {settings} --weights run"), &["run: it holds no weights"]);
    desk.refuses(
        &format!("train {settings} --weights gone --model conv3 --out other"),
        &["--weights is those of tiny", "the network that is trained, conv3"],
    );
}

#[test]
fn another_schedule_or_device_drops_the_settings_that_belonged_to_the_files() {
    let desk = Desk::new();
    let text = "images = 40\nsize = 16\nepochs = 1\nmodel = 'conv3'\nno-report = true\nschedule = 'plateau'\nschedule-epochs = 2\n\
                adapter = 'none of this name'\n";
    std::fs::write(desk.path("a.toml"), text).unwrap();
    desk.run("train --config a.toml --schedule constant --device reference --out run");
    let settings = std::fs::read_to_string(desk.path("run/config.toml")).unwrap();
    assert!(!settings.contains("schedule-epochs") && !settings.contains("adapter"), "{settings}");
}
