//! `galaxy-gpu bench` as a user meets it: what it prints, that its numbers agree with each other, and how it refuses.
//! Nothing here depends on how long anything takes.

use crate::common::desk::Desk;
use galaxy_gpu::simd::InstructionSet;
use serde_json::Value;

fn positive(report: &Value, keys: &[&str]) {
    for key in keys {
        assert!(report[key].as_f64().is_some_and(|value| value > 0.0 && value.is_finite()), "{key}: {}", report[key]);
    }
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
}

fn sum(list: &Value, key: &str) -> f64 {
    list.as_array().unwrap().iter().map(|item| item[key].as_f64().unwrap()).sum()
}

const STEP: &str = "bench step --model conv3 --size 16 --batch 4 --classes 3 --precision f32";

#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn ceilings_are_measured() {
    let report = Desk::new().json("bench peak --json");
    assert!(report["adapter"].is_string() && report["driver"].is_string() && report["clock"].is_string());
    let ceilings = report["ceilings"].as_array().unwrap();
    for (name, unit) in [("f32_fma", "GFLOP/s"), ("copy", "GB/s")] {
        let ceiling = ceilings.iter().find(|ceiling| ceiling["name"] == name).unwrap();
        assert_eq!((&ceiling["unit"], &ceiling["absent"]), (&unit.into(), &Value::Null));
        positive(ceiling, &["value", "milliseconds"]);
    }
    let text = Desk::new().run("bench peak");
    let (adapter, native) = text.split_once("native kernels (").unwrap();
    let units = |text: &str, unit: &str| text.lines().filter(|line| line.ends_with(unit)).count();
    assert!(units(adapter, "  GFLOP/s") >= 1 && units(adapter, "  GB/s") == 1, "{text}");
    let sets = InstructionSet::detected();
    assert_eq!([units(native, "  GFLOP/s"), units(native, "  GB/s")], [sets.len(); 2], "{text}");
    for (set, found) in sets.iter().zip(report["native"].as_array().unwrap()) {
        assert_eq!(found["instructions"], set.to_string());
        found["ceilings"].as_array().unwrap().iter().for_each(|ceiling| positive(ceiling, &["value", "milliseconds"]));
    }
}

#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn a_step_and_its_kernels_add_up() {
    let report = Desk::new().json(&format!("{STEP} --adapter 0 --augment --steps 3 --kernels --json"));
    positive(&report, &["ms_per_step", "images_per_s", "gflops", "peak_gflops", "share_of_peak", "gpu_bytes", "flops"]);
    positive(&report["setup_ms"], &["open", "plan", "pipelines", "upload", "first_step", "total"]);
    assert!(report["steps"].as_u64().unwrap() >= 3 && report["adapter"].is_string());
    let number = |key: &str| report[key].as_f64().unwrap();
    if report["clock"] == "gpu" {
        positive(&report, &["gpu_ms_per_step"]);
    }
    assert!(close(number("gflops"), number("flops") / number("ms_per_step") / 1e6));
    assert!(close(number("share_of_peak"), number("gflops") / number("peak_gflops")));
    assert!(close(number("images_per_s"), 4e3 / number("ms_per_step")));
    // eight batches of four images
    assert!(close(number("gpu_bytes") - number("gpu_bytes_without_data"), (32 * 16 * 16 * 3) as f64));

    let kernels = report["kernels"].as_array().unwrap();
    let plan = Desk::new().json("plan --adapter 0 --model conv3 --size 16 --batch 4 --classes 3 --images 32 --json");
    let planned = plan["train"].as_array().unwrap();
    assert_eq!(kernels.len(), planned.len(), "the step timed is the step planned");
    for (kernel, planned) in kernels.iter().zip(planned) {
        for key in ["layer", "contract", "implementation", "flops", "bytes"] {
            assert_eq!(kernel[key], planned[key], "{key}");
        }
        let shaders = |list: &Value| list.as_array().unwrap().iter().map(|d| d["shader"].clone()).collect::<Vec<_>>();
        assert_eq!(shaders(&kernel["dispatches"]), shaders(&planned["dispatches"]));
        assert!(close(sum(&kernel["dispatches"], "ms"), kernel["ms"].as_f64().unwrap()), "{kernel}");
        assert!(kernel["share_of_ceiling"].is_number() && kernel["ceiling"].is_string());
    }
    assert!(close(sum(&report["kernels"], "flops"), number("flops")));
    assert!(close(sum(&report["kernels"], "ms"), number("kernels_ms")));
}

