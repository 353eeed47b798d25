//! `galaxy-gpu model summary`.

use crate::common::desk::Desk;

#[test]
fn a_model_is_summarised_as_keras_does() {
    let desk = Desk::new();
    let text = desk.run("model summary");
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.contains(&"conv2d_3 (conv2d)          (None, 32, 32, 128)       73,856"), "{text}");
    assert!(lines.contains(&"Parameters:       8,520,490 (32.5 MiB)"), "{text}");
    let summary = desk.json("model summary conv3 --size 64 --classes 4 --batch 7 --json");
    assert_eq!((&summary["image"], &summary["batch"]), (&serde_json::json!([64, 64, 3]), &7.into()));
    let layers = summary["layers"].as_array().unwrap();
    assert_eq!(layers.last().unwrap()["output"], serde_json::json!([4]));
    let sum: u64 = layers.iter().map(|layer| layer["parameters"].as_u64().unwrap()).sum();
    assert_eq!(summary["parameters"].as_u64().unwrap(), sum);
    assert_eq!(summary["weight_bytes"].as_u64().unwrap(), 4 * sum);
    assert!(summary["training_bytes"].as_u64().unwrap() > 16 * sum);
    let [forward, training] =
        ["forward", "training"].map(|of| summary[format!("{of}_flops_per_image")].as_f64().unwrap());
    assert!(forward > 1e6 && training > 2.0 * forward);
}

#[test]
fn a_model_goes_through_its_file_unchanged() {
    let desk = Desk::new();
    std::fs::write(desk.path("mine.toml"), desk.run("model summary conv4 --toml")).unwrap();
    assert_eq!(desk.run("model summary mine.toml"), desk.run("model summary conv4"));
    assert_eq!(desk.run("model summary mine.toml --toml"), desk.run("model summary conv4 --toml"));
}

#[test]
fn models_that_cannot_be_built_are_refused() {
    let desk = Desk::new();
    std::fs::write(desk.path("flat.toml"), "name = 'flat'\n[[layer]]\ntype = 'flatten'\n").unwrap();
    for command in ["model summary", "plan --device reference --model"] {
        desk.refuses(&format!("{command} conv4 --size 8"), &["layer max_pool2d_3: a 2x2 window does not fit"]);
        desk.refuses(&format!("{command} conv9"), &["the model is \"conv9\"", "conv3, conv4"]);
        desk.refuses(&format!("{command} missing.toml"), &["missing.toml: "]);
        desk.refuses(&format!("{command} flat.toml"), &["layer flatten: ", "there are 10 classes"]);
        desk.refuses(&format!("{command} conv4 --size 0"), &["--size is 0, but must be from 1 to 8192"]);
        desk.refuses(&format!("{command} conv4 --classes 0"), &["--classes is 0"]);
        desk.refuses(&format!("{command} conv4 --batch 99999999999"), &["--batch is 99999999999"]);
    }
}
