//! `galaxy-gpu devices` and `plan`: what there is to run on, and what would run.

use crate::common::desk::Desk;
use predicates::prelude::{PredicateBooleanExt, predicate};
use predicates::str::contains;
use serde_json::Value;

#[test]
fn a_plan_needs_no_adapter() {
    let desk = Desk::new();
    let line = "plan --device cpu --model conv3 --size 32 --batch 4 --images 30";
    let text = desk.run(line);
    assert!(text.starts_with("conv3 on CPU twins, f32\nbatch 4, 30 images of 32 x 32 pixels in 1 shard\n"), "{text}");
    assert!(text.contains("augment.warp") && text.contains("conv_block.backward_weights"), "{text}");
    let plain = desk.json(&format!("{line} --no-augment --no-fuse --use maxpool2d.forward=direct --json"));
    let train = plain["train"].as_array().unwrap();
    assert!(train.iter().all(|step| step["contract"] != "augment.warp" && step["contract"] != "conv_block.forward"));
    assert!(train.iter().any(|step| step["reason"] == "chosen by --use"));
    let buffers: u64 =
        plain["buffers"].as_array().unwrap().iter().map(|buffer| buffer["bytes"].as_u64().unwrap()).sum();
    assert_eq!(plain["total_bytes"].as_u64().unwrap(), buffers);
    assert_eq!(plain["data_set_bytes"], 30 * 32 * 32 * 3);
    let streamed = format!("{line} --data-memory 20000");
    assert!(desk.run(&streamed).contains("30 images of 32 x 32 pixels in 1 shard, streamed\n"));
    assert_eq!(desk.json(&format!("{streamed} --json"))["data_set_bytes"], 4 * 32 * 32 * 3, "one batch");
    desk.refuses("plan --device cpu --images 0", &["--images is 0"]);
    desk.refuses("plan --device cpu --adapter 0", &["--adapter"]);
}

#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn adapters_are_listed_by_their_numbers() {
    let desk = Desk::new();
    let adapters = desk.json("devices --json")["adapters"].clone();
    let name = adapters[0]["name"].as_str().unwrap();
    assert_eq!(adapters[0]["number"], 0);
    assert!(adapters[0]["binding_bytes"].as_u64().unwrap() >= 128 << 20);
    let text = desk.run("devices");
    assert!(text.lines().any(|line| line.starts_with("name ") && line.contains(name)), "{text}");
}

/// The Vulkan loader finds no driver where it is told to look at nothing.
#[cfg(target_os = "linux")]
#[test]
fn a_machine_without_adapters_is_told_what_to_do() {
    let desk = Desk::new();
    for line in ["devices", "kernels validate relu", "plan"] {
        let mut command = desk.command(line);
        command.env("VK_DRIVER_FILES", "/nonexistent").env("VK_ICD_FILENAMES", "/nonexistent");
        let told = contains("error: no GPU adapter was found; install a Vulkan driver").and(contains("--device cpu"));
        command.assert().code(1).stdout("").stderr(told);
    }
    let mut command = desk.command("devices --json");
    command.env("VK_DRIVER_FILES", "/nonexistent").env("VK_ICD_FILENAMES", "/nonexistent");
    let empty =
        |text: &str| serde_json::from_str::<Value>(text).is_ok_and(|value| value["adapters"] == serde_json::json!([]));
    command.assert().code(1).stdout(predicate::function(empty));
}
