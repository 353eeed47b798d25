//! The example trains, measures and classifies as a library user would.

use crate::common::desk::Desk;
use galaxy_gpu::run::{DeviceKind, Recipe};

#[path = "../../examples/train.rs"]
#[allow(dead_code, reason = "its `main` takes longer")]
mod train;

#[test]
fn the_example_trains_and_classifies() {
    let desk = Desk::new();
    let model = desk.path("tiny.toml").display().to_string();
    let small = Recipe { images: 40, size: Some(16), epochs: 1, batch: 10, ..Recipe::default() };
    let recipe = Recipe { model, device: DeviceKind::Reference, ..small };
    let folder = desk.path("run");
    let said = train::train_and_classify(&recipe, folder.to_str().unwrap()).unwrap();
    assert!(said.starts_with("accuracy 0.") && said.contains("the first galaxy is a"), "{said}");
    for name in ["weights/best.safetensors", "history.csv", "metrics.json", "report.html", "config.toml"] {
        assert!(folder.join(name).is_file(), "{name}");
    }
    assert!(folder.join("checkpoint").is_dir());
}
