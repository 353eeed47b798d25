//! The gradient of a logit with respect to the pixels: the slope of the f64 twins, and the same on the adapter.

use crate::common;
use crate::common::rig::{Rig, model, share_of_largest};
use galaxy_gpu::engine::{CpuEngine, Engine, GpuEngine, read_floats, write_floats};
use galaxy_gpu::kernels::{Precision, StepParams};
use galaxy_gpu::lowering::{Explained, explain};
use galaxy_gpu::model::Model;
use galaxy_gpu::plan::{Options, Plan, Profile, Program};

/// As in `tests/it/gradients.rs`: a difference over 1e-6 is good to 1e-10 of logits of about 1, whose gradients are 1e-3 and more.
const TOLERANCE: f64 = 1e-6;
const STEP: f64 = 1e-6;

/// Networks whose first layers are of every kind that a gradient has to pass.
fn rigs() -> Vec<(&'static str, Rig)> {
    let of = |layers: &[&str], size| Rig::new(&model(&[layers, &["flatten", "dense"]].concat()), size, 3, 3, 1);
    let blocks =
        ["conv2d filters=6", "relu", "max_pool2d", "conv2d filters=16", "relu", "max_pool2d", "dropout rate=0.5"];
    let odd = ["conv2d filters=4 kernel=5 stride=2", "relu", "conv2d filters=3 kernel=3 padding=\"valid\" bias=false"];
    vec![
        ("blocks", of(&blocks, (9, 8))),
        ("strides", of(&odd, (13, 11))),
        ("pool first", of(&["max_pool2d size=2", "relu", "conv2d filters=3"], (8, 8))),
        ("dense alone", of(&["dropout rate=0.3", "flatten", "dense units=5", "relu"], (4, 4))),
        ("conv3", Rig::new(&Model::preset("conv3").unwrap(), (16, 16), 10, 3, 1)),
    ]
}

fn explained(rig: &Rig, fuse: bool, precision: Precision) -> Explained {
    explain(&rig.network, fuse, precision).unwrap()
}

fn load(engine: &mut dyn Engine, rig: &Rig, explained: &Explained) {
    for (parameter, values) in explained.graph.parameters.iter().zip(&rig.parameters) {
        for id in [Some(parameter.values), parameter.half].into_iter().flatten() {
            if engine.plan().places[id].bytes > 0 {
                write_floats(engine, id, values).unwrap();
            }
        }
    }
}

fn picture(rig: &Rig) -> Vec<f32> {
    let (height, width, channels) = rig.network.image;
    rig.pixels[..height * width * channels].iter().map(|&byte| f32::from(byte) / 255.0).collect()
}

/// Gradient of the logit of class 1.
fn gradient(engine: &mut dyn Engine, rig: &Rig, explained: &Explained) -> Vec<f32> {
    write_floats(engine, explained.images, &picture(rig)).unwrap();
    let one_hot: Vec<f32> = (0..rig.network.classes).map(|class| f32::from(u8::from(class == 1))).collect();
    write_floats(engine, explained.logits_gradient, &one_hot).unwrap();
    engine.run(Program::Train, &[StepParams::default()]).unwrap();
    read_floats(engine, explained.images_gradient).unwrap()
}

#[test]
fn the_gradient_of_a_logit_is_its_slope() {
    for (name, rig) in rigs() {
        for fuse in [true, false] {
            let explained = explained(&rig, fuse, Precision::F32);
            let plan = Plan::new(&explained.graph, &Profile::cpu(), &Options::default()).unwrap();
            let mut engine = CpuEngine::<f64>::new(plan);
            load(&mut engine, &rig, &explained);
            gradient(&mut engine, &rig, &explained);
            let analytic = engine.floats(explained.images_gradient).to_vec();
            let forward = engine.plan().steps(Program::Train)[..explained.forward].to_vec();
            let logits = explained.features.last().unwrap().tensor;
            let scale = (analytic.iter().map(|g| g * g).sum::<f64>() / analytic.len() as f64).sqrt();
            assert!(scale > 1e-4, "{name}: gradients of {scale:e}, nothing is checked");
            for pixel in (0..analytic.len()).step_by(analytic.len().div_ceil(60)) {
                let mut shifted = |shift: f64| {
                    engine.floats_mut(explained.images)[pixel] += shift;
                    forward.iter().for_each(|step| engine.run_step(step, &StepParams::default()));
                    engine.floats_mut(explained.images)[pixel] -= shift;
                    engine.floats(logits)[1]
                };
                let difference = (shifted(STEP) - shifted(-STEP)) / (2.0 * STEP);
                let error = (analytic[pixel] - difference).abs() / (analytic[pixel].abs() + scale);
                assert!(error <= TOLERANCE, "{name}, fuse {fuse}, {pixel}: {:e} {difference:e}", analytic[pixel]);
            }
        }
    }
}

#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn the_adapter_explains_as_the_twins_do() {
    let gpu = common::gpu();
    for (name, rig) in rigs() {
        for fuse in [true, false] {
            let explained = explained(&rig, fuse, Precision::F32);
            let plan = Plan::new(&explained.graph, gpu.profile(), &Options::default()).unwrap();
            let mut engine = GpuEngine::new(&gpu, plan.clone(), true).unwrap();
            let mut twins = CpuEngine::<f32>::new(plan);
            load(&mut engine, &rig, &explained);
            load(&mut twins, &rig, &explained);
            let [got, want] = [gradient(&mut engine, &rig, &explained), gradient(&mut twins, &rig, &explained)];
            // as GRADIENTS in tests/it/engines.rs: sums of some thousand terms in f32 through a few layers
            let share = share_of_largest(&got, &want);
            assert!(share < 1e-4, "{name}, fuse {fuse}: {share:e}");
        }
    }
}
