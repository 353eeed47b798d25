//! Whole networks on the GPU engine: against the CPU twins, against itself, and through another cut of the same work.

use crate::common;
use crate::common::rig::{self, Rig, adam, model, read, share_of_largest};
use galaxy_gpu::engine::{Engine, GpuEngine, Metrics};
use galaxy_gpu::graph::Augment;
use galaxy_gpu::kernels::StepParams;
use galaxy_gpu::model::Model;
use galaxy_gpu::plan::{AdapterKind, Profile, Program, shards};

/// Bound on gradients, as a share of the parameter's largest. The longest sums here have some thousand terms in f32
/// (8 u sqrt(4096) = 3e-5), and rounding passes through up to seven layers; an element that goes another way at a tie of relu
/// or max would show as 1e-3 or more.
const GRADIENTS: f64 = 1e-4;

/// Bound on losses, relative. Adam's first steps have the size of the learning rate whatever the gradient, so what differs
/// between engines are parameters that hardly matter to the loss.
const LOSSES: f32 = 1e-5;

const BATCH: usize = 6;
const IMAGES: usize = 17;

/// A small conv4: two blocks with tiled kernels, two without, dropout and two hidden layers. 17 images of 32 px in
/// batches of 6, so that the last batch has 5.
pub(crate) fn conv4_like() -> Rig {
    let block = |filters: usize| [format!("conv2d filters={filters}"), "relu".into(), "max_pool2d".into()];
    let convolutions: Vec<String> = [6, 16, 32, 10].into_iter().flat_map(block).collect();
    let head = ["dropout rate=0.2", "flatten", "dense units=24", "relu", "dense units=15", "relu", "dense"];
    let layers: Vec<&str> = convolutions.iter().map(String::as_str).chain(head).collect();
    Rig::new(&model(&layers), (32, 32), 10, IMAGES, BATCH)
}

/// The preset conv3 on small images.
pub(crate) fn conv3() -> Rig {
    Rig::new(&Model::preset("conv3").unwrap(), (32, 32), 10, IMAGES, BATCH)
}

/// What neither has: strides, other windows, overlapping pools, relu alone, no bias, smoothing and class weights.
pub(crate) fn odd() -> Rig {
    let layers = [
        "conv2d filters=12 kernel=5 stride=2",
        "relu",
        "max_pool2d size=3 stride=2",
        "relu",
        "conv2d filters=9 kernel=3 padding=\"valid\" bias=false",
        "conv2d filters=8 kernel=1",
        "dropout rate=0.4",
        "flatten",
        "dense units=20 bias=false",
        "dropout rate=0.1",
        "dense",
    ];
    let mut rig = Rig::new(&model(&layers), (29, 34), 7, IMAGES, BATCH);
    rig.settings.label_smoothing = 0.1;
    rig.class_weights = (1..=7).map(|class| class as f32 / 4.0).collect();
    rig
}

/// Two tensors with several readers.
pub(crate) fn branches() -> Rig {
    Rig::new(&rig::branches(), (12, 12), 4, IMAGES, BATCH)
}

/// Five steps: an epoch of three, the last of them short, and two of the next.
pub(crate) fn five_steps() -> Vec<StepParams> {
    let firsts = [0, 6, 12, 0, 6];
    (1..).zip(firsts).map(|(t, first)| adam(t, first, BATCH.min(IMAGES - first))).collect()
}

/// Every engine that can be compared with the f32 twins.
fn for_checked_and_trusted(rig: &Rig, test: impl Fn(&str, GpuEngine)) {
    let gpu = common::gpu();
    test("checked", rig.on_gpu(&gpu, true));
    test("trusted", rig.on_gpu(&gpu, false));
}

pub(crate) fn run_one_by_one(engine: &mut dyn Engine, steps: &[StepParams]) -> Vec<Metrics> {
    steps.iter().for_each(|step| engine.run(Program::Train, &[*step]).unwrap());
    engine.wait().unwrap()
}

/// All parameters after five steps, as bits.
fn bits_after(mut engine: GpuEngine, submissions: &[&[StepParams]]) -> Vec<u32> {
    submissions.iter().for_each(|steps| engine.run(Program::Train, steps).unwrap());
    let bits: Vec<u32> = read(&mut engine, "parameters").into_iter().map(f32::to_bits).collect();
    assert!(bits.iter().all(|&bits| f32::from_bits(bits).is_finite()));
    bits
}

