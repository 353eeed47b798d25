//! Gradients against central differences: the f64 twins of whole small networks, with layers before and behind the
//! operation under test, so that its gradient arrives with a factor and goes on.
//!
//! [`COVERED`] says which network checks which contract; a contract with a backward that is missing there fails.

use crate::common::rig::{Rig, adam, branches, model};
use galaxy_gpu::engine::{CpuEngine, Engine};
use galaxy_gpu::graph::Graph;
use galaxy_gpu::kernels::{StepParams, registry};
use galaxy_gpu::plan::Program;

/// Bound on `|analytic - difference| / (|analytic| + rms of the tensor's gradient)`. With a step of 1e-6 on losses
/// of about 1, the difference itself is good to 1e-16 / 1e-6 = 1e-10, and the gradients are 1e-3 and larger.
const TOLERANCE: f64 = 1e-7;

/// Half the distance between the two losses of a difference.
const STEP: f64 = 1e-6;

/// Elements of each parameter that are checked.
const SAMPLES: usize = 24;

/// Contracts with a gradient, and a network whose training program holds them.
const COVERED: &[(&str, &str)] = &[
    ("conv2d.backward_input", "conv2d 3x3 stride 1 same, bias"),
    ("conv2d.backward_weights", "conv2d 3x3 stride 1 same, bias"),
    ("conv_block.backward_input", "conv blocks"),
    ("conv_block.backward_weights", "conv blocks"),
    ("maxpool2d.backward", "maxpool2d 2x2"),
    ("dense.backward_input", "dense"),
    ("dense.backward_weights", "dense"),
    ("relu.backward", "relu alone"),
    ("dropout.backward", "dropout"),
    ("concatenate.backward", "branches"),
    ("softmax_cross_entropy.loss", "smoothing, class weights, short batch"),
];

/// One network and the step it is checked at.
struct Check {
    name: String,
    rig: Rig,
    step: StepParams,
}

const CLASSES: usize = 3;
const BATCH: usize = 4;

/// A check of these layers (a flatten and a dense head follow) on 9x8 images.
fn check(name: impl Into<String>, layers: &[&str]) -> Check {
    let model = model(&[layers, &["flatten", "dense"]].concat());
    let rig = Rig::new(&model, (9, 8), CLASSES, 6, BATCH);
    Check { name: name.into(), rig, step: still(0, BATCH) }
}

/// A step that changes no parameter.
fn still(first: usize, count: usize) -> StepParams {
    StepParams { learning_rate: 0.0, ..adam(1, first, count) }
}

fn checks() -> Vec<Check> {
    let mut checks = convolutions();
    checks.push(check("conv blocks", &[BLOCK_6, BLOCK_3].concat()));
    checks.push(check("conv blocks, 16 channels", &[BLOCK_16, BLOCK_3].concat()));
    for (name, pool) in [
        ("maxpool2d 2x2", "max_pool2d size=2"),
        ("maxpool2d 3x3 stride 2", "max_pool2d size=3 stride=2"),
        ("maxpool2d 3x3 stride 1", "max_pool2d size=3 stride=1"),
        ("maxpool2d 2x2 stride 3", "max_pool2d size=2 stride=3"),
    ] {
        checks.push(check(name, &["conv2d filters=3 kernel=2", pool, "conv2d filters=4 kernel=2"]));
    }
    let small = ["conv2d filters=2", "max_pool2d size=3", "flatten"];
    for (name, layers) in [
        ("dense", &["dense units=7", "dense units=5"][..]),
        ("dense with relu", &["dense units=7", "relu", "dense units=5", "relu"]),
        ("dense, no bias", &["dense units=8 bias=false", "relu", "dense units=4 bias=false"]),
    ] {
        checks.push(check(name, &[&small, layers].concat()));
    }
    let alone = ["conv2d filters=3", "max_pool2d size=2", "relu", "conv2d filters=4", "dropout rate=0.1", "relu"];
    checks.push(check("relu alone", &alone));
    let dropout = ["conv2d filters=3", "relu", "dropout rate=0.3", "conv2d filters=2", "dropout rate=0.5"];
    checks.push(check("dropout", &[&dropout, &["flatten", "dense units=6", "dropout rate=0.2"][..]].concat()));

    let branches = Rig::new(&branches(), (9, 8), CLASSES, 6, BATCH);
    checks.push(Check { name: "branches".into(), rig: branches, step: still(0, BATCH) });

    let mut weighted = check("smoothing, class weights, short batch", &[BLOCK_6, BLOCK_3].concat());
    weighted.rig.settings.label_smoothing = 0.1;
    weighted.rig.class_weights = vec![0.5, 2.0, 1.25];
    weighted.step = still(2, 3);
    checks.push(weighted);
    let unfused = checks.iter().filter(|check| check.rig.network.nodes.iter().any(|node| node.name == "relu"));
    let unfused: Vec<Check> = unfused.map(Check::unfused).collect();
    checks.extend(unfused);
    checks
}

