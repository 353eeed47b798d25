//! The learning-rate finder as its user meets it: what it suggests, what it writes, and how it refuses.

use super::{Desk, drawing};
use serde_json::Value;

/// A search on pictures that are easy to tell apart, in four whole batches an epoch.
const SEARCH: &str = "find-rate --data data --model tiny.toml --batch 8 --steps 120 --augment off";

fn suggested(found: &Value) -> f64 {
    found["suggestion"]["rate"].as_f64().unwrap_or_else(|| panic!("no suggestion in {found}"))
}

#[test]
fn a_rate_that_learns_is_found_and_found_again() {
    let desk = Desk::new();
    desk.pictures(45);
    let first = desk.json(&format!("{SEARCH} --device reference --json --csv rates.csv"));
    // Adam moves each weight by about its rate: below 1e-4 these 120 steps change nothing, above 1e-1 they overshoot.
    let rate = suggested(&first);
    assert!((1e-4..1e-1).contains(&rate), "{rate}");
    let found = &first["suggestion"];
    let [steepest, lowest] = ["steepest", "lowest"].map(|name| found[name].as_f64().unwrap());
    assert!((rate - steepest.min(lowest / 10.0)).abs() <= 1e-6 * rate, "{found}");
    assert_eq!(drawing(&desk.path("rates.png")).dimensions(), (1100, 700));
    let again = desk.json(&format!("{SEARCH} --device reference --json --out again.png"));
    assert_eq!((&first["points"], &first["suggestion"]), (&again["points"], &again["suggestion"]));

    let table = std::fs::read_to_string(desk.path("rates.csv")).unwrap();
    let points = first["points"].as_array().unwrap();
    assert_eq!((table.lines().next(), table.lines().count()), (Some("step,rate,loss,smoothed"), points.len() + 1));
    let rates: Vec<f64> = points.iter().map(|point| point["rate"].as_f64().unwrap()).collect();
    let factors = rates.windows(2).map(|pair| (pair[1] / pair[0]).ln());
    // seven decades in 119 steps, up to the rounding of f32
    assert!((rates[0] - 1e-7).abs() < 1e-13 && factors.into_iter().all(|f| (f - 1e7f64.ln() / 119.0).abs() < 1e-5));

    // the suggestion is worth something: with it the galaxies are told apart, at the range's ends they are not
    let train = |rate: f64| {
        let line = "train --data data --model tiny.toml --batch 8 --augment off --epochs 12 --device reference --json";
        desk.json(&format!("{line} --learning-rate {rate}"))["best"]["val_accuracy"].as_f64().unwrap()
    };
    assert!(train(rate) >= 0.9);
    assert!(train(1e-7) < 0.9);
}

#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn the_adapter_agrees_with_the_twins() {
    let desk = Desk::new();
    desk.pictures(45);
    let twins = desk.json(&format!("{SEARCH} --device reference --json"));
    let line = format!("{SEARCH} --adapter 0 --precision f32 --json");
    let adapter = desk.json(&line);
    assert_eq!(adapter["points"], desk.json(&line)["points"], "the same bits each time");
    // before weights move far, both engines have the same losses within rounding
    for place in [0, 20, 40] {
        let loss = |found: &Value| found["points"][place]["loss"].as_f64().unwrap();
        assert!((loss(&twins) - loss(&adapter)).abs() < 1e-3, "step {place}");
    }
}

#[test]
#[cfg_attr(no_f16, ignore = "needs 16-bit floats")]
fn mixed_precision_finds_a_rate() {
    let desk = Desk::new();
    desk.pictures(45);
    let mixed = suggested(&desk.json(&format!("{SEARCH} --adapter 0 --precision mixed --json")));
    assert!((1e-4..1e-1).contains(&mixed), "{mixed}");
}

#[test]
fn a_search_that_cannot_work_is_refused_before_it_begins() {
    let desk = Desk::new();
    desk.pictures(45);
    for (more, parts) in [
        ("--from 0", &["--from is 0, but must be a rate above 0"][..]),
        ("--from nan", &["--from is NaN"]),
        ("--from 0.1 --to 0.01", &["--to is 0.01, but must be a rate above that of --from, 0.1"]),
        ("--out rates.jpg", &["--out is \"rates.jpg\"", ".png"]),
        ("--csv rates.cvs", &["--csv is \"rates.cvs\"", "did you mean `.csv`?"]),
        ("--label-smoothing 1", &["--label-smoothing is 1"]),
    ] {
        desk.refuses(&format!("{SEARCH} --device reference {more}"), parts);
    }
    let line = "find-rate --data data --device reference";
    for (more, parts) in [
        ("--model conv5", &["the model is \"conv5\"", "did you mean `conv3` or `conv4`?"][..]),
        ("--model tiny.toml", &["36 training images are 0 batches of 50", "smaller --batch"]),
        ("--model tiny.toml --batch 8 --steps epoch", &["are 4 batches of 8", "--steps 20 or more"]),
    ] {
        desk.refuses(&format!("{line} {more}"), parts);
    }
}

#[test]
fn losses_that_do_not_fall_suggest_nothing() {
    let desk = Desk::new();
    desk.pictures(45);
    let text = desk.run(&format!("{SEARCH} --device reference --to 1e-6"));
    assert!(text.contains("no rate is suggested, as the losses fall nowhere"), "{text}");
    drawing(&desk.path("rates.png"));
}