pub(crate) fn compare_gradients(name: &str, rig: &Rig, got: &mut dyn Engine, want: &mut dyn Engine) {
    let mut worst = (0.0, String::new());
    for parameter in rig.names() {
        let tensor = format!("{parameter}.gradient");
        let error = share_of_largest(&read(got, &tensor), &read(want, &tensor));
        if error > worst.0 {
            worst = (error, parameter);
        }
    }
    println!("{name}: worst gradient {:.1e} of {}", worst.0, worst.1);
    assert!(worst.0 < GRADIENTS, "{name}: the gradient of {} differs by {} of its largest", worst.1, worst.0);
}

pub(crate) fn compare_metrics(name: &str, got: &[Metrics], want: &[Metrics]) {
    assert_eq!(got.len(), want.len(), "{name}");
    for (step, (a, b)) in got.iter().zip(want).enumerate() {
        assert!((a.loss - b.loss).abs() <= LOSSES * b.loss, "{name}, step {step}: {a:?}, twins {b:?}");
        assert_eq!((a.hits, a.count), (b.hits, b.count), "{name}, step {step}");
        let norms = (a.gradient_squares - b.gradient_squares).abs();
        assert!(norms <= 2.0 * GRADIENTS as f32 * b.gradient_squares, "{name}, step {step}: {a:?}, twins {b:?}");
    }
}

#[test]
fn first_gradients_and_five_losses_are_the_twins() {
    let networks = [("conv4-like", conv4_like()), ("conv3", conv3()), ("odd", odd()), ("branches", branches())];
    for (network, rig) in networks {
        for (grouping, rig) in [("fused", rig.clone()), ("single layers", rig.unfused())] {
            for_checked_and_trusted(&rig, |mode, mut engine| {
                let name = format!("{network}, {grouping}, {mode}");
                let (steps, mut twins) = (five_steps(), rig.twins::<f32>());
                let mut got = run_one_by_one(&mut engine, &steps[..1]);
                let mut want = run_one_by_one(&mut twins, &steps[..1]);
                compare_gradients(&name, &rig, &mut engine, &mut twins);
                got.extend(run_one_by_one(&mut engine, &steps[1..]));
                want.extend(run_one_by_one(&mut twins, &steps[1..]));
                compare_metrics(&name, &got, &want);
                assert_eq!(got.iter().map(|m| m.count).collect::<Vec<f32>>(), [6.0, 6.0, 5.0, 6.0, 6.0]);
            });
        }
    }
}

/// What a card would run in f32, on any adapter.
#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn kernels_for_hardware_give_the_twins_gradients_and_the_same_bits_again() {
    let gpu = common::gpu();
    let rig = Rig::new(&Model::preset("conv4").unwrap(), (64, 64), 10, IMAGES, BATCH);
    let plan = rig.plan(&Profile { kind: AdapterKind::Discrete, ..gpu.profile().clone() });
    let count = |name: &str| plan.steps(Program::Train).iter().filter(|step| step.implementation == name).count();
    assert_eq!(
        (count("tiled"), count("sparse")),
        (8, 3),
        "two directions of two blocks and two dense layers; weights of three"
    );
    let engine = || {
        let mut engine = GpuEngine::new(&gpu, plan.clone(), false).unwrap();
        rig.load(&mut engine);
        engine.run(Program::Train, &five_steps()[..1]).unwrap();
        engine
    };
    let mut twins = rig.twins::<f32>();
    twins.run(Program::Train, &five_steps()[..1]).unwrap();
    compare_gradients("hardware", &rig, &mut engine(), &mut twins);
    assert_eq!(read(&mut engine(), "gradients"), read(&mut engine(), "gradients"));
}

#[test]
fn inference_gives_the_twins_probabilities_in_the_orders_rows() {
    let rig = conv4_like();
    for_checked_and_trusted(&rig, |mode, mut engine| {
        let mut twins = rig.twins::<f32>();
        for engine in [&mut engine as &mut dyn Engine, &mut twins] {
            engine.run(Program::Infer, &five_steps()[..3]).unwrap();
        }
        compare_metrics(mode, &engine.wait().unwrap(), &twins.wait().unwrap());
        let (got, want) = (read(&mut engine, "probabilities"), read(&mut twins, "probabilities"));
        assert_eq!(got.len(), IMAGES * 10);
        assert!(share_of_largest(&got, &want) < 1e-5, "{mode}");
        for row in got.chunks(10) {
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{mode}: {row:?}");
        }
    });
}

