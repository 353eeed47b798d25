//! Data sets that the device does not hold: streamed, with the same results to the bit.

use super::{Desk, SMALL, sides};
use crate::common;
use crate::common::{Device, on_every_device};
use galaxy_gpu::data::{Dataset, Pixels};
use galaxy_gpu::engine::{CpuEngine, Engine, Gpu, GpuEngine};
use galaxy_gpu::error::Error;
use galaxy_gpu::graph::Augment;
use galaxy_gpu::kernels::StepParams;
use galaxy_gpu::model::{Model, Network, initialise};
use galaxy_gpu::plan::{Plan, Profile, Program};
use galaxy_gpu::train::{Adam, Session, Setup};
use std::cell::Cell;
use std::sync::Arc;

const IMAGES: usize = 60;
const BYTES: usize = 15 * 17 * 3;

/// Images of 15x17 pixels, 765 bytes: they begin and end inside words.
fn odd() -> Dataset {
    let mut dataset = sides(IMAGES);
    (dataset.height, dataset.width) = (15, 17);
    dataset.pixels = Pixels::Owned(dataset.pixels[..IMAGES * BYTES].to_vec());
    dataset
}

/// A network whose largest tensor is the batch of images.
fn network() -> Network {
    Model::smallest(2).build(15, 17, 2).unwrap()
}

fn setup(data_memory: Option<u64>) -> Setup {
    Setup { training: true, augment: Some(Augment::default()), data_memory, ..Setup::inference(4) }
}

fn session<'a>(dataset: &'a Dataset, setup: &Setup, gpu: &Arc<Gpu>, profile: &Profile) -> Session<'a> {
    let make_engine = |plan: Plan| Ok(Box::new(GpuEngine::new(gpu, plan, false)?) as Box<dyn Engine>);
    let mut session = Session::new(&network(), dataset, setup, profile, make_engine).unwrap();
    let start = network().parameters().enumerate().map(|(i, p)| initialise(p, i, 5)).collect::<Vec<_>>();
    session.set_parameters(&start).unwrap();
    session
}

/// Weights and scores after two epochs over 45 images and inference of the other 15, in the first epoch with `per_submit`
/// steps at a time and then with three, so that what an earlier submission left behind lies in the way of later ones.
fn results(mut session: Session, per_submit: usize) -> (Vec<Vec<f32>>, Vec<f32>) {
    let mut step = 0;
    for epoch in 0..2 {
        let order: Vec<u32> = (0..IMAGES as u32).map(|i| (i * 7 + epoch * 5) % IMAGES as u32).collect();
        session.set_order(&order).unwrap();
        let steps = if epoch == 0 { per_submit } else { 3 };
        let [training, test] = [(0, 45), (45, 15)].map(|(first, count)| session.submissions(first, count, steps));
        for batches in &training {
            let queue = batches.iter().map(|batch| {
                step += 1;
                StepParams { first: batch.first, count: batch.count, slot: batch.slot, ..Adam::default().params(step) }
            });
            session.run(Program::Train, &queue.collect::<Vec<_>>()).unwrap();
        }
        for batches in &test {
            session.run(Program::Infer, batches).unwrap();
        }
        session.wait().unwrap();
    }
    (session.parameters().unwrap(), session.probabilities().unwrap())
}

#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn streamed_images_give_the_same_bits() {
    let gpu = common::gpu();
    let dataset = odd();
    let whole = session(&dataset, &setup(None), &gpu, gpu.profile());
    assert!(!whole.streams());
    let want = results(whole, 1);
    // one batch at a time, two, three, and as many as a submission takes: eight, in two bindings of sixteen images
    let cut = Profile { binding_bytes: 16 * BYTES as u64 + 60, ..gpu.profile().clone() };
    let rooms = [(0, 1), (8 * BYTES, 1), (14 * BYTES, 1), (59 * BYTES, 2)];
    for (room, bindings) in rooms {
        for per_submit in [1, 3, 8, 64] {
            let streamed = session(&dataset, &setup(Some(room as u64)), &gpu, &cut);
            let plan = streamed.engine().plan();
            assert_eq!(plan.persistent().unwrap().shards.len(), bindings);
            assert!(streamed.streams());
            assert!(results(streamed, per_submit) == want, "{room} bytes, {per_submit} steps a submission");
        }
    }
}

