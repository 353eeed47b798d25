//! Micro-batches in a whole training: resumed, streamed and chosen by the memory there is.

use super::resume::Stage;
use super::{Desk, SMALL};
use crate::common;
use galaxy_gpu::engine::{CpuEngine, Engine};
use galaxy_gpu::error::Error;
use galaxy_gpu::graph::Augment;
use galaxy_gpu::plan::{Plan, Profile};
use galaxy_gpu::train::{MicroBatch, Outcome, Session, Setup, plan_for};

fn setup(micro_batch: MicroBatch) -> Setup {
    Setup {
        training: true,
        augment: Some(Augment::default()),
        label_smoothing: 0.1,
        micro_batch,
        ..Setup::inference(4)
    }
}

fn twins(plan: Plan) -> Box<dyn Engine> {
    Box::new(CpuEngine::<f32>::new(plan))
}

/// Micro-batches of 3 in batches of 4, of which an epoch has five and one of 2: from states within an epoch and between
/// two, with other numbers of steps at a time, streamed and not.
#[test]
fn a_training_in_micro_batches_resumes_to_the_bit() {
    let stage = Stage::new();
    let profile = Profile::cpu();
    let open = |_: &Setup, plan: Plan| twins(plan);
    let setup = setup(MicroBatch::Images(3));
    let (whole, archive) = stage.run(&open, &profile, &setup, (1, None));
    assert_eq!((whole.steps, whole.refused), (12, 0), "steps are optimizer steps");
    let bits = |outcome: &Outcome| -> Vec<u32> { outcome.parameters.iter().flatten().map(|v| v.to_bits()).collect() };
    for (state, per_submit, data_memory) in [(0, 8, None), (2, 8, Some(0)), (5, 2, Some(8 * 768)), (7, 1, Some(0))] {
        let setup = Setup { data_memory, ..setup.clone() };
        let (found, _) = stage.run(&open, &profile, &setup, (per_submit, Some(&archive.states[state])));
        assert!(bits(&found) == bits(&whole), "weights from state {state}");
    }
    let one = Setup { micro_batch: MicroBatch::Whole, ..setup.clone() };
    let (batches, _) = stage.run(&open, &profile, &one, (1, None));
    let pairs = whole.history.epochs.iter().zip(&batches.history.epochs);
    for (micro, batch) in pairs {
        let close = |a: f32, b: f32| (a - b).abs() <= 1e-3 * b;
        assert!(close(micro.loss, batch.loss) && close(micro.val_loss, batch.val_loss), "{micro:?}, whole {batch:?}");
    }
}

/// Made-up adapters, each with a little less memory than a micro-batch of some size needs.
#[test]
fn auto_takes_the_fewest_micro_batches_that_fit_and_refuses_where_none_does() {
    let stage = Stage::new();
    let images = stage.dataset.len();
    let card = Profile { name: "card".into(), ..Profile::webgpu() };
    let with = |memory_bytes| Profile { memory_bytes: Some(memory_bytes), ..card.clone() };
    let of = |micro_batch| Setup { batch: 24, ..setup(micro_batch) };
    let plan = |micro_batch, profile: &Profile| plan_for(&stage.network, images, &of(micro_batch), profile);
    let need = |micro_batch| plan(micro_batch, &card).unwrap().0.bytes().0;
    let chosen = |profile: &Profile| MicroBatch::of(&plan(MicroBatch::Auto, profile).unwrap().0);
    assert_eq!(chosen(&card), MicroBatch::Whole, "nobody says that it does not fit");
    assert_eq!(chosen(&with(need(MicroBatch::Whole))), MicroBatch::Whole);
    assert_eq!(chosen(&with(need(MicroBatch::Images(12)))), MicroBatch::Images(12));
    let short = chosen(&with(need(MicroBatch::Images(12)) - 1));
    assert_eq!(short, MicroBatch::Images(8), "three of 8 and not 11, 11 and 2");
    assert_eq!(chosen(&with(need(MicroBatch::Images(1)))), MicroBatch::Images(1));
    let small = Profile { binding_bytes: 10 * 768 * 4, ..card.clone() };
    assert_eq!(chosen(&small), MicroBatch::Images(8), "a binding holds ten images");

    let sentence = plan(MicroBatch::Whole, &with(need(MicroBatch::Whole) - 1)).unwrap_err().to_string();
    for part in ["card needs ", " of memory, but only ", "--micro-batch auto", "--batch", "--data-memory"] {
        assert!(sentence.contains(part), "{part:?} is not in {sentence}");
    }
    let error = plan(MicroBatch::Auto, &with(need(MicroBatch::Images(1)) / 2)).unwrap_err();
    let sentence = error.to_string();
    assert!(matches!(error, Error::Memory { .. }) && sentence.starts_with("even with one image at a time, card needs"));
    assert!(sentence.contains("use a smaller --batch") && !sentence.contains("--micro-batch"), "{sentence}");
}

