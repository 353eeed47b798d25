//! What goes wrong in mid-training: numbers that are no longer finite, and devices that fail, by an engine that is told to and
//! by a device that is really destroyed.

use super::resume::{Archive, Stage, measured};
use super::{Desk, SMALL};
use crate::common;
use galaxy_gpu::engine::{CpuEngine, Engine, Gpu, GpuEngine, Metrics, Timeline};
use galaxy_gpu::error::{Error, Result};
use galaxy_gpu::graph::{Augment, TensorId};
use galaxy_gpu::kernels::StepParams;
use galaxy_gpu::plan::{Plan, Profile, Program};
use galaxy_gpu::train::checkpoint::Keeper;
use galaxy_gpu::train::history::History;
use galaxy_gpu::train::{
    Adam, Checkpoint, Curve, Outcome, Schedule, Session, Settings, Setup, State, Weights, resume, train,
};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

const RATE: f32 = 0.01;

/// What an engine does wrong, and what it saw.
#[derive(Default)]
struct Script {
    /// Calls since the training began, and those among them that fail.
    calls: Cell<usize>,
    failing: Vec<usize>,
    armed: Cell<bool>,
    /// From this step on the loss is infinite, as long as the learning rate is above the second number.
    diverges: Option<(u32, f32)>,
    /// The device that is destroyed at this submission of training.
    destroys: Option<(usize, Arc<Gpu>)>,
    rates: RefCell<Vec<f32>>,
}

/// An engine that follows a script.
struct Faulty {
    engine: Box<dyn Engine>,
    script: Rc<Script>,
}

impl Faulty {
    /// Counts a call, which may be one of those that fail.
    fn call(&mut self) -> Result<&mut dyn Engine> {
        let call = self.script.calls.get() + usize::from(self.script.armed.get());
        self.script.calls.set(call);
        match self.script.armed.get() && self.script.failing.contains(&call) {
            true => Err(Error::device("the device was lost", "try another")),
            false => Ok(&mut *self.engine),
        }
    }
}

impl Engine for Faulty {
    fn plan(&self) -> &Plan {
        self.engine.plan()
    }

    fn device(&self) -> String {
        self.engine.device()
    }

    fn write(&mut self, tensor: TensorId, bytes: &[u8]) -> Result<()> {
        self.call()?.write(tensor, bytes)
    }

    fn stage(&mut self, tensor: TensorId, parts: &[&[u8]]) -> Result<()> {
        self.call()?.stage(tensor, parts)
    }

    fn run(&mut self, program: Program, steps: &[StepParams]) -> Result<()> {
        self.call()?;
        if program == Program::Infer {
            return self.engine.run(program, steps);
        }
        let script = self.script.clone();
        if let Some((submission, gpu)) = &script.destroys
            && script.rates.borrow().len() == *submission
        {
            gpu.destroy();
        }
        let weights = self.plan().persistent()?.class_weights;
        for step in steps {
            script.rates.borrow_mut().push(step.learning_rate);
            if let Some((first, rate)) = script.diverges {
                let bad = step.step >= first && step.learning_rate > rate;
                let value = if bad { f32::INFINITY } else { 1.0 };
                self.engine.write(weights, bytemuck::cast_slice(&[value; 2]))?;
            }
            self.engine.run(program, std::slice::from_ref(step))?;
        }
        Ok(())
    }

    fn finished(&mut self) -> Result<Vec<Metrics>> {
        self.call()?.finished()
    }

    fn wait(&mut self) -> Result<Vec<Metrics>> {
        self.call()?.wait()
    }

    fn read(&mut self, tensor: TensorId) -> Result<Vec<u8>> {
        self.call()?.read(tensor)
    }

    fn clock(&self) -> &'static str {
        self.engine.clock()
    }

    fn time(&mut self, program: Program, params: &StepParams, repeats: usize) -> Result<f64> {
        self.engine.time(program, params, repeats)
    }

    fn timeline(&mut self, program: Program, params: &StepParams) -> Result<Timeline> {
        self.engine.timeline(program, params)
    }

    fn run_alone(&mut self, program: Program, number: usize, params: &StepParams) -> Result<()> {
        self.call()?.run_alone(program, number, params)
    }

    fn renew(&mut self) -> Result<()> {
        self.call()?;
        self.engine.renew()
    }
}

/// How a training is done, beside its script.
#[derive(Clone, Default)]
struct Manner {
    per_submit: usize,
    data_memory: Option<u64>,
    state: Option<Arc<State>>,
    schedule: Schedule,
    ema: Option<f64>,
}