#[test]
fn images_past_the_last_count_for_nothing() {
    let rig = conv4_like();
    // says six images where the order has two left
    let past = StepParams { first: 15, ..adam(1, 0, BATCH) };
    for_checked_and_trusted(&rig, |mode, mut engine| {
        let mut twins = rig.twins::<f32>();
        let (got, want) = (run_one_by_one(&mut engine, &[past]), run_one_by_one(&mut twins, &[past]));
        compare_metrics(mode, &got, &want);
        compare_gradients(mode, &rig, &mut engine, &mut twins);
        let mut short = rig.twins::<f32>();
        let short = run_one_by_one(&mut short, &[StepParams { count: 2, ..past }]);
        assert_eq!((got[0].hits, want[0].loss), (short[0].hits, short[0].loss), "{mode}");
    });
}

#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn the_same_seed_gives_the_same_bits() {
    let mut rig = conv4_like();
    rig.settings.augment = Some(Augment::default());
    let gpu = common::gpu();
    let steps = five_steps();
    let run = |steps: &[StepParams], checked| bits_after(rig.on_gpu(&gpu, checked), &[steps]);
    let first = run(&steps, true);
    assert_eq!(first, run(&steps, true));
    assert_eq!(run(&steps, false), run(&steps, false));
    let other: Vec<StepParams> = steps.iter().map(|step| StepParams { seed: 4, ..*step }).collect();
    assert_ne!(first, run(&other, true), "the seed does nothing");
}

#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn steps_in_one_submission_give_the_same_bits() {
    let mut rig = conv4_like();
    rig.settings.augment = Some(Augment::default());
    let gpu = common::gpu();
    let steps = five_steps();
    let singly: Vec<&[StepParams]> = steps.chunks(1).collect();
    let by_three: Vec<&[StepParams]> = steps.chunks(3).collect();
    assert_eq!(bits_after(rig.on_gpu(&gpu, true), &singly), bits_after(rig.on_gpu(&gpu, true), &by_three));
}

#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn shards_give_the_same_bits_as_one_piece() {
    let gpu = common::gpu();
    // 31 pixels wide: an image of 2883 bytes ends inside a word
    let layers = ["conv2d filters=4", "relu", "max_pool2d", "flatten", "dense units=8", "relu", "dense"];
    let whole = Rig::new(&model(&layers), (31, 31), 10, IMAGES, BATCH);
    for augment in [None, Some(Augment::default())] {
        let mut whole = whole.clone();
        whole.settings.augment = augment;
        let mut cut = whole.clone();
        let image_bytes = 31 * 31 * 3;
        let small = Profile { binding_bytes: 3 * image_bytes as u64 + 3, ..gpu.profile().clone() };
        cut.settings.shards = shards(IMAGES, image_bytes, small.binding_bytes).unwrap();
        assert_eq!(cut.settings.shards.len(), 6, "three images a shard");
        let steps = five_steps();
        let [whole, cut] = [whole, cut].map(|rig| bits_after(rig.on_gpu(&gpu, true), &[&steps[..]]));
        assert_eq!(whole, cut, "augmentation {augment:?}");
    }
}

