//! Mixed precision over whole steps: against the twins that round as it does, against f32, and its loss scale.

use crate::common;
use crate::common::rig::{Rig, adam, branches, read, share_of_largest, write};
use galaxy_gpu::engine::{Engine, Gpu, GpuEngine};
use galaxy_gpu::graph::Augment;
use galaxy_gpu::kernels::{Precision, StepParams};
use galaxy_gpu::model::Model;
use galaxy_gpu::plan::{AdapterKind, Profile, Program};
use half::f16;
use std::sync::Arc;

/// Bound on gradients against twins that round to f16 at the same places, as a share of the parameter's largest. Sums differ
/// in their last bits, so now and then an activation rounds to the neighbouring f16, a relative 2^-10.
const TWINS: f64 = 2e-3;

/// Bound on the whole gradient against f32's: length of the difference as a share of the length. Every activation on the
/// way is off by up to 2^-11, and a window whose two largest are nearer than that hands its gradient to the other one; a
/// missing or wrong scale would show as 1.
const F32: f64 = 0.05;

const BATCH: usize = 6;

/// The preset conv4 on 17 images of 32 px, so that the last batch is short.
fn rig(precision: Precision) -> Rig {
    let mut rig = Rig::new(&Model::preset("conv4").unwrap(), (32, 32), 10, 17, BATCH);
    rig.settings.precision = precision;
    rig.settings.augment = Some(Augment::default());
    rig
}

fn steps(count: i32) -> Vec<StepParams> {
    (1..=count).map(|t| adam(t, (t as usize - 1) % 2 * BATCH, BATCH)).collect()
}

/// The engine in mixed precision.
fn engine(rig: &Rig) -> GpuEngine {
    rig.on_gpu(&common::gpu(), false)
}

/// The largest difference between two engines' gradients of a parameter, as a share of its largest.
fn worst_gradient(rig: &Rig, got: &mut dyn Engine, want: &mut dyn Engine) -> (f64, String) {
    // gradients in the bank are those of the scaled loss
    let scale = |engine: &mut dyn Engine| read(engine, "loss_scale")[1];
    let (got_scale, want_scale) = (scale(got), scale(want));
    let unscaled = |values: Vec<f32>, scale: f32| values.into_iter().map(|v| v * scale).collect::<Vec<f32>>();
    let names = rig.names().into_iter().map(|name| {
        let tensor = format!("{name}.gradient");
        let (got, want) = (unscaled(read(got, &tensor), got_scale), unscaled(read(want, &tensor), want_scale));
        (share_of_largest(&got, &want), name)
    });
    names.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap()
}

#[test]
#[cfg_attr(no_f16, ignore = "needs 16-bit floats")]
fn gradients_are_those_of_twins_that_round_alike() {
    let mut branches = Rig::new(&branches(), (12, 12), 4, 17, BATCH);
    branches.settings.precision = Precision::Mixed;
    for rig in [rig(Precision::Mixed), branches.unfused(), branches] {
        let mut engine = engine(&rig);
        let mut twins = rig.twins::<f32>();
        let one = steps(1);
        engine.run(Program::Train, &one).unwrap();
        twins.run(Program::Train, &one).unwrap();
        let (metrics, want) = (engine.wait().unwrap()[0], twins.wait().unwrap()[0]);
        assert!((metrics.loss - want.loss).abs() < 2e-3 * want.loss, "{metrics:?}, twins {want:?}");
        let (worst, name) = worst_gradient(&rig, &mut engine, &mut twins);
        println!("worst gradient {worst:.1e} of {name}");
        assert!(worst < TWINS, "the gradient of {name} differs by {worst} of its largest");
    }
}

/// What a hardware adapter would be given.
#[test]
#[ignore = "needs cooperative matrices: scripts/matrix-tests"]
fn a_step_on_matrices_has_the_same_gradients() {
    holds_a_step_on_matrices_to_the_twins(&common::gpu());
}

/// The same on the shape that the largest cards have, anywhere.
#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn a_step_on_emulated_matrices_has_the_same_gradients() {
    let gpu = common::emulating("16x32".parse().unwrap());
    holds_a_step_on_matrices_to_the_twins(&gpu);
}

