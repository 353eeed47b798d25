//! Steps in lockstep: right kernels agree with their twins, and one that is wrong is found and named.

use crate::common;
use crate::common::desk::Desk;
use crate::common::rig::{Rig, adam, model};
use galaxy_gpu::engine::lockstep::{Compare, lockstep};
use galaxy_gpu::engine::{CpuEngine, Gpu, GpuEngine};
use galaxy_gpu::graph::Augment;
use galaxy_gpu::kernels::{Args, Contract, Native, PARTS, Precision, Shaders, StepParams, embedded, find};
use galaxy_gpu::plan::{Options, Plan, Profile, Program};
use galaxy_gpu::simd::InstructionSet;
use std::sync::Arc;

const BATCH: usize = 4;

fn rig() -> Rig {
    let block = |filters: usize| [format!("conv2d filters={filters}"), "relu".into(), "max_pool2d".into()];
    let layers: Vec<String> = [6, 16].into_iter().flat_map(block).collect();
    let head = ["dropout rate=0.2", "flatten", "dense units=24", "relu", "dense"];
    let layers: Vec<&str> = layers.iter().map(String::as_str).chain(head).collect();
    let mut rig = Rig::new(&model(&layers), (16, 16), 5, 9, BATCH);
    rig.settings.augment = Some(Augment::default());
    rig.settings.ema = true;
    rig
}

/// A training step of the rig with a shader of which one part is changed, in lockstep.
fn compare(gpu: &Arc<Gpu>, rig: &Rig, change: Option<(&str, &str, &str)>) -> Vec<Compare> {
    let files = change.map(|(path, right, wrong)| {
        let part = PARTS.iter().find(|part| part.path == path);
        let text = part.map_or_else(|| embedded()[path].text, |part| part.text);
        assert!(text.contains(right), "{path} has no {right:?}");
        (path.to_owned(), text.replace(right, wrong))
    });
    let shaders = Shaders::new("wrong", false, files.into_iter().collect()).unwrap();
    let options = Options { shaders, ..Options::default() };
    let mut engine = GpuEngine::new(gpu, Plan::new(&rig.graph(), gpu.profile(), &options).unwrap(), false).unwrap();
    rig.load(&mut engine);
    let params = StepParams { clip: 1e-3, ema: 0.1, ..adam(1, 3, BATCH) };
    lockstep(&mut engine, &mut rig.twins::<f32>(), Program::Train, &params).unwrap()
}

#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn right_kernels_agree_in_every_call() {
    let gpu = common::gpu();
    for rig in [rig(), rig().unfused()] {
        let calls = compare(&gpu, &rig, None);
        let faults: Vec<_> = calls.iter().filter(|call| call.fault().is_some()).collect();
        assert!(faults.is_empty(), "{faults:#?}");
        let wanted: Vec<&str> = rig.graph().train.iter().map(|call| call.contract.name).collect();
        assert_eq!(calls.iter().map(|call| call.contract).collect::<Vec<_>>(), wanted);
        assert!(calls.iter().all(|call| !call.outputs.is_empty()));
    }
}

#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn micro_batches_are_run_one_after_the_other() {
    let gpu = common::gpu();
    let mut rig = rig();
    rig.settings.micro_batch = Some(2);
    let calls = compare(&gpu, &rig, None);
    assert!(calls.iter().all(|call| call.fault().is_none()));
    assert_eq!(calls.iter().filter(|call| call.contract == "augment.draw").count(), 2);
    assert_eq!(calls.iter().filter(|call| call.contract == "adam.update").count(), 1);
}

#[test]
#[cfg_attr(no_f16, ignore = "needs 16-bit floats")]
fn mixed_precision_agrees() {
    let gpu = common::gpu();
    let mut rig = rig();
    rig.settings.precision = Precision::Mixed;
    let calls = compare(&gpu, &rig, None);
    assert!(calls.iter().all(|call| call.fault().is_none()), "{:#?}", calls.last());
}

