//! Micro-batches: a step whose images are computed a few at a time is the step of the whole batch, within rounding, on both
//! engines and in both precisions; it repeats to the bit, and is refused as a whole.

use crate::common::rig::{Rig, adam, model, read, share_of_largest};
use crate::common::{self, Device, on_every_device, on_every_device_with_f16};
use galaxy_gpu::engine::{Engine, Metrics};
use galaxy_gpu::graph::Augment;
use galaxy_gpu::kernels::{Precision, StepParams};
use galaxy_gpu::plan::Program;

const BATCH: usize = 7;
const IMAGES: usize = 18;

/// Convolutions fused and not, dropout at both ends, augmentation, label smoothing and class weights: every number that
/// depends on an image's place in its batch, and every mean over the batch.
fn rig(precision: Precision) -> Rig {
    let layers = [
        "conv2d filters=8",
        "relu",
        "max_pool2d",
        "dropout rate=0.3",
        "conv2d filters=6 kernel=5 stride=2",
        "relu",
        "flatten",
        "dense units=24",
        "relu",
        "dropout rate=0.4",
        "dense",
    ];
    let mut rig = Rig::new(&model(&layers), (24, 20), 5, IMAGES, BATCH);
    rig.settings.augment = Some(Augment::default());
    rig.settings.label_smoothing = 0.1;
    rig.settings.precision = precision;
    rig.class_weights = (1..=5).map(|class| class as f32 / 3.0).collect();
    rig
}

fn cut(rig: &Rig, images: usize) -> Rig {
    let mut rig = rig.clone();
    rig.settings.micro_batch = Some(images);
    rig
}

/// Two epochs of three steps, the last of an epoch short: 7, 7, 4.
fn six_steps() -> Vec<StepParams> {
    let firsts = [0, 7, 14, 0, 7, 14];
    (1..).zip(firsts).map(|(t, first)| adam(t, first, BATCH.min(IMAGES - first))).collect()
}

fn train(engine: &mut dyn Engine) -> Vec<Metrics> {
    engine.run(Program::Train, &six_steps()).unwrap();
    engine.wait().unwrap()
}

fn assert_metrics(name: &str, got: &[Metrics], want: &[Metrics], tolerance: f32) {
    assert_eq!(got.len(), want.len(), "{name}: one row a step");
    for (step, (a, b)) in got.iter().zip(want).enumerate() {
        assert_eq!((a.count, a.hits), (b.count, b.hits), "{name}, step {step}");
        let close = |a: f32, b: f32, share: f32| (a - b).abs() <= share * b;
        assert!(close(a.loss, b.loss, tolerance), "{name}, step {step}: {a:?}, whole {b:?}");
        // squares, of a gradient that is a bound further off than the loss
        let bound = 20.0 * tolerance;
        assert!(close(a.gradient_squares, b.gradient_squares, bound), "{name}, step {step}: {a:?}, whole {b:?}");
    }
}

on_every_device!(
    in_f32_micro_batches_are_the_whole_batch_within_rounding,
    inference_in_micro_batches_gives_the_same_scores,
    a_micro_batch_that_is_not_finite_refuses_its_whole_step_once
);
on_every_device_with_f16!(
    in_mixed_precision_the_gradient_is_the_whole_batchs,
    in_mixed_precision_it_is_refused_once_too
);

/// In f64 roundings are far below whatever a wrong place, count or mean would change.
#[test]
fn in_f64_micro_batches_are_the_whole_batch() {
    let rig = rig(Precision::F32);
    let mut whole = rig.twins::<f64>();
    let want = train(&mut whole);
    let parameters = whole.plan().tensor("parameters").unwrap();
    for images in [1, 2, 3, 6] {
        let mut micro = cut(&rig, images).twins::<f64>();
        let got = train(&mut micro);
        assert_metrics(&format!("{images} at a time"), &got, &want, 1e-6);
        let id = micro.plan().tensor("parameters").unwrap();
        let pairs = micro.floats(id).iter().zip(whole.floats(parameters));
        let worst = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        println!("{images} at a time: weights differ by {worst:.1e} after six steps");
        assert!(worst < 1e-9, "{images} at a time: weights differ by {worst}");
    }
    let moved = share_of_largest(&read(&mut whole, "parameters"), &read(&mut rig.twins::<f64>(), "parameters"));
    assert!(moved > 1e-3, "the steps trained something: {moved}");
}

/// Weights after six steps of up to 1e-3 each. Adam makes a step of whatever gradient there is, so that a parameter whose
/// gradient is little more than rounding moves by a share of that; on average nothing does (3e-8 at most and 2e-10 in the
/// mean on the twins and on Mesa's llvmpipe).
fn in_f32_micro_batches_are_the_whole_batch_within_rounding(device: Device) {
    let rig = rig(Precision::F32);
    let compare = |name: &str, whole: &mut dyn Engine, micro: &mut dyn Engine| {
        assert_metrics(name, &train(micro), &train(whole), 1e-5);
        let (got, want) = (read(micro, "parameters"), read(whole, "parameters"));
        let pairs = || got.iter().zip(&want).map(|(&a, &b)| f64::from((a - b).abs()));
        let (worst, mean) = (pairs().fold(0.0, f64::max), pairs().sum::<f64>() / got.len() as f64);
        println!("{name}: weights differ by {worst:.1e} at most and {mean:.1e} in the mean");
        assert!(worst < 1e-5 && mean < 1e-8, "{name}: weights differ by {worst}, {mean} in the mean");
    };
    for images in [2, 5] {
        let cut = cut(&rig, images);
        compare(&format!("{images} at a time"), &mut *rig.on(device), &mut *cut.on(device));
        if device == Device::Gpu {
            let gpu = common::gpu();
            compare(&format!("{images}, trusted"), &mut rig.on_gpu(&gpu, false), &mut cut.on_gpu(&gpu, false));
        }
    }
}