#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn a_trace_has_a_bar_for_every_dispatch() {
    let desk = Desk::new();
    let report = desk.json(&format!("{STEP} --adapter 0 --infer --steps 1 --trace step.json --json"));
    assert_eq!((&report["program"], &report["kernels"]), (&"infer".into(), &Value::Null));
    let trace: Value = serde_json::from_slice(&std::fs::read(desk.path("step.json")).unwrap()).unwrap();
    let events = trace.as_array().unwrap();
    let tracks: Vec<&Value> = events.iter().filter(|event| event["ph"] == "M").map(|e| &e["args"]["name"]).collect();
    assert_eq!(tracks, ["CPU", report["adapter"].as_str().unwrap()]);
    let bars = |track: u64| events.iter().filter(move |event| event["ph"] == "X" && event["tid"] == track);
    assert_eq!(bars(1).count() as u64, report["dispatches"].as_u64().unwrap());
    assert!(bars(0).count() > 0, "what the CPU did");
    let mut before = 0.0;
    for bar in bars(1) {
        let (ts, dur) = (bar["ts"].as_f64().unwrap(), bar["dur"].as_f64().unwrap());
        assert!(ts >= before && dur >= 0.0, "dispatches start one after the other: {bar}");
        before = ts;
        assert_eq!(bar["name"].as_str().unwrap().matches('/').count(), 2, "layer/contract/implementation: {bar}");
        assert!(bar["args"]["flops"].is_number() && bar["args"]["bytes"].is_number());
    }
}

#[test]
fn the_twins_are_timed_on_the_wall() {
    let report = Desk::new().json(&format!("{STEP} --device reference --steps 2 --kernels --json"));
    positive(&report, &["ms_per_step", "images_per_s", "gflops", "kernels_ms"]);
    assert_eq!((&report["clock"], &report["steps"]), (&"wall".into(), &2.into()));
    for key in ["gpu_ms_per_step", "peak_gflops", "share_of_peak"] {
        assert_eq!(report[key], Value::Null, "{key}");
    }
    assert!(close(sum(&report["kernels"], "flops"), report["flops"].as_f64().unwrap()));
}

#[test]
fn native_kernels_are_timed_with_their_fraction_of_the_processors_peak() {
    let report = Desk::new().json(&format!("{STEP} --device native --steps 2 --kernels --json"));
    positive(&report, &["ms_per_step", "gflops", "peak_gflops", "share_of_peak"]);
    let kernels = report["kernels"].as_array().unwrap();
    assert!(kernels.iter().all(|kernel| kernel["share_of_ceiling"].is_number() && kernel["ceiling"].is_string()));
}

#[test]
fn bad_settings_are_refused() {
    let desk = Desk::new();
    for (line, part) in [
        ("--batch 4 --images 3", "the batch is 4"),
        ("--size 0", "--size is 0"),
        ("--size 8", "layer max_pool2d_3"),
        ("--infer --augment", "cannot be used with"),
        ("--steps 0", "invalid value '0'"),
        ("--seconds -1", "from 0 to 3600"),
        ("--precision f64", "invalid value 'f64'"),
        ("--trace nowhere/step.json", "nowhere/step.json"),
        ("--trace step.txt", "ends in .json"),
    ] {
        desk.refuses(&format!("bench step --device reference {line}"), &[part]);
    }
}

#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn choices_are_measured_and_can_be_taken() {
    let desk = Desk::new();
    let sizes = "--model conv3 --size 16 --classes 3 --adapter 0";
    let line = format!("bench choices {sizes} --batch 4 --precision f32 --json --out fast.toml");
    let report = desk.json(&line);
    positive(&report, &["planned_ms"]);
    let calls = report["calls"].as_array().unwrap();
    let layers: Vec<&str> = calls.iter().filter(|call| call["contract"] == "conv_block.forward").map(name).collect();
    assert_eq!(layers, ["conv2d", "conv2d_1", "conv2d_2"]);
    for call in calls {
        let ways = call["implementations"].as_array().unwrap();
        assert!(ways.len() > 1, "nothing to choose from: {call}");
        ways.iter().for_each(|way| positive(way, &["ms"]));
        let marked = |key: &str| ways.iter().filter(|way| way[key] == true).count();
        assert_eq!((marked("planned"), marked("best"), &ways[0]["planned"]), (1, 1, &true.into()), "{call}");
    }
    let choices = report["choices"].as_array().unwrap();
    let text = desk.text("fast.toml");
    assert!(choices.iter().all(|choice| text.contains(choice.as_str().unwrap())), "{text}");
    assert!(text.contains("precision = \"f32\"") && text.contains("conv3, 16 px, batch 4"), "{text}");
    let train = |settings: &str| {
        let training =
            "train --adapter 0 --model conv3 --images 40 --size 16 --epochs 1 --no-report --force --out run --config";
        desk.run(&format!("{training} {settings}"));
        desk.text("run/config.toml")
    };
    train("fast.toml");
    // whatever was measured: choices for a layer are followed, and told of
    let taken = ["conv_block.forward@conv2d_1=direct", "reduce.sum_squares@gradient norm=direct"];
    desk.write("slow.toml", format!("use = {taken:?}"));
    let config = train("slow.toml");
    assert!(taken.iter().all(|choice| config.contains(choice)), "{config}");
    let plain = desk.run(&format!("bench choices {sizes} --batch 2 --infer"));
    assert!(plain.contains("planned") && plain.contains("a whole step takes"), "{plain}");
}

fn name(call: &Value) -> &str {
    call["layer"].as_str().unwrap()
}

#[test]
fn choices_already_made_or_on_the_cpu_leave_nothing_to_measure() {
    let desk = Desk::new();
    desk.refuses("bench choices --use relu.forward=direct", &["--use is relu.forward=direct"]);
    for device in ["reference", "native"] {
        desk.refuses(&format!("bench choices --device {device}"), &[device, "--device software"]);
    }
}