#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn a_wrong_kernel_is_found_and_named() {
    let gpu = common::gpu();
    // of a wrong comparison, a forgotten element, forgotten terms, clipping and averaging: contract, layer, tensor
    for (path, right, wrong, contract, layer, tensor) in [
        ("relu/backward.wgsl", "> Value()", "> Value(0.01)", "relu.backward", "relu_2", "relu_2.input_gradient"),
        (
            "relu/backward.wgsl",
            "id >= ELEMENTS / LANES",
            "id + 1u >= ELEMENTS / LANES",
            "relu.backward",
            "relu_2",
            "relu_2.input_gradient",
        ),
        ("parts/adam.wgsl", "params.epsilon", "(1000.0 * params.epsilon)", "adam.update", "adam", "parameters"),
        (
            "reduce/gradient_direct.wgsl",
            "params.clip > 0.0",
            "params.clip < 0.0",
            "reduce.gradient",
            "gradient norm",
            "loss_scale",
        ),
        ("adam/ema_direct.wgsl", "params.ema", "(2.0 * params.ema)", "adam.ema", "ema", "average"),
    ] {
        let calls = compare(&gpu, &rig(), Some((path, right, wrong)));
        let call = calls.last().unwrap();
        let fault = call.fault().unwrap_or_else(|| panic!("{path} with {wrong} passes"));
        assert_eq!((call.contract, &call.layer[..]), (contract, layer));
        assert!(fault.tensor.ends_with(tensor), "{}", fault.tensor);
        assert!(path.starts_with("parts/") || call.shaders == [format!("wrong/{path}")], "{:?}", call.shaders);
        assert!(calls[..calls.len() - 1].iter().all(|call| call.fault().is_none()), "it stops there");
    }
}

#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn the_command_names_what_is_wrong_and_ends_with_1() {
    let desk = Desk::new();
    let line = "kernels validate --lockstep --model conv3 --size 16 --batch 2";
    let report = desk.json(&format!("{line} --json"));
    assert_eq!((&report["passed"], &report["precision"]), (&true.into(), &"f32".into()));
    let calls = report["calls"].as_array().unwrap();
    assert!(calls.iter().any(|call| call["program"] == "infer") && calls.len() > 20, "{}", calls.len());
    assert!(calls.iter().any(|call| call["contract"] == "adam.ema"));

    let text = embedded()["softmax_cross_entropy/loss_direct.wgsl"].text;
    desk.write(
        "bad/softmax_cross_entropy/loss_direct.wgsl",
        text.replace("step_mean_of(BATCH)", "(step_mean_of(BATCH) + 1u)"),
    );
    let (code, out, _) = desk.ended(&format!("{line} --shaders bad"));
    assert_eq!(code, 1, "{out}");
    let told = out.lines().find(|line| line.starts_with("WRONG")).unwrap();
    assert!(told.contains("softmax_cross_entropy.loss=direct of layer loss"), "{told}");
    assert!(
        out.contains("tensor   train.logits_gradient") && out.contains("shader   bad/softmax_cross_entropy"),
        "{out}"
    );
    desk.refuses(&format!("{line} --use relu.forward=nope"), &["--use", "nope", "direct"]);
    desk.refuses("kernels validate --batch 3", &["--lockstep"]);
}

/// A kernel that forgets the last element.
fn forgetful(mut args: Args<f32>, _: InstructionSet) {
    let input = args.floats(0);
    let output = args.floats_out(0);
    let all_but_one = output.len() - 1;
    output[..all_but_one].iter_mut().zip(input).for_each(|(y, &x)| *y = x.max(0.0));
}

#[test]
fn native_kernels_agree_in_every_call_and_a_wrong_one_is_found_and_named() {
    let set = InstructionSet::fastest();
    static WRONG: &[Native] = &[Native::direct(forgetful)];
    let relu = find("relu.forward").unwrap();
    let wrong: &Contract = Box::leak(Box::new(Contract { native: WRONG, ..*relu }));
    for wrong in [None, Some(wrong)] {
        let mut in_parts = rig();
        in_parts.settings.micro_batch = Some(2);
        for rig in [rig(), rig().unfused(), in_parts] {
            let mut graph = rig.graph();
            let mut calls: Vec<_> = graph.train.iter_mut().filter(|call| call.contract.name == relu.name).collect();
            let layer = calls.first().map(|call| call.layer.clone());
            calls.iter_mut().for_each(|call| call.contract = wrong.unwrap_or(call.contract));
            let plan = Plan::new(&graph, &Profile::native(set), &Options::default()).unwrap();
            let mut engine = CpuEngine::native(plan, set);
            rig.load(&mut engine);
            let params = StepParams { clip: 1e-3, ema: 0.1, ..adam(1, 3, BATCH) };
            let compared = lockstep(&mut engine, &mut rig.twins::<f32>(), Program::Train, &params).unwrap();
            let fault = compared.iter().find(|call| call.fault().is_some());
            match (wrong, layer, fault) {
                (Some(_), Some(layer), Some(call)) => assert_eq!((call.contract, &call.layer), (relu.name, &layer)),
                (_, layer, fault) => {
                    assert!(fault.is_none() && (wrong.is_none() || layer.is_none()), "{fault:#?}");
                    assert!(compared.len() >= graph.train.len());
                }
            }
        }
    }
    let text = Desk::new().run("kernels validate --lockstep --device native --model conv3 --size 16 --batch 2");
    assert!(text.starts_with("native kernels") && text.contains("calls agree with their twins"), "{text}");
}
