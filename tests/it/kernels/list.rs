//! `kernels list`, `validate` and `time`.

use crate::common::desk::Desk;
use galaxy_gpu::simd::InstructionSet;

#[test]
fn kernels_are_listed_with_their_implementations() {
    let desk = Desk::new();
    let text = desk.run("kernels list");
    let line = text.lines().find(|line| line.starts_with("relu.backward ")).unwrap();
    assert!(line.contains("direct") && line.ends_with("ELEMENTS"), "{line}");
    assert!(text.lines().next().unwrap().contains("native") && text.contains("winograd, direct"), "{text}");
    assert_eq!(text.lines().count(), 2 + galaxy_gpu::kernels::registry().len());
}

#[test]
fn unknown_kernels_are_refused() {
    let desk = Desk::new();
    for command in ["validate", "time"] {
        desk.refuses(&format!("kernels {command} fft"), &["the filter is \"fft\"", "conv2d, conv_block, maxpool2d"]);
    }
}

#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn kernels_are_validated_and_timed_on_the_adapter() {
    let desk = Desk::new();
    let text = desk.run("kernels validate relu.forward --checked");
    assert!(text.contains("relu.forward  direct") && text.ends_with(" 0 failed, 0 skipped\n"), "{text}");
    let report = desk.json("kernels validate relu.forward::direct:: --json");
    let results = report["results"].as_array().unwrap();
    assert_eq!((report["passed"].as_u64().unwrap(), &report["failed"]), (results.len() as u64, &0.into()));
    assert!(report["adapter"].is_string() && report["driver"].is_string());
    for result in results {
        assert_eq!((&result["contract"], &result["implementation"]), (&"relu.forward".into(), &"direct".into()));
        assert_eq!((&result["verdict"], &result["worst_error"]), (&"passed".into(), &0.0.into()));
        assert!(result["case"].is_string() && result["worst_output"].is_string() && result["tolerance"].is_number());
    }
    let report = desk.json("kernels time relu.forward --json");
    let results = report["results"].as_array().unwrap();
    assert!(!results.is_empty());
    for name in ["milliseconds", "gflops", "gigabytes_per_second"] {
        assert!(results.iter().all(|result| result[name].as_f64().unwrap() > 0.0), "{name}");
    }
    desk.refuses("kernels validate relu --adapter nonsense", &["--adapter is \"nonsense\"", "0 = "]);
}

/// Without an adapter, too: nothing here asks for one.
#[test]
fn native_kernels_are_validated_and_timed_on_every_instruction_set() {
    let desk = Desk::new();
    let report = desk.json("kernels validate relu.forward::native --json");
    let results = report["results"].as_array().unwrap();
    assert_eq!((report["passed"].as_u64().unwrap(), &report["failed"]), (results.len() as u64, &0.into()));
    assert!(report["adapter"].is_null(), "no adapter is opened");
    for set in InstructionSet::detected() {
        let name = format!("native direct, {set}");
        assert!(results.iter().any(|result| result["implementation"] == name[..]), "{name}");
    }
    desk.refuses("plan --device native --use relu.forward=native", &["--use is \"relu.forward=native\"", "direct"]);
    let text = desk.run("kernels validate dense.forward::native");
    assert!(text.starts_with("native kernels") && text.ends_with(" 0 failed, 0 skipped\n"), "{text}");
    let report = desk.json("kernels time relu.forward::native --json");
    let results = report["results"].as_array().unwrap();
    assert!(report["adapter"].is_null() && report["clock"] == "wall" && !results.is_empty());
    assert!(report["native"]["peak_gflops"].as_f64().unwrap() > 0.0);
    for name in ["milliseconds", "gflops", "gigabytes_per_second", "share_of_ceiling"] {
        assert!(results.iter().all(|result| result[name].as_f64().unwrap() > 0.0), "{name}");
    }
}