fn holds_a_step_on_matrices_to_the_twins(gpu: &Arc<Gpu>) {
    let rig = rig(Precision::Mixed);
    let hardware = Profile { kind: AdapterKind::Discrete, ..gpu.profile().clone() };
    let plan = rig.plan(&hardware);
    let on_matrices = plan.steps(Program::Train).iter().filter(|step| step.implementation == "matrix").count();
    assert!(on_matrices >= 9, "three directions of three blocks: {on_matrices}");
    let mut engine = GpuEngine::new(gpu, plan, false).unwrap();
    rig.load(&mut engine);
    let mut twins = rig.twins::<f32>();
    engine.run(Program::Train, &steps(1)).unwrap();
    twins.run(Program::Train, &steps(1)).unwrap();
    let (worst, name) = worst_gradient(&rig, &mut engine, &mut twins);
    println!("worst gradient {worst:.1e} of {name}");
    assert!(worst < TWINS, "the gradient of {name} differs by {worst} of its largest");
}

#[test]
#[cfg_attr(no_f16, ignore = "needs 16-bit floats")]
fn gradients_are_near_those_of_f32() {
    let (mixed, full) = (rig(Precision::Mixed), rig(Precision::F32));
    let mut engine = engine(&mixed);
    let mut want = full.on_gpu(&common::gpu(), false);
    engine.run(Program::Train, &steps(1)).unwrap();
    want.run(Program::Train, &steps(1)).unwrap();
    let (metrics, wanted) = (engine.wait().unwrap()[0], want.wait().unwrap()[0]);
    assert!((metrics.loss - wanted.loss).abs() < 1e-2 * wanted.loss, "{metrics:?}, f32 {wanted:?}");
    let norms = (metrics.gradient_squares / wanted.gradient_squares - 1.0).abs();
    assert!(norms < 0.05, "the metrics' norm is that of the unscaled gradient: {metrics:?}, f32 {wanted:?}");
    let scale = read(&mut engine, "loss_scale")[1];
    let (got, want) = (read(&mut engine, "gradients"), read(&mut want, "gradients"));
    let pairs = || got.iter().zip(&want).map(|(&a, &b)| (f64::from(a * scale), f64::from(b)));
    let length = |squares: f64| squares.sqrt();
    let share = length(pairs().map(|(a, b)| (a - b).powi(2)).sum()) / length(pairs().map(|(_, b)| b * b).sum());
    println!("the gradient differs by {share:.1e} of its length");
    assert!(share < F32, "the gradient differs by {share} of its length");
}

#[test]
#[cfg_attr(no_f16, ignore = "needs 16-bit floats")]
fn steps_repeat_to_the_bit_and_copies_follow_the_parameters() {
    let rig = rig(Precision::Mixed);
    let mut engine = engine(&rig);
    let all = steps(6);
    engine.run(Program::Train, &all).unwrap();
    let first = read(&mut engine, "parameters");
    let mut again = self::engine(&rig);
    all.iter().for_each(|step| again.run(Program::Train, &[*step]).unwrap());
    assert_eq!(first, read(&mut again, "parameters"), "in six submissions as in one");
    let rounded: Vec<f32> = first.iter().map(|&value| f16::from_f32(value).to_f32()).collect();
    assert_eq!(read(&mut engine, "half_parameters"), rounded);
    assert!(first.iter().zip(&rounded).any(|(a, b)| a != b), "the parameters themselves are f32");
}

#[test]
#[cfg_attr(no_f16, ignore = "needs 16-bit floats")]
fn an_overflow_refuses_the_step_and_halves_the_loss_scale() {
    let rig = rig(Precision::Mixed);
    let mut engine = engine(&rig);
    let before = read(&mut engine, "parameters");
    // so large that a gradient leaves f16's range, for some steps
    write(&mut engine, "loss_scale", bytemuck::cast_slice(&[16_777_216.0f32, 1.0, 0.0, 0.0]));
    engine.run(Program::Train, &steps(1)).unwrap();
    assert!(!engine.wait().unwrap()[0].gradient_squares.is_finite());
    assert_eq!(read(&mut engine, "parameters"), before);
    assert_eq!(read(&mut engine, "loss_scale")[..3], [8_388_608.0, 1.0 / 16_777_216.0, 0.0]);
    engine.run(Program::Train, &steps(20)).unwrap();
    let metrics = engine.wait().unwrap();
    assert!(metrics.last().unwrap().gradient_squares.is_finite(), "the scale has come down to what fits");
    let [scale, _, since, _] = read(&mut engine, "loss_scale")[..] else { panic!("four numbers") };
    let taken = metrics.iter().filter(|step| step.gradient_squares.is_finite()).count();
    assert!((1.0..8_388_608.0).contains(&scale) && since == taken as f32, "{scale} for {since} steps of {taken}");
    assert_ne!(read(&mut engine, "parameters"), before);
}
