//! Schedules, decay, clipping, the average of the weights, patience and a time budget, in whole trainings: they do what they say,
//! with micro-batches and streamed images too, and go on from any step to the same bits.

use super::resume::{Archive, Stage, measured};
use crate::common;
use galaxy_gpu::engine::{CpuEngine, Engine, GpuEngine};
use galaxy_gpu::kernels::Precision;
use galaxy_gpu::plan::{Plan, Profile};
use galaxy_gpu::train::{
    Adam, Curve, Early, MicroBatch, Outcome, Schedule, Session, Settings, Setup, State, resume, train,
};
use std::sync::Arc;
use std::time::Duration;

type Open<'o> = &'o dyn Fn(Plan) -> Box<dyn Engine>;

/// Three epochs of six steps on the twins.
fn settings() -> Settings {
    let adam = Adam { learning_rate: 0.01, ..Adam::default() };
    Settings { epochs: 3, seed: 4, adam, per_submit: 1, ..Settings::default() }
}

fn setup(settings: &Settings) -> Setup {
    Setup { training: true, ema: settings.adam.ema.is_some(), ..Setup::inference(4) }
}

fn twins(plan: Plan) -> Box<dyn Engine> {
    Box::new(CpuEngine::<f32>::new(plan))
}

fn run_on(
    (open, profile): (Open, &Profile),
    setup: &Setup,
    settings: &Settings,
    state: Option<&Arc<State>>,
) -> (Outcome, Archive) {
    let stage = Stage::new();
    let make_engine = |plan: Plan| Ok(open(plan));
    let mut session = Session::new(&stage.network, &stage.dataset, setup, profile, make_engine).unwrap();
    let mut archive = Archive::default();
    let outcome = match state {
        Some(state) => resume(&mut session, &stage.split, settings, state, &mut archive),
        None => train(&mut session, &stage.network, &stage.split, settings, &mut archive),
    };
    (outcome.unwrap(), archive)
}

fn run(settings: &Settings, state: Option<&Arc<State>>) -> (Outcome, Archive) {
    run_on((&twins, &Profile::cpu()), &setup(settings), settings, state)
}

fn bits(outcome: &Outcome) -> Vec<u32> {
    outcome.parameters.iter().flatten().map(|value| value.to_bits()).collect()
}

/// A bank of a state.
fn bank(state: &State, name: &str) -> Vec<f64> {
    let tensor = state.tensors.iter().find(|tensor| tensor.name == name).unwrap();
    tensor.bytes.as_chunks().0.iter().map(|&word| f64::from(f32::from_le_bytes(word))).collect()
}

fn norm(values: &[f64]) -> f64 {
    values.iter().map(|value| value * value).sum::<f64>().sqrt()
}

/// Everything at once.
fn all_of_it() -> Settings {
    let adam = Adam { decay: 0.1, clip_norm: Some(0.5), ema: Some(0.9), ..settings().adam };
    let schedule = Schedule { curve: Curve::Cosine, warm_up: 0.5, floor: 1e-4 };
    Settings { adam, schedule, patience: Some(50), time_budget: Some(Duration::from_secs(3600)), ..settings() }
}

#[test]
fn every_step_resumes_with_each_of_them() {
    let adam = settings().adam;
    let schedule = |curve| Settings { schedule: Schedule { curve, warm_up: 0.4, floor: 1e-3 }, ..settings() };
    let of_adam = |adam| Settings { adam, ..settings() };
    let plain = run(&settings(), None);
    let mut ends = vec![bits(&plain.0)];
    for (name, settings) in [
        ("cosine", schedule(Curve::Cosine)),
        ("step", schedule(Curve::Step { epochs: 1, factor: 0.5 })),
        // an epoch without patience, so that every epoch after the first cuts the rate or begins a new lowest loss
        ("plateau", Settings { epochs: 5, ..schedule(Curve::Plateau { epochs: 1, factor: 0.5 }) }),
        ("decay", of_adam(Adam { decay: 0.1, ..adam })),
        ("clipping", of_adam(Adam { clip_norm: Some(0.3), ..adam })),
        ("average", of_adam(Adam { ema: Some(0.9), ..adam })),
        ("all", all_of_it()),
    ] {
        let (whole, archive) = run(&settings, None);
        assert!(whole.failure.is_none() && whole.early.is_none() && !ends.contains(&bits(&whole)), "{name} changes it");
        ends.push(bits(&whole));
        for (number, state) in archive.states.iter().enumerate().step_by(3) {
            let setup = Setup { data_memory: [None, Some(0)][number % 2], ..setup(&settings) };
            let settings = Settings { per_submit: [1, 4][number / 3 % 2], ..settings.clone() };
            let (found, after) = run_on((&twins, &Profile::cpu()), &setup, &settings, Some(state));
            assert!(bits(&found) == bits(&whole), "{name}: weights from state {number}");
            assert_eq!(measured(&found.history), measured(&whole.history), "{name}: history from state {number}");
            let last = |archive: &Archive| archive.states.last().unwrap().tensors.clone();
            assert!(last(&after) == last(&archive), "{name}: banks from state {number}");
        }
    }
}