#[test]
fn what_cannot_be_allocated_is_streamed_unless_room_was_asked_for() {
    let dataset = odd();
    let resident = Cell::new(0);
    let make_engine = |plan: Plan| {
        if plan.bytes().1 >= (IMAGES * BYTES) as u64 {
            resident.set(resident.get() + 1);
            return Err(Error::Memory { problem: "out of memory".into(), remedy: "less".into() });
        }
        Ok(Box::new(CpuEngine::<f32>::new(plan)) as Box<dyn Engine>)
    };
    let open = |room, engine| Session::new(&network(), &dataset, &setup(room), &Profile::cpu(), engine);
    assert!(open(None, &make_engine).unwrap().streams());
    assert_eq!(resident.replace(0), 1, "it was tried");
    assert!(open(Some(0), &make_engine).unwrap().streams());
    assert_eq!(resident.get(), 0, "it was not tried");
    assert!(matches!(open(Some(1 << 30), &make_engine), Err(Error::Memory { .. })));
}

#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn submissions_out_of_turn_find_their_images_too() {
    let gpu = common::gpu();
    let dataset = odd();
    let scores = |room, backwards: bool| {
        let mut session = session(&dataset, &setup(room), &gpu, gpu.profile());
        session.set_order(&(0..IMAGES as u32).rev().collect::<Vec<u32>>()).unwrap();
        let mut submissions = session.submissions(0, IMAGES, 2);
        if backwards {
            submissions.reverse();
        }
        for steps in &submissions {
            session.run(Program::Infer, steps).unwrap();
        }
        session.wait().unwrap();
        session.probabilities().unwrap()
    };
    let want = scores(None, false);
    assert!(want == scores(Some(0), false) && want == scores(Some(8 * BYTES as u64), true));
    // another order while the next submission is gathered already
    let after_another = |room| {
        let mut session = session(&dataset, &setup(room), &gpu, gpu.profile());
        for order in [(0..IMAGES as u32).collect::<Vec<u32>>(), (0..IMAGES as u32).rev().collect()] {
            session.set_order(&order).unwrap();
            let fourth = session.submissions(24, 8, 2);
            session.run(Program::Infer, &fourth[0]).unwrap();
            // the fourth is gathered ahead and not run
            for steps in session.submissions(0, IMAGES, 2).iter().take(3) {
                session.run(Program::Infer, steps).unwrap();
            }
        }
        session.wait().unwrap();
        session.probabilities().unwrap()
    };
    assert!(after_another(None) == after_another(Some(8 * BYTES as u64)));
    let mut session = session(&dataset, &setup(Some(0)), &gpu, gpu.profile());
    session.set_order(&[1, 2, 3]).unwrap();
    let batch = |first, count| StepParams { first, count, ..StepParams::default() };
    let wrong = session.run(Program::Infer, &[batch(0, 2), batch(3, 1)]).unwrap_err().to_string();
    assert!(wrong.contains("position") && wrong.contains('3'), "{wrong}");
    let wrong = session.run(Program::Infer, &[batch(0, 4), batch(4, 4)]).unwrap_err().to_string();
    assert!(wrong.contains("at most 4"), "{wrong}");
}

on_every_device!(memory_for_images_is_an_option_that_changes_no_result);

fn memory_for_images_is_an_option_that_changes_no_result(device: Device) {
    let desk = Desk::new();
    let train =
        |more: &str| desk.json(&format!("{SMALL} --device {device} --epochs 2 --json {more}"))["weights_hash"].clone();
    let want = train("");
    for more in
        ["--data-memory 0 --steps-per-submit 1", "--data-memory 16KiB --steps-per-submit 5", "--data-memory 1GiB"]
    {
        assert_eq!(train(more), want, "{more}");
    }
    let text = desk.run(&format!("{SMALL} --device {device} --epochs 1 --data-memory 0 --out run"));
    assert!(Desk::said(&text, "memory ").ends_with("7.5 KiB of images at a time, streamed"), "{text}");
    let accuracy = |more: &str| desk.run(&format!("evaluate run --device {device} --images 40 --size 16 {more}"));
    assert_eq!(accuracy(""), accuracy("--data-memory 0"));
    desk.refuses(&format!("{SMALL} --data-memory much"), &["--data-memory", "auto"]);
}
