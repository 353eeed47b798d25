//! `doctor`: what it says of a machine in order, and that it fails where something is not.

use crate::common;
use crate::common::desk::Desk;
use serde_json::Value;

/// `doctor` on a machine whose only drivers are those of a manifest that is not there.
#[cfg(target_os = "linux")]
fn without_adapters(desk: &Desk, options: &str) -> assert_cmd::Command {
    let mut command = desk.command(&format!("doctor {options}"));
    command.env_remove("VK_ICD_FILENAMES").env("VK_DRIVER_FILES", "/nowhere/driver.json");
    command
}

fn finding<'a>(report: &'a Value, check: &str) -> &'a Value {
    let all = report["checks"].as_array().unwrap();
    all.iter().find(|finding| finding["check"] == check).unwrap_or_else(|| panic!("{check} is not in {report:#}"))
}

#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn a_machine_in_order_passes_and_nothing_is_left_behind() {
    let gpu = common::gpu();
    let desk = Desk::new();
    let before = desk.files();
    let report = desk.json("doctor --json");
    assert_eq!(report["failed"], 0, "{report:#}");
    let checks = report["checks"].as_array().unwrap().len() as u64;
    assert_eq!(report["ok"].as_u64().unwrap() + report["notes"].as_u64().unwrap(), checks);
    for check in [
        "native kernels",
        "--device auto",
        "libhdf5",
        "cache folder",
        "this folder",
        "file locks",
        "adapter 0 limits",
        "adapter 0 f32",
    ] {
        assert!(["ok", "note"].contains(&finding(&report, check)["verdict"].as_str().unwrap()), "{report:#}");
    }
    let kernels = finding(&report, "adapter 0 f32")["finding"].as_str().unwrap();
    let count: usize = kernels.split(' ').next().unwrap().parse().unwrap();
    assert!(count >= galaxy_gpu::kernels::registry().len(), "{kernels}");
    assert_eq!(finding(&report, "adapter 0 mixed")["verdict"] == "ok", gpu.profile().f16);
    assert_eq!(report["adapters"][0]["name"], gpu.profile().name);
    // drivers keep caches of their own
    assert!(before == desk.files() && !desk.cache().join("galaxy-gpu").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn no_adapter_and_a_cache_that_cannot_be_made_have_a_remedy() {
    let desk = Desk::new();
    let assert = without_adapters(&desk, "").env("XDG_CACHE_HOME", desk.path("tiny.toml")).assert().code(1);
    let text = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    for (start, remedy) in [
        ("note  adapters  ", "to run WGSL kernels, install a Vulkan driver"),
        ("FAIL  cache folder  ", "set XDG_CACHE_HOME"),
    ] {
        let at = lines.iter().position(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{text}"));
        assert!(lines[at + 1].contains(&format!("to do: {remedy}")), "{text}");
    }
    assert!(lines.iter().any(|line| line.starts_with("ok    libhdf5  ")), "{text}");
    assert!(lines.last().unwrap().ends_with(" 1 failed"), "{text}");
}

#[cfg(target_os = "linux")]
#[test]
fn without_a_temporary_folder_libhdf5_is_reported_as_failing() {
    let assert = without_adapters(&Desk::new(), "--json").env("TMPDIR", "/nowhere").assert().code(1);
    let report: Value = serde_json::from_slice(&assert.get_output().stdout).unwrap();
    let finding = finding(&report, "libhdf5");
    assert_eq!(finding["verdict"], "fail");
    assert!(finding["finding"].as_str().unwrap().contains("set TMPDIR"), "{report:#}");
    assert_eq!(report["adapters"].as_array().unwrap().len(), 0);
}