#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn on_the_adapter_they_resume_with_micro_batches() {
    resume_on_the_adapter(Precision::F32);
}

#[test]
#[cfg_attr(no_f16, ignore = "needs 16-bit floats")]
fn on_the_adapter_they_resume_with_micro_batches_in_mixed_precision() {
    resume_on_the_adapter(Precision::Mixed);
}

fn resume_on_the_adapter(precision: Precision) {
    let gpu = common::gpu();
    let open = |plan: Plan| Box::new(GpuEngine::new(&gpu, plan, false).unwrap()) as Box<dyn Engine>;
    let settings = Settings { epochs: 2, ..all_of_it() };
    let setup = Setup { precision, micro_batch: MicroBatch::Images(3), ..setup(&settings) };
    let (whole, archive) = run_on((&open, gpu.profile()), &setup, &settings, None);
    for state in [&archive.states[2], &archive.states[9]] {
        let (found, _) = run_on((&open, gpu.profile()), &setup, &settings, Some(state));
        assert!(bits(&found) == bits(&whole), "{precision}");
    }
    assert!(whole.refused == 0 && whole.history.epochs.len() == 2, "{precision}");
    // and the twins say the same within what six steps of a hundredth make of roundings
    let (twin, _) = run_on((&twins, &Profile { f16: true, ..Profile::cpu() }), &setup, &settings, None);
    let pairs = twin.parameters.iter().flatten().zip(whole.parameters.iter().flatten());
    let mean = pairs.map(|(a, b)| f64::from((a - b).abs())).sum::<f64>() / bits(&whole).len() as f64;
    // f16 rounds a thousandth off
    let most = if precision == Precision::F32 { 1e-4 } else { 5e-3 };
    assert!(mean < most, "{precision}: weights differ by {mean} in the mean");
}

/// The first moment after the first step is a tenth of the gradient that Adam saw.
#[test]
fn a_clipped_step_is_one_of_the_gradient_scaled_down() {
    let gradient = |clip_norm, micro_batch| {
        let settings = Settings { adam: Adam { clip_norm, ..settings().adam }, ..settings() };
        let setup = Setup { micro_batch, ..setup(&settings) };
        let (_, archive) = run_on((&twins, &Profile::cpu()), &setup, &settings, None);
        assert_eq!(archive.states[1].standing.steps, 1);
        bank(&archive.states[1], "moment1").iter().map(|m| 10.0 * m).collect::<Vec<f64>>()
    };
    for micro_batch in [MicroBatch::Whole, MicroBatch::Images(3)] {
        let free = gradient(None, micro_batch);
        let whole = norm(&free);
        let clipped = gradient(Some(0.25 * whole as f32), micro_batch);
        for (clipped, free) in clipped.iter().zip(&free) {
            // a few roundings of f32
            assert!((clipped - 0.25 * free).abs() <= 1e-6 * whole, "{clipped} and {free}");
        }
        assert!((norm(&clipped) / (0.25 * whole) - 1.0).abs() < 1e-5);
        assert_eq!(gradient(Some(2.0 * whole as f32), micro_batch), free, "one that is small enough stays, to the bit");
    }
}

#[test]
fn the_average_matches_the_host_and_is_what_is_measured() {
    let adam = Adam { ema: Some(0.8), ..settings().adam };
    let settings = Settings { adam, ..settings() };
    let (outcome, archive) = run(&settings, None);
    let (plain, of_plain) = run(&self::settings(), None);
    let mut average = bank(&archive.states[0], "average");
    assert_eq!(average, bank(&archive.states[0], "parameters"), "it starts where the weights do");
    let mut steps = 0;
    for (state, plain) in archive.states.iter().zip(&of_plain.states) {
        let parameters = bank(state, "parameters");
        assert_eq!(parameters, bank(plain, "parameters"), "training itself knows nothing of it");
        // states at the end of an epoch are those of its last step
        if state.standing.steps > steps {
            // TensorFlow's ExponentialMovingAverage with num_updates
            let t = f64::from(steps);
            let decay = 0.8f64.min((1.0 + t) / (10.0 + t));
            average.iter_mut().zip(&parameters).for_each(|(a, p)| *a = decay * *a + (1.0 - decay) * p);
            steps = state.standing.steps;
        }
        let found = bank(state, "average");
        // eighteen roundings of weights below 1
        assert!(found.iter().zip(&average).all(|(a, b)| (a - b).abs() < 1e-6), "after {steps} steps");
    }
    assert_eq!(steps, 18);
    // what is saved, and what the epochs have measured, is the average
    let stage = Stage::new();
    let make_engine = |plan: Plan| Ok(twins(plan));
    let inference = Setup::inference(4);
    let mut session = Session::new(&stage.network, &stage.dataset, &inference, &Profile::cpu(), make_engine).unwrap();
    session.set_parameters(&outcome.parameters).unwrap();
    session.set_order(&stage.split.test).unwrap();
    let totals = session.infer(0, stage.split.test.len(), 1).unwrap();
    assert_eq!(totals.loss(), outcome.history.epochs[2].val_loss);
    assert!(bits(&outcome) != bits(&plain) && plain.history.epochs[2].val_loss != totals.loss());
}