#[test]
fn staged_pixels_are_seen_by_the_next_run_and_not_before() {
    let rig = conv3();
    let image = 32 * 32 * 3;
    let inverted: Vec<u8> = rig.pixels.iter().map(|byte| !byte).collect();
    let still = StepParams { learning_rate: 0.0, ..adam(1, 0, BATCH) };
    let losses = |engine: &mut dyn Engine, stage: bool| {
        let pixels = engine.plan().persistent().unwrap().shards[0].pixels;
        let mut losses = Vec::new();
        for run in 0..6 {
            engine.run(Program::Train, &[still]).unwrap();
            if stage && run == 2 {
                // replaced before it is used, from parts of many lengths
                engine.stage(pixels, &[&[0; 7]]).unwrap();
                let parts: Vec<&[u8]> = inverted.chunks(image).flat_map(|image| [&image[..1], &image[1..]]).collect();
                engine.stage(pixels, &parts).unwrap();
            }
            losses.extend(engine.wait().unwrap());
        }
        losses.iter().map(|metrics| metrics.loss).collect::<Vec<f32>>()
    };
    let other = Rig { pixels: inverted.clone(), ..rig.clone() };
    for_checked_and_trusted(&rig, |mode, mut engine| {
        let gpu = common::gpu();
        let fresh = |rig: &Rig| losses(&mut rig.on_gpu(&gpu, mode == "checked"), false)[0];
        let (before, after) = (fresh(&rig), fresh(&other));
        assert_ne!(before, after);
        assert_eq!(losses(&mut engine, true), [before, before, before, after, after, after], "{mode}");
        let (mut twins, mut others) = (rig.twins::<f32>(), other.twins::<f32>());
        let (before, after) = (losses(&mut twins, false)[0], losses(&mut others, false)[0]);
        assert_eq!(losses(&mut rig.twins::<f32>(), true), [before, before, before, after, after, after]);
        let pixels = engine.plan().persistent().unwrap().shards[0].pixels;
        let long = vec![0; inverted.len() + 1];
        for engine in [&mut engine as &mut dyn Engine, &mut twins] {
            assert!(engine.stage(pixels, &[]).is_err() && engine.stage(pixels, &[&long]).is_err(), "{mode}");
        }
    });
}

#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn fused_and_single_layers_agree_on_the_gpu() {
    let gpu = common::gpu();
    let rig = conv4_like();
    let (mut fused, mut single) = (rig.on_gpu(&gpu, true), rig.unfused().on_gpu(&gpu, true));
    let steps = five_steps();
    let (got, want) = (run_one_by_one(&mut fused, &steps[..1]), run_one_by_one(&mut single, &steps[..1]));
    compare_metrics("fused", &got, &want);
    compare_gradients("fused", &rig, &mut fused, &mut single);
    let (got, want) = (run_one_by_one(&mut fused, &steps[1..]), run_one_by_one(&mut single, &steps[1..]));
    compare_metrics("fused", &got, &want);
}

#[test]
fn metrics_of_every_step_arrive_once_and_in_order() {
    let rig = conv3();
    for_checked_and_trusted(&rig, |mode, mut engine| {
        // no step changes anything, so a step's loss depends on its batch alone; more steps than slots in the ring
        let firsts = [0usize, 6, 12];
        let still = |i: usize| StepParams {
            learning_rate: 0.0,
            slot: i as u32,
            ..adam(1, firsts[i % 3], BATCH.min(IMAGES - firsts[i % 3]))
        };
        let steps: Vec<StepParams> = (0..75).map(still).collect();
        let mut arrived = Vec::new();
        for steps in steps.chunks(5) {
            engine.run(Program::Infer, steps).unwrap();
            arrived.extend(engine.finished().unwrap());
        }
        assert!(arrived.len() < 75, "{mode}: two submissions are in flight");
        arrived.extend(engine.wait().unwrap());
        assert_eq!(arrived.len(), 75, "{mode}");
        for (i, metrics) in arrived.iter().enumerate() {
            assert_eq!(metrics, &arrived[i % 3], "{mode}, step {i}");
        }
        assert_ne!(arrived[0].loss, arrived[1].loss);
        assert!(engine.wait().unwrap().is_empty(), "{mode}");
    });
}

#[test]
fn a_step_that_is_not_finite_changes_nothing() {
    let mut rig = conv3();
    rig.class_weights[rig.labels[rig.order[0] as usize] as usize] = f32::INFINITY;
    for_checked_and_trusted(&rig, |mode, mut engine| {
        let before = read(&mut engine, "parameters");
        let metrics = run_one_by_one(&mut engine, &five_steps()[..1]);
        assert!(!metrics[0].loss.is_finite(), "{mode}");
        assert_eq!(before, read(&mut engine, "parameters"), "{mode}");
        let status: Vec<u32> = read(&mut engine, "status").into_iter().map(f32::to_bits).collect();
        assert_eq!(status, [0, 1], "{mode}: may go on, steps refused");
    });
}
