//! `kernels show`.

use crate::common::desk::Desk;
use galaxy_gpu::kernels::{embedded, find};
use galaxy_gpu::simd::InstructionSet;

#[test]
fn a_contract_is_shown_in_full() {
    let desk = Desk::new();
    let shown = desk.json("kernels show conv2d --json");
    let contracts = shown["contracts"].as_array().unwrap();
    let names: Vec<&str> = contracts.iter().map(|contract| contract["contract"].as_str().unwrap()).collect();
    assert_eq!(names, ["conv2d.forward", "conv2d.backward_input", "conv2d.backward_weights"]);
    let (forward, contract) = (&contracts[0], find("conv2d.forward").unwrap());
    let case = (contract.cases)().into_iter().rfind(|case| case.bench).unwrap();
    assert_eq!((forward["case"].as_str(), forward["formula"].as_str()), (Some(case.name), Some(contract.formula)));
    let cost = (contract.cost)(&case.constants);
    assert_eq!(
        (forward["work"]["flops"].as_f64(), forward["work"]["bytes"].as_f64()),
        (Some(cost.flops), Some(cost.bytes))
    );
    let elements: Vec<usize> =
        forward["bindings"].as_array().unwrap().iter().map(|b| b["elements"].as_u64().unwrap() as usize).collect();
    assert_eq!(elements, (contract.lengths)(&case.constants));
    let found: Vec<&str> =
        forward["implementations"].as_array().unwrap().iter().map(|i| i["name"].as_str().unwrap()).collect();
    assert_eq!(found, contract.implementations.iter().map(|i| i.name).collect::<Vec<_>>());
    let block = desk.json("kernels show conv_block.forward --json")["contracts"][0].clone();
    let native: Vec<&str> = block["native"].as_array().unwrap().iter().map(|n| n["name"].as_str().unwrap()).collect();
    assert_eq!(native, find("conv_block.forward").unwrap().native.iter().map(|n| n.name).collect::<Vec<_>>());
    let sets: Vec<String> = InstructionSet::detected().iter().map(ToString::to_string).collect();
    assert_eq!(block["native"][0]["instructions"], serde_json::json!(sets));
    let text = desk.run("kernels show conv_block.forward");
    assert!(text.contains("src/kernels/conv_block/native/") && text.contains("computes here with"), "{text}");
    desk.refuses("kernels show fft", &["the contract is \"fft\"", "conv2d.forward"]);
}

#[test]
fn the_source_is_what_is_compiled() {
    let desk = Desk::new();
    let plain = desk.run("kernels show relu.forward --source --plain --mixed");
    let text = embedded()["relu/forward.wgsl"].text;
    assert!(plain.contains(text) && plain.contains("enable f16;\nalias Elem = f16;\n"), "{plain}");
    let numbered = desk.run("kernels show relu.forward --source");
    let (number, line) = text.lines().enumerate().find(|(_, line)| line.starts_with("fn main")).unwrap();
    assert!(numbered.contains(&format!("{:>4} {line}\n", number + 1)), "{numbered}");
    assert!(numbered.contains("     // shaders/common/index.wgsl\n   1 "), "{numbered}");
    assert!(!numbered.contains("common/step.wgsl"), "relu uses nothing of the step: {numbered}");
}

#[test]
fn a_new_implementation_is_shown_with_its_file() {
    let desk = Desk::new();
    let text = embedded()["relu/forward.wgsl"].text;
    desk.write("mine/relu/forward_mine.wgsl", format!("// launch: vectors\n{text}"));
    let (code, out, notes) = desk.ended("kernels show relu.forward --shaders mine");
    assert!(code == 0 && out.contains("mine/relu/forward_mine.wgsl"), "{out}");
    assert!(
        notes.contains("note: mine/relu/forward_mine.wgsl is relu.forward=mine, launched as vectors, checked"),
        "{notes}"
    );
}
