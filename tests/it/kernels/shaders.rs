//! `--shaders`: edited and new kernels are picked up without a rebuild, checked, named in errors, and noted.

use crate::common;
use crate::common::desk::Desk;
use galaxy_gpu::engine::validate::{Compile, validate};
use galaxy_gpu::kernels::{Precision, Shaders, embedded, find};
use galaxy_gpu::train::Weights;

const SMALL: &str = "train --images 60 --size 16 --model conv3 --batch 20 --epochs 1";
const TRAIN: &str = "train --images 60 --size 16 --model conv3 --batch 20 --epochs 1 --adapter 0";

fn shaders(trusted: bool, files: &[(&str, String)]) -> Shaders {
    let files = files.iter().map(|(path, text)| ((*path).to_owned(), text.clone())).collect();
    Shaders::new("mine", trusted, files).unwrap()
}

#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn an_edited_kernel_is_compiled_anew_each_time() {
    let gpu = common::gpu();
    let contract = find("relu.forward").unwrap();
    let direct = contract.implementation("direct").unwrap();
    let case = (contract.cases)().into_iter().find(|case| case.name == "around a workgroup").unwrap();
    let text = embedded()["relu/forward.wgsl"].text;
    let run = |text: String| {
        let shaders = shaders(false, &[("relu/forward.wgsl", text)]);
        validate(&gpu, contract, direct, &case, Precision::F32, &Compile { checked: false, shaders }).unwrap().passed()
    };
    assert!(run(text.to_owned()));
    assert!(!run(text.replace("select(x, Value(), x < Value())", "x")), "without the rectifier");
    assert!(run(text.replace("select(x, Value(), x < Value())", "max(x, Value())")), "written otherwise");
}

/// A kernel that writes far behind its buffer: unchecked, it might write anywhere.
#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn kernels_of_a_folder_are_checked_by_the_driver() {
    let gpu = common::gpu();
    let contract = find("relu.forward").unwrap();
    let direct = contract.implementation("direct").unwrap();
    let case = (contract.cases)().into_iter().find(|case| case.name == "around a workgroup").unwrap();
    let text = embedded()["relu/forward.wgsl"].text;
    let wild = text.replace("    output[id]", "    output[id + 64u * 16u] = Elem(77.0);\n    output[id]");
    assert_ne!(wild, text);
    let compile = Compile { checked: false, shaders: shaders(false, &[("relu/forward.wgsl", wild)]) };
    let verdict = validate(&gpu, contract, direct, &case, Precision::F32, &compile).unwrap();
    assert!(verdict.overrun.is_empty(), "{verdict:?}");
}

#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn a_common_file_is_replaced_for_every_kernel() {
    let gpu = common::gpu();
    let contract = find("relu.forward").unwrap();
    let direct = contract.implementation("direct").unwrap();
    let case = (contract.cases)().into_iter().find(|case| case.name == "around a workgroup").unwrap();
    // every workgroup believes that it is the first
    let common = "fn flat_group(group: vec3u, groups: vec3u) -> u32 {\n    return 0u;\n}".to_owned();
    let compile = Compile { checked: false, shaders: shaders(false, &[("common/index.wgsl", common)]) };
    assert!(!validate(&gpu, contract, direct, &case, Precision::F32, &compile).unwrap().passed());
}

#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn errors_point_at_the_line_of_the_edited_file() {
    let desk = Desk::new();
    let text = embedded()["relu/forward.wgsl"].text;
    let line = text.lines().position(|line| line.contains("output[id] =")).unwrap() + 1;
    desk.write("mine/relu/forward.wgsl", text.replace("    output[id] =", "    output[id] = nowhere +"));
    let (code, out, error) = desk.ended("kernels validate relu.forward::direct::smallest --shaders mine");
    assert_eq!(code, 1, "{out}{error}");
    assert!(out.contains(&format!("shader mine/relu/forward.wgsl:{line}: ")), "{out}");
    assert!(out.contains("nowhere") && out.contains(&format!("─ mine/relu/forward.wgsl:{line}:")), "{out}");
    assert!(out.contains(&format!("{line} │ ")), "the line itself: {out}");
    // of one that stands before every kernel, too, and where all of a command needs it
    desk.write(
        "other/common/index.wgsl",
        "// index\nfn flat_group(group: vec3u, groups: vec3u) -> u32 {\n    return 0.5;\n}\n",
    );
    let (code, _, error) = desk.ended(&format!("{TRAIN} --out run --shaders other"));
    assert!(code == 1 && error.contains("error: shader other/common/index.wgsl:"), "{error}");
    assert!(!desk.path("run").exists(), "nothing is written");
    let text = text.replace("ELEMENTS / LANES", "COUNT").replace("\n@compute", "override COUNT: u32;\n@compute");
    desk.write("third/relu/forward_mine.wgsl", text);
    let (code, out, _) = desk.ended("kernels validate relu.forward::mine::smallest --shaders third");
    assert!(
        code == 1 && out.contains("its override COUNT has no value; a launch of relu.forward has ELEMENTS"),
        "{out}"
    );
}