/// Where nobody knows what is free, it turns out when it is allocated.
#[test]
fn auto_takes_less_if_the_driver_gives_no_more() {
    let stage = Stage::new();
    let of = |micro_batch| Setup { batch: 24, ..setup(micro_batch) };
    let most = plan_for(&stage.network, 30, &of(MicroBatch::Images(6)), &Profile::cpu()).unwrap().0.bytes().0;
    let make_engine = |plan: Plan| match plan.bytes().0 <= most {
        true => Ok(twins(plan)),
        false => Err(Error::Memory { problem: "the driver did not give it".into(), remedy: "less".into() }),
    };
    let open = |micro| Session::new(&stage.network, &stage.dataset, &of(micro), &Profile::cpu(), make_engine);
    let session = open(MicroBatch::Auto).unwrap();
    assert_eq!(MicroBatch::of(session.engine().plan()), MicroBatch::Images(6), "24, 12, 6");
    assert!(matches!(open(MicroBatch::Whole), Err(Error::Memory { .. })));
    assert!(matches!(open(MicroBatch::Images(12)), Err(Error::Memory { .. })));
}

#[test]
fn a_run_says_keeps_and_resumes_its_micro_batches() {
    let desk = Desk::new();
    let train = format!("{SMALL} --device reference --micro-batch 4");
    let text = desk.run(&format!("{train} --epochs 2 --out whole"));
    assert!(text.contains("batch 10 in micro-batches of 4, "), "{text}");
    let hash = Desk::said(&text, "weights  hash");
    desk.run(&format!("{train} --epochs 1 --out run"));
    let (text, notes) = desk.both("train --resume run --epochs 2 --data-memory 0");
    assert!(text.contains("batch 10 in micro-batches of 4, ") && !notes.contains("--micro-batch"), "{text}{notes}");
    assert_eq!(Desk::said(&text, "weights  hash"), hash);
    let (text, notes) = desk.both("train --resume run --epochs 3 --micro-batch off");
    assert!(text.contains("batch 10, "), "{text}");
    assert!(notes.contains("another --micro-batch (4, now off): results agree within rounding"), "{notes}");
    for wrong in ["0", "-3", "some"] {
        desk.refuses(&format!("{SMALL} --micro-batch={wrong}"), &["--micro-batch", "auto"]);
    }
    let text = desk.run(&format!("{SMALL} --device reference --micro-batch auto --epochs 1"));
    assert!(text.contains("batch 10, "), "what fits is not cut: {text}");
}

/// A batch of images as floats that is larger than one binding.
#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn a_run_resumes_with_the_micro_batch_that_auto_chose() {
    let gpu = common::gpu();
    let whole = 65_536 * 16 * 16 * 3 * 4;
    if gpu.profile().binding_bytes >= whole {
        eprintln!("SKIPPED: {} takes the whole batch", gpu.profile().name);
        return;
    }
    let desk = Desk::new();
    let train = "train --images 40 --size 16 --model tiny.toml --precision f32 --batch 65536 --epochs 1 --adapter 0";
    desk.refuses(&format!("{train} --out whole"), &["adapter's limit is ", "--micro-batch auto"]);
    let said = "batch 65536 in micro-batches of 32768, ";
    let text = desk.run(&format!("{train} --micro-batch auto --out run"));
    assert!(text.contains(said), "{text}");
    let text = desk.run("train --resume run");
    assert!(text.contains(said), "{text}");
}