const BLOCK_3: &[&str] = &["conv2d filters=3", "relu", "max_pool2d"];
const BLOCK_6: &[&str] = &["conv2d filters=6", "relu", "max_pool2d"];
const BLOCK_16: &[&str] = &["conv2d filters=16", "relu", "max_pool2d"];

/// Every kernel size, stride, padding and bias, between two other convolutions.
fn convolutions() -> Vec<Check> {
    let mut checks = Vec::new();
    for kernel in [1, 3, 5, 7] {
        for stride in [1, 2] {
            for (padding, bias) in [("same", true), ("same", false), ("valid", true), ("valid", false)] {
                let words = if bias { "bias" } else { "no bias" };
                let name = format!("conv2d {kernel}x{kernel} stride {stride} {padding}, {words}");
                let layer =
                    format!("conv2d filters=4 kernel={kernel} stride={stride} padding=\"{padding}\" bias={bias}");
                checks.push(check(name, &["conv2d filters=3", &layer, "relu", "conv2d filters=2"]));
            }
        }
    }
    checks
}

impl Check {
    fn unfused(&self) -> Self {
        Self { name: format!("{}, unfused", self.name), rig: self.rig.unfused(), step: self.step }
    }

    fn graph(&self) -> Graph {
        self.rig.graph()
    }
}

/// The mean loss of the step's images, by the forward calls alone.
fn loss(engine: &mut CpuEngine<f64>, graph: &Graph, step: &StepParams) -> f64 {
    let forward = engine.plan().steps(Program::Train)[graph.segments[0].clone()].to_vec();
    forward.iter().for_each(|call| engine.run_step(call, step));
    let metrics = engine.floats(graph.persistent.as_ref().unwrap().metrics);
    metrics[4 * step.slot as usize] / f64::from(step.count)
}

/// All gradients, in the network's order, after one run of the training program.
fn gradients(engine: &mut CpuEngine<f64>, graph: &Graph, step: &StepParams) -> Vec<Vec<f64>> {
    engine.run(Program::Train, &[*step]).unwrap();
    graph.parameters.iter().map(|parameter| engine.floats(parameter.gradient.unwrap()).to_vec()).collect()
}

fn rms(values: &[f64]) -> f64 {
    (values.iter().map(|v| v * v).sum::<f64>() / values.len() as f64).sqrt()
}

/// Up to [`SAMPLES`] elements spread over a tensor.
fn samples(elements: usize) -> impl Iterator<Item = usize> {
    let count = elements.min(SAMPLES);
    (0..count).map(move |i| (i * elements / count + i * 5 % elements.div_ceil(count)).min(elements - 1))
}

/// Errors of a check, one line for each element out of tolerance, and the worst error.
fn verify(check: &Check) -> (Vec<String>, f64) {
    let graph = check.graph();
    let mut engine = check.rig.twins::<f64>();
    let analytic = gradients(&mut engine, &graph, &check.step);
    let (mut wrong, mut worst) = (Vec::new(), 0.0f64);
    for (parameter, analytic) in graph.parameters.iter().zip(&analytic) {
        let scale = rms(analytic);
        if scale.is_nan() || scale < 1e-4 {
            wrong.push(format!("{}: {} has gradients of {scale:e}: nothing is checked", check.name, parameter.name));
        }
        for element in samples(analytic.len()) {
            let mut shifted = |shift: f64| {
                engine.floats_mut(parameter.values)[element] += shift;
                let loss = loss(&mut engine, &graph, &check.step);
                engine.floats_mut(parameter.values)[element] -= shift;
                loss
            };
            let difference = (shifted(STEP) - shifted(-STEP)) / (2.0 * STEP);
            let error = (analytic[element] - difference).abs() / (analytic[element].abs() + scale);
            worst = worst.max(error);
            if error.is_nan() || error > TOLERANCE {
                let values = format!("{:e}, difference {difference:e}", analytic[element]);
                wrong.push(format!("{}: {}[{element}]: gradient {values}", check.name, parameter.name));
            }
        }
    }
    (wrong, worst)
}