#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn a_new_implementation_trains_and_is_noted_in_the_run() {
    let desk = Desk::new();
    let text = embedded()["dense/forward_direct.wgsl"].text;
    desk.write("mine/dense/forward_mine.wgsl", format!("// launch: direct\n{text}"));
    let found = desk.json("kernels validate dense.forward::mine:: --shaders mine --json");
    assert!(found["passed"].as_u64().unwrap() > 0 && found["failed"] == 0, "{found}");
    desk.run(&format!("{TRAIN} --out mine-run --shaders mine --use dense.forward=mine"));
    desk.run(&format!("{TRAIN} --out own-run --use dense.forward=direct"));
    let load = |run: &str| Weights::load(&desk.path(run).join("weights/last.safetensors")).unwrap();
    let (mine, own) = (load("mine-run"), load("own-run"));
    assert_eq!(mine.hash(), own.hash(), "the same kernel under another name gives the same bits");
    assert!(mine.card.shaders.is_some() && own.card.shaders.is_none());
    // it goes on with its shaders, from another folder as well, and says so where they are others
    let (code, _, notes) = desk.ended("train --resume mine-run --epochs 2 --shaders mine");
    assert!(code == 0 && notes.contains("dense.forward=mine") && !notes.contains("another device"), "{notes}");
    desk.write("mine/dense/forward_mine.wgsl", format!("// launch: direct\n// edited\n{text}"));
    let (code, _, notes) = desk.ended("train --resume mine-run --epochs 3 --shaders mine");
    assert!(code == 0 && notes.contains("the run began with another device"), "{notes}");
    let plan = desk.json("plan --adapter 0 --size 16 --shaders mine --use dense.forward=mine --json --model conv3");
    let mine = |step: &&serde_json::Value| step["implementation"] == "mine";
    let step = plan["train"].as_array().unwrap().iter().find(mine).unwrap();
    assert_eq!(
        step["dispatches"][0],
        serde_json::json!({"shader": "dense/forward_mine.wgsl", "foreign": true, "grid": step["dispatches"][0]["grid"]})
    );
}

#[test]
fn a_choice_without_effect_is_reported() {
    let desk = Desk::new();
    let said = "--use conv2d.forward=direct has no effect: this network calls no conv2d.forward; fused blocks call \
                conv_block.*, and --no-fuse runs each layer alone";
    let plan = "plan --size 16 --model conv3 --device reference --use conv2d.forward=direct --use dense.forward=direct";
    let train = format!("{SMALL} --device reference --use conv2d.forward=direct --out run");
    let bench = "bench step --size 16 --batch 2 --steps 1 --model conv3 --device reference --use conv2d.forward=direct";
    for line in [plan, &train, bench] {
        let (code, _, notes) = desk.ended(line);
        assert!(code == 0 && notes.contains(said) && notes.matches("has no effect").count() == 1, "{line}: {notes}");
    }
    let (_, _, notes) = desk.ended(&format!("{plan} --no-fuse"));
    assert!(!notes.contains("has no effect"), "{notes}");
    let (_, _, notes) = desk.ended(&format!("{plan} --no-fuse --use adam.ema=direct"));
    assert!(notes.contains("this network calls no adam.ema\n"), "{notes}");
    // of kernels that only a training would call, inference says nothing
    let (code, _, notes) = desk.ended(&format!("{bench} --infer --use adam.update=direct"));
    assert!(code == 0 && !notes.contains("has no effect"), "{notes}");
}

/// A run of a folder's kernels is reported on without that folder, and with those of the command line.
#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn a_report_takes_the_shaders_of_its_own_command_line() {
    let desk = Desk::new();
    let text = embedded()["dense/forward_direct.wgsl"].text;
    desk.write("mine/dense/forward_mine.wgsl", format!("// launch: direct\n{text}"));
    desk.run(&format!("{TRAIN} --out run --shaders mine --use dense.forward=mine --no-report"));
    std::fs::rename(desk.path("mine"), desk.path("moved")).unwrap();
    desk.run("report run --adapter 0");
    assert!(desk.path("run/report.html").exists());
    let (code, _, notes) = desk.ended("report run --adapter 0 --shaders moved --use dense.forward=mine");
    assert!(code == 0 && notes.contains("moved/dense/forward_mine.wgsl is dense.forward=mine"), "{notes}");
    desk.refuses("report run --shaders mine", &["mine"]);
}

#[test]
fn folders_that_will_not_do_are_refused() {
    let desk = Desk::new();
    desk.refuses("plan --shaders nowhere", &["nowhere"]);
    std::fs::create_dir(desk.path("empty")).unwrap();
    desk.refuses("plan --shaders empty", &["empty: it holds no WGSL files"]);
    desk.refuses("plan --device reference --shaders empty", &["--shaders is given with --device reference"]);
    desk.refuses("plan --trust-shaders", &["--shaders"]);
    desk.refuses(
        "plan --device reference --use relu.forward=mine",
        &["--use is \"relu.forward=mine\"", "vectors, direct"],
    );
    desk.write("mine/relu/forwards_x.wgsl", "// x\n");
    desk.refuses("plan --shaders mine", &["mine/relu/forwards_x.wgsl: it belongs to no contract", "kernels list"]);
    desk.write("long/relu/forward.wgsl", "// x\n".repeat(100_000));
    desk.refuses("plan --shaders long", &["forward.wgsl: is 500000 bytes long"]);
}