/// The gradient of the first step: activations are rounded to f16 alike, and sums are f32's.
fn in_mixed_precision_the_gradient_is_the_whole_batchs(device: Device) {
    let rig = rig(Precision::Mixed);
    let first = &six_steps()[..1];
    let (mut whole, mut micro) = (rig.on(device), cut(&rig, 3).on(device));
    whole.run(Program::Train, first).unwrap();
    micro.run(Program::Train, first).unwrap();
    assert_metrics("mixed", &micro.wait().unwrap(), &whole.wait().unwrap(), 1e-4);
    let share = share_of_largest(&read(&mut *micro, "gradient_sums"), &read(&mut *whole, "gradients"));
    println!("the gradient differs by {share:.1e} of its largest");
    assert!(share < 1e-4, "the gradient differs by {share} of its largest");
}

fn inference_in_micro_batches_gives_the_same_scores(device: Device) {
    let rig = rig(Precision::F32);
    let infer = |engine: &mut dyn Engine| {
        engine.run(Program::Infer, &six_steps()[..3]).unwrap();
        (engine.wait().unwrap(), read(engine, "probabilities"))
    };
    let (got, scores) = infer(&mut *cut(&rig, 3).on(device));
    let (want, wanted) = infer(&mut *rig.on(device));
    assert_metrics("inference", &got, &want, 1e-5);
    assert!(share_of_largest(&scores, &wanted) < 1e-5);
}

/// Twenty steps of seven micro-batches are more than one submission's parameters hold.
fn however_steps_are_submitted(precision: Precision) {
    let rig = cut(&rig(precision), 1);
    let steps: Vec<StepParams> = (1..=20).map(|t| adam(t, (t as usize - 1) % 2 * BATCH, BATCH)).collect();
    let run = |at_once: usize| -> (Vec<u32>, Vec<Metrics>) {
        let mut engine = rig.on_gpu(&common::gpu(), false);
        steps.chunks(at_once).for_each(|steps| engine.run(Program::Train, steps).unwrap());
        let metrics = engine.wait().unwrap();
        (read(&mut engine, "parameters").into_iter().map(f32::to_bits).collect(), metrics)
    };
    let (want, rows) = run(1);
    assert!(rows.len() == 20 && rows.iter().all(|row| row.count == 7.0 && row.loss.is_finite()), "{rows:?}");
    for at_once in [1, 3, 20] {
        assert!(run(at_once) == (want.clone(), rows.clone()), "{at_once} steps at once");
    }
}

#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn the_same_bits_however_steps_are_submitted() {
    however_steps_are_submitted(Precision::F32);
}

#[test]
#[cfg_attr(no_f16, ignore = "needs 16-bit floats")]
fn the_same_bits_in_mixed_precision_however_steps_are_submitted() {
    however_steps_are_submitted(Precision::Mixed);
}

fn a_micro_batch_that_is_not_finite_refuses_its_whole_step_once(device: Device) {
    refuses_its_step_once(device, Precision::F32);
}

fn in_mixed_precision_it_is_refused_once_too(device: Device) {
    refuses_its_step_once(device, Precision::Mixed);
}

/// One image whose loss is infinite, in the first, a middle and the last micro-batch.
fn refuses_its_step_once(device: Device, precision: Precision) {
    for place in [0, 3, 6] {
        let mut rig = cut(&rig(precision), 3);
        let bad = rig.order[place] as usize;
        rig.labels.iter_mut().enumerate().for_each(|(image, label)| *label = u32::from(image == bad));
        rig.class_weights = vec![1.0, f32::INFINITY, 1.0, 1.0, 1.0];
        refuses_once(&format!("{device}, {precision}, image {place}"), &rig, &mut *rig.on(device));
    }
}

fn refuses_once(name: &str, rig: &Rig, engine: &mut dyn Engine) {
    let status = |engine: &mut dyn Engine| {
        let id = engine.plan().persistent().unwrap().status;
        bytemuck::pod_collect_to_vec::<u8, u32>(&engine.read(id).unwrap())
    };
    let before = read(engine, "parameters");
    let [bad, good] = [adam(1, 0, BATCH), adam(2, BATCH, BATCH)];
    engine.run(Program::Train, &[bad]).unwrap();
    let rows = engine.wait().unwrap();
    assert!(rows.len() == 1 && rows[0].count == 7.0, "{name}: {rows:?}");
    assert!(!(rows[0].loss.is_finite() && rows[0].gradient_squares.is_finite()), "{name}: {rows:?}");
    assert_eq!(read(engine, "parameters"), before, "{name}");
    assert_eq!(status(engine), [0, 1], "{name}");
    let scale = if rig.settings.precision == Precision::Mixed { 4096.0 } else { 1.0 };
    let halved = if scale > 1.0 { scale / 2.0 } else { scale };
    assert_eq!(read(engine, "loss_scale")[..2], [halved, 1.0 / scale], "{name}");
    // nothing of it is left in the sums
    engine.run(Program::Train, &[good]).unwrap();
    let rows = engine.wait().unwrap();
    assert!(rows[0].loss.is_finite() && rows[0].gradient_squares.is_finite(), "{name}: {rows:?}");
    assert_eq!(status(engine), [1, 1], "{name}");
    let after = read(engine, "parameters");
    assert!(after != before && after.iter().all(|value| value.is_finite()), "{name}");
}