#[test]
fn every_gradient_is_the_slope_of_the_loss() {
    let mut wrong = Vec::new();
    for check in checks() {
        let (errors, worst) = verify(&check);
        println!("{worst:9.1e}  {}", check.name);
        wrong.extend(errors);
    }
    assert!(wrong.is_empty(), "{} elements:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_contract_with_a_gradient_is_covered() {
    let checks = checks();
    let differentiable = |name: &str| name.contains(".backward") || name == "softmax_cross_entropy.loss";
    let wanted: Vec<&str> = registry().iter().map(|contract| contract.name).filter(|n| differentiable(n)).collect();
    assert!(wanted.len() >= 10, "{wanted:?}");
    for contract in &wanted {
        let row = COVERED.iter().find(|(covered, _)| covered == contract);
        let (_, network) = row.unwrap_or_else(|| panic!("add {contract} and a network that checks it to COVERED"));
        let check = checks.iter().find(|check| check.name == *network);
        let graph = check.unwrap_or_else(|| panic!("COVERED names {network}, which is not checked")).graph();
        let called = graph.train.iter().any(|call| call.contract.name == *contract);
        assert!(called, "the network {network} does not call {contract}");
    }
    for (contract, _) in COVERED {
        assert!(wanted.contains(contract), "COVERED names {contract}, which is no contract");
    }
}

#[test]
fn fused_and_single_layers_have_the_same_gradients() {
    for check in checks().iter().filter(|check| check.rig.settings.fuse) {
        let results = [&check.rig, &check.rig.unfused()].map(|rig| {
            let graph = rig.graph();
            let mut engine = rig.twins::<f64>();
            let gradients = gradients(&mut engine, &graph, &check.step);
            (gradients, loss(&mut engine, &graph, &check.step))
        });
        let [(fused, loss_fused), (single, loss_single)] = results;
        assert!((loss_fused - loss_single).abs() < 1e-13, "{}: {loss_fused} {loss_single}", check.name);
        for ((fused, single), name) in fused.iter().zip(&single).zip(check.rig.names()) {
            let scale = rms(single);
            for (a, b) in fused.iter().zip(single) {
                assert!((a - b).abs() <= 1e-12 * scale, "{}: {name}: {a:e} {b:e}", check.name);
            }
        }
    }
}

#[test]
fn blocks_are_fused_where_the_checks_say_so() {
    let contracts = |check: &Check| check.graph().train.iter().map(|call| call.contract.name).collect::<Vec<_>>();
    let blocks = check("conv blocks", &[BLOCK_6, BLOCK_3].concat());
    assert!(contracts(&blocks).contains(&"conv_block.forward"));
    let unfused = contracts(&blocks.unfused());
    assert!(!unfused.contains(&"conv_block.forward") && unfused.contains(&"relu.forward"));
}

#[test]
fn the_dropout_mask_belongs_to_the_step() {
    let check = check("dropout", &["conv2d filters=3", "dropout rate=0.5"]);
    let (graph, mut engine) = (check.graph(), check.rig.twins::<f64>());
    let mut at = |step: u32| loss(&mut engine, &graph, &StepParams { step, ..check.step });
    assert_eq!(at(0), at(0));
    assert_ne!(at(0), at(1));
}

#[test]
fn the_measured_gradient_norm_is_the_gradients() {
    let check = check("conv blocks", &[BLOCK_6, BLOCK_3].concat());
    let (graph, mut engine) = (check.graph(), check.rig.twins::<f64>());
    let squares: f64 = gradients(&mut engine, &graph, &check.step).iter().flatten().map(|g| g * g).sum();
    let measured = f64::from(engine.finished().unwrap()[0].gradient_squares);
    assert!((measured - squares).abs() < 1e-6 * squares, "{measured} {squares}");
}