/// Two epochs of six steps on the twins, or on an adapter.
fn run(script: Script, manner: &Manner, gpu: Option<&Arc<Gpu>>) -> (Outcome, Archive, Rc<Script>) {
    let (stage, script) = (Stage::new(), Rc::new(script));
    let make_engine = |plan: Plan| {
        let engine: Box<dyn Engine> = match gpu {
            Some(gpu) => Box::new(GpuEngine::new(gpu, plan, false)?),
            None => Box::new(CpuEngine::<f32>::new(plan)),
        };
        Ok(Box::new(Faulty { engine, script: script.clone() }) as Box<dyn Engine>)
    };
    let data_memory = manner.data_memory;
    let ema = manner.ema;
    let augment = Some(Augment::default());
    let setup = Setup { training: true, augment, data_memory, ema: ema.is_some(), ..Setup::inference(4) };
    let profile = gpu.map_or_else(Profile::cpu, |gpu| gpu.profile().clone());
    let mut session = Session::new(&stage.network, &stage.dataset, &setup, &profile, make_engine).unwrap();
    let adam = Adam { learning_rate: RATE, ema, ..Adam::default() };
    let settings = Settings {
        epochs: 2,
        seed: 4,
        adam,
        per_submit: manner.per_submit.max(1),
        schedule: manner.schedule,
        ..Settings::default()
    };
    let mut archive = Archive::default();
    // what happens before the first step is an error of its own
    let begun = session.parameters().is_ok();
    script.armed.set(begun);
    let outcome = match &manner.state {
        Some(state) => resume(&mut session, &stage.split, &settings, state, &mut archive),
        None => train(&mut session, &stage.network, &stage.split, &settings, &mut archive),
    };
    drop(session);
    (outcome.unwrap(), archive, script)
}

fn bits(outcome: &Outcome) -> Vec<u32> {
    outcome.parameters.iter().flatten().map(|value| value.to_bits()).collect()
}

/// Calls that set the first state up, whose failure is an error without a training.
const SET_UP: usize = 16;

#[test]
fn a_device_that_fails_once_changes_no_bit() {
    let (whole, archive, script) = run(Script::default(), &Manner::default(), None);
    let calls = script.calls.get();
    assert!(calls > 100 && archive.notes.is_empty() && archive.states.len() == 14, "{calls}");
    for (number, failing) in (SET_UP..=calls).step_by(5).enumerate() {
        let manner = Manner { per_submit: [1, 2, 8][number % 3], ..Manner::default() };
        let (found, archive, _) = run(Script { failing: vec![failing], ..Script::default() }, &manner, None);
        assert!(found.failure.is_none() && bits(&found) == bits(&whole), "call {failing}: {:?}", found.failure);
        assert_eq!((found.steps, measured(&found.history)), (whole.steps, measured(&whole.history)), "call {failing}");
        // every epoch is told of once
        assert_eq!(archive.records.len(), 2, "call {failing}");
        assert!(archive.notes.len() <= 1 && archive.notes.iter().all(|note| note.contains("opened again")));
    }
}

#[test]
fn a_device_that_keeps_failing_ends_the_run_with_a_state_to_resume() {
    let (whole, _, _) = run(Script::default(), &Manner::default(), None);
    let failing = (60..).take(1000).collect();
    let (found, archive, _) = run(Script { failing, ..Script::default() }, &Manner::default(), None);
    assert!(matches!(found.failure, Some(Error::Device { .. })), "{:?}", found.failure);
    assert_eq!(archive.notes.len(), 1);
    let last = archive.states.last().unwrap();
    assert!(found.steps == last.standing.steps && found.steps < whole.steps);
    let manner = Manner { state: Some(last.clone()), ..Manner::default() };
    let (end, ..) = run(Script::default(), &manner, None);
    assert!(bits(&end) == bits(&whole) && bits(&found) != bits(&whole));
}

