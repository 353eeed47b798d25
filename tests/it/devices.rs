//! `galaxy-gpu devices` and `plan`: what there is to run on, and what would run.

use crate::common::desk::Desk;
use predicates::str::contains;
use serde_json::Value;

#[test]
fn a_plan_needs_no_adapter() {
    let desk = Desk::new();
    let line = "plan --device reference --model conv3 --size 32 --batch 4 --images 30";
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
    desk.refuses("plan --device reference --images 0", &["--images is 0"]);
    desk.refuses("plan --device reference --adapter 0", &["--adapter"]);
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
    let names = |line: &str| line.starts_with("name ") && line.contains(name) && line.contains("native kernels");
    assert!(text.lines().any(names) && text.contains("--adapter 0"), "{text}");
}

/// The Vulkan loader finds no driver where it is told to look at nothing.
#[cfg(target_os = "linux")]
fn without_adapters(desk: &Desk, line: &str) -> assert_cmd::Command {
    let mut command = desk.command(line);
    command.env("VK_DRIVER_FILES", "/nonexistent").env("VK_ICD_FILENAMES", "/nonexistent");
    command
}

#[cfg(target_os = "linux")]
#[test]
fn a_machine_without_adapters_computes_natively_and_is_told_what_else_it_needs() {
    let desk = Desk::new();
    let said = |line: &str| {
        let output = without_adapters(&desk, line).assert().success().get_output().clone();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(said("plan").starts_with("conv4 on native kernels, f32\n"));
    let devices: Value = serde_json::from_str(&said("devices --json")).unwrap();
    assert_eq!(devices["adapters"], serde_json::json!([]));
    let kinds: Vec<&Value> = devices["without_adapter"].as_array().unwrap().iter().map(|one| &one["kind"]).collect();
    assert_eq!(kinds, ["native", "reference"]);
    assert!(said("devices").contains("--device auto takes native kernels ("));
    for (line, told) in [
        ("kernels validate relu", "no GPU adapter was found; install a Vulkan driver"),
        ("plan --device gpu", "no GPU was found; use --device native"),
        ("plan --device software", "no Vulkan driver that computes on the CPU was found; install one"),
    ] {
        without_adapters(&desk, line).assert().code(1).stdout("").stderr(contains(format!("error: {told}")));
    }
}

/// Nothing here needs a GPU: the only drivers that the loader is told of compute on the CPU, or there are none.
#[cfg(target_os = "linux")]
#[test]
fn what_only_adapters_can_do_says_what_to_add_where_auto_is_native() {
    let desk = Desk::new();
    desk.write("mine/relu/forward.wgsl", "// x\n");
    for (more, parts) in [
        ("--shaders mine", &["--shaders is given", "--device software"][..]),
        ("--use conv2d.forward=registers", &["it is WGSL, and native kernels run none: add --device software"]),
        ("--precision mixed", &["--precision is mixed, but native kernels have no 16-bit floats", "--device software"]),
        ("--cpu-features portable --adapter 0", &["--adapter is given with --cpu-features"]),
        ("--cpu-features portable --device reference", &["--cpu-features is given with --device reference"]),
        ("--cpu-features neon", &["--cpu-features is neon, which this processor lacks", "portable"]),
    ] {
        if cfg!(target_arch = "aarch64") && more.ends_with("neon") {
            continue;
        }
        let assert = without_adapters(&desk, &format!("plan --no-fuse {more}")).assert().code(2).stdout("");
        let said = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
        assert!(parts.iter().all(|part| said.contains(part)), "{more}: {said}");
    }
}