#[test]
fn a_session_refuses_an_average_it_was_not_made_with() {
    let settings = Settings { adam: Adam { ema: Some(0.9), ..settings().adam }, ..settings() };
    let stage = Stage::new();
    let setup = Setup { ema: false, ..setup(&settings) };
    let make_engine = |plan: Plan| Ok(twins(plan));
    let mut session = Session::new(&stage.network, &stage.dataset, &setup, &Profile::cpu(), make_engine).unwrap();
    let refused = train(&mut session, &stage.network, &stage.split, &settings, &mut Archive::default());
    assert!(refused.err().unwrap().to_string().contains("ema"));
}

/// Nothing is learnt at such a rate, so that the first epoch stays the best.
#[test]
fn patience_ends_a_training_as_finished_and_more_patience_resumes_it() {
    let adam = Adam { learning_rate: 1e-20, ..Adam::default() };
    let long = Settings { epochs: 5, adam, ..settings() };
    let (whole, _) = run(&long, None);
    let (found, archive) = run(&Settings { patience: Some(2), ..long.clone() }, None);
    assert_eq!((found.early, found.stopped, found.history.epochs.len()), (Some(Early::Patience), false, 3));
    let state = archive.states.last().unwrap();
    let (again, after) = run(&Settings { patience: Some(2), ..long.clone() }, Some(state));
    assert_eq!((again.early, again.steps, after.records.len()), (Some(Early::Patience), found.steps, 0));
    let (end, _) = run(&Settings { patience: Some(9), ..long }, Some(state));
    assert!(end.early.is_none() && bits(&end) == bits(&whole) && end.history.epochs.len() == 5);
}

#[test]
fn without_any_time_each_call_makes_one_submission_and_the_end_is_the_same() {
    let settings = Settings { epochs: 2, ..all_of_it() };
    let (whole, _) = run(&settings, None);
    let hurried = Settings { time_budget: Some(Duration::ZERO), per_submit: 2, ..settings };
    let (mut found, mut archive) = run(&hurried, None);
    let mut calls = 1;
    while found.early.is_some() {
        assert_eq!((found.early, found.stopped), (Some(Early::TimeBudget), false));
        (found, archive) = run(&hurried, archive.states.last());
        calls += 1;
    }
    // each third submission ends an epoch, and then no other begins
    assert_eq!((calls, found.steps), (6, 12));
    assert!(bits(&found) == bits(&whole) && measured(&found.history) == measured(&whole.history));
}

#[test]
fn a_plateau_is_reported() {
    let curve = Curve::Plateau { epochs: 2, factor: 0.5 };
    let adam = Adam { learning_rate: 1e-20, ..Adam::default() };
    let schedule = Schedule { curve, ..Schedule::default() };
    let (found, archive) = run(&Settings { epochs: 4, adam, schedule, ..settings() }, None);
    assert_eq!(found.history.epochs.len(), 4);
    assert_eq!(archive.notes.len(), 1, "{:?}", archive.notes);
    assert!(archive.notes[0].contains("not fallen for 2 epochs; the learning rate is 0.000"), "{:?}", archive.notes);
}

#[test]
fn training_starts_from_the_weights_it_is_given() {
    let (first, _) = run(&settings(), None);
    let start = Some(Arc::new(first.parameters.clone()));
    let (_, archive) = run(&Settings { start, ..settings() }, None);
    let (_, seeded) = run(&settings(), None);
    let given = bank(&archive.states[0], "parameters");
    assert!(given != bank(&seeded.states[0], "parameters"));
    assert!(first.parameters.iter().flatten().all(|value| given.contains(&f64::from(*value))));
    assert!(bank(&archive.states[0], "moment1").iter().all(|m| *m == 0.0));
}