#[test]
fn a_training_that_diverges_goes_back_with_a_lower_rate() {
    // in the middle of the second epoch
    let script = || Script { diverges: Some((7, RATE / 2.0)), ..Script::default() };
    let (whole, archive, saw) = run(script(), &Manner::default(), None);
    assert!(whole.failure.is_none(), "{:?}", whole.failure);
    assert_eq!((whole.roll_backs, whole.refused, whole.steps), (1, 5, 12));
    assert_eq!(archive.records.len(), 2);
    let rates = saw.rates.borrow();
    assert_eq!((rates[5], rates[rates.len() - 1]), (RATE, RATE / 4.0));
    assert!(archive.notes.len() == 1 && archive.notes[0].contains("learning rate 0.0025"), "{:?}", archive.notes);
    let manners = [(2, None), (8, None), (3, Some(0))];
    for (per_submit, data_memory) in manners {
        let (found, ..) = run(script(), &Manner { per_submit, data_memory, ..Manner::default() }, None);
        assert_eq!(bits(&found), bits(&whole), "{per_submit} a submission");
        assert_eq!((found.roll_backs, found.refused), (whole.roll_backs, whole.refused));
    }
    // also from within the epoch that is undone, and from within the refused steps
    for (number, state) in archive.states.iter().enumerate() {
        let manner = Manner { state: Some(state.clone()), ..Manner::default() };
        let (found, ..) = run(script(), &manner, None);
        assert_eq!(bits(&found), bits(&whole), "from state {number}");
        assert_eq!((found.roll_backs, found.refused), (whole.roll_backs, whole.refused), "from state {number}");
        assert_eq!(measured(&found.history), measured(&whole.history), "from state {number}");
    }
}

#[test]
fn a_roll_back_cuts_what_the_schedule_says_and_takes_the_average_back() {
    let schedule = Schedule { curve: Curve::Step { epochs: 1, factor: 0.5 }, ..Schedule::default() };
    let manner = |state| Manner { schedule, ema: Some(0.9), state, ..Manner::default() };
    let script = || Script { diverges: Some((7, RATE / 4.0)), ..Script::default() };
    let (whole, archive, saw) = run(script(), &manner(None), None);
    assert_eq!((whole.roll_backs, whole.refused, whole.steps), (1, 5, 12), "{:?}", whole.failure);
    let rates = saw.rates.borrow();
    assert_eq!((rates[5], rates[6], rates[rates.len() - 1]), (RATE, RATE / 2.0, RATE / 8.0));
    assert!(archive.notes.len() == 1 && archive.notes[0].contains("learning rate 0.00125"), "{:?}", archive.notes);
    for (number, state) in archive.states.iter().enumerate() {
        let (found, ..) = run(script(), &manner(Some(state.clone())), None);
        assert_eq!(bits(&found), bits(&whole), "from state {number}");
    }
}

#[test]
fn a_training_that_keeps_diverging_ends_and_says_where() {
    let script = Script { diverges: Some((7, 0.0)), ..Script::default() };
    let (found, archive, _) = run(script, &Manner::default(), None);
    let message = found.failure.as_ref().unwrap().to_string();
    assert!(
        message.contains("softmax_cross_entropy.loss of layer ") && message.contains("below 0.00015625"),
        "{message}"
    );
    assert_eq!((found.roll_backs, found.refused, found.steps), (3, 20, 6));
    // what is left is the start of the second epoch
    assert!(archive.states.iter().all(|state| state.is_finite()));
    let start = archive.states.iter().find(|state| state.standing.steps == 6).unwrap();
    assert!(archive.states.last().unwrap().tensors == start.tensors);
    assert_eq!(archive.records.len(), 1);
}

#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn a_destroyed_device_is_replaced_and_changes_no_bit() {
    let gpu = common::gpu();
    let (whole, ..) = run(Script::default(), &Manner::default(), Some(&gpu));
    for (submission, data_memory) in [(0, None), (4, None), (7, Some(0))] {
        // one of its own, as other tests use the first
        let gpu = Gpu::open(None).unwrap();
        let script = Script { destroys: Some((submission, gpu.clone())), ..Script::default() };
        let manner = Manner { data_memory, ..Manner::default() };
        let (found, archive, _) = run(script, &manner, Some(&gpu));
        assert!(found.failure.is_none() && bits(&found) == bits(&whole), "{:?}", found.failure);
        assert_eq!(archive.notes.len(), 1, "{:?}", archive.notes);
    }
}

#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn a_device_that_does_not_answer_is_an_error_and_another_takes_over() {
    let gpu = Gpu::open(None).unwrap();
    let stage = Stage::new();
    let make_engine = |plan: Plan| Ok(Box::new(GpuEngine::new(&gpu, plan, false)?) as Box<dyn Engine>);
    let setup = Setup { training: true, ..Setup::inference(30) };
    let mut session = Session::new(&stage.network, &stage.dataset, &setup, gpu.profile(), make_engine).unwrap();
    session.set_order(&(0..30).collect::<Vec<u32>>()).unwrap();
    let steps = session.submissions(0, 30, 1).remove(0);
    gpu.set_timeout(Duration::ZERO);
    let message = (0..1000).find_map(|_| session.run(Program::Train, &steps).err()).unwrap().to_string();
    assert!(message.contains("has not answered for 0 s"), "{message}");
    assert!(session.run(Program::Train, &steps).is_err(), "it is not used again");
    gpu.set_timeout(Duration::from_secs(300));
    session.renew().unwrap();
    session.set_order(&(0..30).collect::<Vec<u32>>()).unwrap();
    assert_eq!(session.infer(0, 30, 1).unwrap().count(), 30);
}

#[test]
fn a_checkpoint_within_an_epoch_holds_the_last_good_state_too() {
    let desk = Desk::new();
    let (_, archive, _) = run(Script::default(), &Manner::default(), None);
    let state = &archive.states[3];
    let sound = state.sound.as_ref().unwrap();
    assert!(sound.standing.steps == 0 && sound.tensors != state.tensors);
    desk.run(&format!("{SMALL} --device reference --epochs 1 --out run"));
    let path = desk.path("run");
    let (Checkpoint { identity, .. }, _) = Checkpoint::load(&path).unwrap();
    for state in archive.states {
        let checkpoint = Checkpoint { identity: identity.clone(), state };
        let mut keeper = Keeper::new(&path);
        keeper.keep(checkpoint.clone()).unwrap();
        keeper.finish().unwrap();
        let (read, note) = Checkpoint::load(&path).unwrap();
        // in a file they are sorted
        let tensors = |state: &State| {
            let mut tensors = state.tensors.clone();
            tensors.sort_by(|a, b| a.name.cmp(&b.name));
            tensors
        };
        assert!(note.is_none() && tensors(&read.state) == tensors(&checkpoint.state));
        let sound = |Checkpoint { state, .. }: &Checkpoint| {
            state.sound.as_ref().map(|s| (tensors(s), s.standing.steps, measured(&s.standing.history)))
        };
        assert!(sound(&read) == sound(&checkpoint));
    }
}

/// In half precision, many convolutions with enormous weights overflow.
fn train_deep(desk: &Desk, convolutions: usize) -> (Option<i32>, String) {
    let layers = "{ type = 'conv2d', filters = 8 }, { type = 'relu' },\n".repeat(convolutions);
    let model = format!("name = 'deep'\nlayer = [{layers}{{ type = 'flatten' }}, {{ type = 'dense' }}]\n");
    std::fs::write(desk.path("deep.toml"), model).unwrap();
    let line = "train --images 60 --size 16 --batch 5 --model deep.toml --epochs 30 --learning-rate 1 --augment off \
                --device reference --precision mixed --out run";
    let output = desk.program(line).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn the_program_finds_a_rate_that_trains() {
    let desk = Desk::new();
    let (code, said) = train_deep(&desk, 12);
    assert!(code == Some(0) && said.contains("with the learning rate 0.25"), "{said}");
    let history = History::read(&desk.path("run/history.csv")).unwrap();
    let numbers: Vec<u32> = history.epochs.iter().map(|record| record.epoch).collect();
    assert_eq!(numbers, (1..=30).collect::<Vec<u32>>(), "epochs that were undone are gone");
    assert!(Checkpoint::load(&desk.path("run")).unwrap().0.state.standing.roll_backs > 0);
}

#[test]
fn the_program_ends_a_diverging_run_with_its_last_good_state() {
    let desk = Desk::new();
    let (code, said) = train_deep(&desk, 30);
    assert_eq!((code, said.matches("training returns to step").count()), (Some(2), 3), "{said}");
    let error = said.lines().last().unwrap();
    assert!(error.starts_with("error: training: in step ") && error.contains(" of layer conv2d"), "{said}");
    assert!(error.ends_with("train again with a --learning-rate below 0.015625"), "{said}");
    let standing = &Checkpoint::load(&desk.path("run")).unwrap().0.state.standing;
    let card = Weights::load(&desk.path("run/weights/last.safetensors")).unwrap().card;
    assert_eq!((card.step, standing.roll_backs), (standing.steps, 3));
    assert_eq!(History::read(&desk.path("run/history.csv")).unwrap().epochs.len(), standing.history.epochs.len());
}
