//! Times steps: those of training and evaluation, with the same session, plan and kernels, on random images.

use super::pace::params;
use super::{Session, Settings, Setup, default_per_submit};
use crate::data::{Dataset, Pixels};
use crate::engine::measure::{Samples, Sampling, sample};
use crate::engine::{Engine, Metrics, Timeline};
use crate::error::{Error, Result};
use crate::graph::METRICS_SLOTS;
use crate::kernels::{Cost, Precision, StepParams};
use crate::model::{Network, initialise};
use crate::plan::{Plan, Profile, Program};
use crate::rng::pcg4d;
use rayon::prelude::*;
use std::cell::Cell;
use std::time::Instant;

/// A network and random images on an engine, ready to be timed.
pub struct Bench<'a> {
    session: Session<'a>,
    program: Program,
    settings: Settings,
    batches: Vec<StepParams>,
    queued: u32,
}

/// Seconds that each part of setting up took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Preparation {
    /// Planning.
    pub plan: f64,
    /// Buffers, shaders, pipelines and bind groups.
    pub pipelines: f64,
    /// Uploading images, labels and weights.
    pub upload: f64,
    /// The first submission, until its metrics arrive; includes the rest of the upload.
    pub first_step: f64,
}

/// Medians of several runs of a program, dispatch by dispatch.
pub struct Dispatches {
    /// Seconds of the dispatches of each step of the plan.
    pub seconds: Vec<Vec<f64>>,
    /// One of the runs.
    pub timeline: Timeline,
}

/// Sampling of whole steps.
const SAMPLING: Sampling = Sampling { samples: 5, seconds: 0.1, most_repeats: 64, budget: 3.0 };

/// Random images with labels in turn, as large as real ones and as hard to sample.
pub fn noise(images: usize, size: usize, classes: usize) -> Dataset {
    let mut pixels = vec![0; images * size * size * 3];
    pixels.par_chunks_mut(16).enumerate().with_min_len(4096).for_each(|(i, chunk)| {
        let words = pcg4d([i as u32, (i >> 32) as u32, 7, 0]);
        chunk.copy_from_slice(&bytemuck::bytes_of(&words)[..chunk.len()]);
    });
    Dataset {
        name: "random images".into(),
        height: size,
        width: size,
        pixels: Pixels::Owned(pixels),
        labels: (0..images).map(|image| (image % classes) as u32).collect(),
        classes: (0..classes).map(|class| format!("class {class}")).collect(),
        sky: None,
        given: None,
        notes: Vec::new(),
    }
}

/// Work of one step of a program.
pub fn cost(plan: &Plan, program: Program) -> Cost {
    plan.steps(program).iter().fold(Cost::default(), |sum, step| Cost {
        flops: sum.flops + step.cost.flops,
        bytes: sum.bytes + step.cost.bytes,
    })
}

impl<'a> Bench<'a> {
    /// Sets up a session on `dataset` (resident; only whole batches are used), runs one submission of training, or of inference if
    /// `setup` does not train, and returns how long each part took.
    ///
    /// # Errors
    /// As [`Session::new`], or there are fewer images than a batch has.
    pub fn new(
        network: &Network,
        dataset: &'a Dataset,
        setup: &Setup,
        profile: &Profile,
        make_engine: impl Fn(Plan) -> Result<Box<dyn Engine>>,
    ) -> Result<(Self, Preparation)> {
        if setup.batch == 0 || dataset.len() < setup.batch {
            let allowed = format!("at least 1 and at most the {} images", dataset.len());
            return Err(Error::setting("the batch", setup.batch, allowed));
        }
        let setup = &Setup { data_memory: Some(u64::MAX), ..setup.clone() };
        let planned = Cell::new(Preparation::default());
        let start = Instant::now();
        let mut session = Session::new(network, dataset, setup, profile, |plan| {
            let planning = start.elapsed().as_secs_f64();
            let engine = make_engine(plan);
            let pipelines = start.elapsed().as_secs_f64() - planning;
            planned.set(Preparation { plan: planning, pipelines, ..Preparation::default() });
            engine
        })?;
        let mut preparation = planned.get();
        let settings = settings(default_per_submit(profile.kind));
        let weights: Vec<Vec<f32>> = network.parameters().enumerate().map(|(i, p)| initialise(p, i, 0)).collect();
        session.set_parameters(&weights)?;
        session.set_order(&(0..dataset.len() as u32).collect::<Vec<u32>>())?;
        preparation.upload = start.elapsed().as_secs_f64() - preparation.plan - preparation.pipelines;
        let whole = dataset.len() / setup.batch * setup.batch;
        let batches = session.submissions(0, whole, METRICS_SLOTS).concat();
        let program = if setup.training { Program::Train } else { Program::Infer };
        let mut bench = Self { session, program, settings, batches, queued: 0 };
        let start = Instant::now();
        bench.submit(1)?;
        let ended = bench.session.wait()?;
        check(&ended, setup.precision)?;
        preparation.first_step = start.elapsed().as_secs_f64();
        Ok((bench, preparation))
    }

    /// The engine.
    pub fn engine(&self) -> &dyn Engine {
        self.session.engine()
    }

    /// The program that is timed.
    pub fn program(&self) -> Program {
        self.program
    }

    /// Work of one step.
    pub fn cost(&self) -> Cost {
        cost(self.engine().plan(), self.program)
    }

    /// Queues `steps` steps as one submission and returns how many earlier ones have ended.
    fn submit(&mut self, steps: usize) -> Result<usize> {
        let numbers = self.queued..self.queued + steps as u32;
        let step = |number: u32| {
            let slot = number % METRICS_SLOTS as u32;
            params(&self.settings, &StepParams { slot, ..self.batches[number as usize % self.batches.len()] }, number)
        };
        let steps: Vec<StepParams> = numbers.map(step).collect();
        self.queued += steps.len() as u32;
        let ended = self.session.run(self.program, &steps)?;
        check(&ended, self.session.precision())
    }

    /// Runs steps with the queue kept full, as training does, and returns the wall-clock seconds of a step, once for each submission,
    /// from the end of the previous one to its own. Continues while `more` returns true for the results so far.
    ///
    /// # Errors
    /// The device is lost, or a loss is not finite, as its step trains nothing.
    pub fn steps(&mut self, mut more: impl FnMut(&[f64]) -> bool) -> Result<Vec<f64>> {
        let mut seconds = Vec::new();
        let mut last: Option<Instant> = None;
        while more(&seconds) {
            let ended = self.submit(self.settings.per_submit)?;
            if ended > 0 {
                let now = Instant::now();
                seconds.extend(last.map(|last| (now - last).as_secs_f64() / ended as f64));
                last = Some(now);
            }
        }
        let ended = self.session.wait()?;
        check(&ended, self.session.precision())?;
        Ok(seconds)
    }

    /// Steps of one submission.
    pub fn per_submit(&self) -> usize {
        self.settings.per_submit
    }

    /// Seconds of one step by the engine's own clock.
    ///
    /// # Errors
    /// A lost device.
    pub fn device_seconds(&mut self) -> Result<Samples> {
        let step = self.next();
        sample(self.session.engine_mut(), self.program, &step, SAMPLING)
    }

    /// Seconds of a step by the engine's own clock, the mean of `repeats` in one submission.
    ///
    /// # Errors
    /// A lost device.
    pub fn time(&mut self, repeats: usize) -> Result<f64> {
        let step = self.next();
        self.session.engine_mut().time(self.program, &step, repeats)
    }

    /// Times each dispatch of a step alone, in the step's order and on its data; medians of several runs.
    ///
    /// # Errors
    /// A lost device.
    pub fn dispatches(&mut self) -> Result<Dispatches> {
        let step = self.next();
        dispatches(self.session.engine_mut(), self.program, &step, SAMPLING.budget)
    }

    fn next(&self) -> StepParams {
        params(&self.settings, &self.batches[0], self.queued)
    }
}

/// Settings for steps that are only timed.
fn settings(per_submit: usize) -> Settings {
    Settings { epochs: 1, per_submit, ..Settings::default() }
}

/// Medians of several runs of a step, at least three, and as many as fit into `budget` seconds.
fn dispatches(engine: &mut dyn Engine, program: Program, step: &StepParams, budget: f64) -> Result<Dispatches> {
    let mut run = || engine.timeline(program, step);
    let total = |timeline: &Timeline| timeline.steps.iter().flatten().map(|span| span.seconds).sum::<f64>();
    let timeline = run()?;
    let count = (budget / total(&timeline).max(1e-9)).clamp(3.0, 15.0) as usize;
    let runs = (0..count).map(|_| run()).collect::<Result<Vec<Timeline>>>()?;
    let median = |i: usize, j: usize| Samples::new(runs.iter().map(|run| run.steps[i][j].seconds).collect()).median();
    let spans = timeline.steps.iter().enumerate();
    let seconds = spans.map(|(i, spans)| (0..spans.len()).map(|j| median(i, j)).collect()).collect();
    let typical = runs.into_iter().min_by(|a, b| total(a).total_cmp(&total(b)));
    Ok(Dispatches { seconds, timeline: typical.unwrap_or(timeline) })
}

/// Times each dispatch of one step of a session alone, on the first images of its order: a training step if the session trains. That
/// changes the weights, so read what you need from the session first.
///
/// # Errors
/// The device is lost.
pub fn session_dispatches(session: &mut Session, budget: f64) -> Result<(Program, Dispatches)> {
    // if images are streamed, this brings those of the step onto the device
    let first = session.batch().min(session.dataset().len());
    session.infer(0, first, 1)?;
    let training = !session.engine().plan().steps(Program::Train).is_empty();
    let program = if training { Program::Train } else { Program::Infer };
    let step = params(&settings(1), &StepParams { count: first as u32, ..StepParams::default() }, 0);
    Ok((program, dispatches(session.engine_mut(), program, &step, budget)?))
}

/// Number of steps that ended. A refused step is an error, as it has not done a step's work, unless it is refused for its gradient in
/// mixed precision: that is how the loss scale adapts, and such a step does all the work except Adam's.
fn check(metrics: &[Metrics], precision: Precision) -> Result<usize> {
    let finite = |step: &Metrics| step.gradient_squares.is_finite() || precision == Precision::Mixed;
    match metrics.iter().all(|step| step.loss.is_finite() && finite(step)) {
        true => Ok(metrics.len()),
        false => Err(Error::device(
            "a loss or gradient is not finite, so its step did not train",
            "check the kernels with galaxy-gpu kernels validate",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::CpuEngine;
    use crate::model::Model;

    #[test]
    fn noise_is_noise_in_whole_batches() {
        let dataset = noise(7, 5, 3);
        assert_eq!((dataset.len(), dataset.pixels.len()), (7, 7 * 75));
        assert_eq!(dataset.class_counts(), [3, 2, 2]);
        let mean = dataset.pixels.iter().map(|&byte| f64::from(byte)).sum::<f64>() / dataset.pixels.len() as f64;
        assert!((mean - 127.5).abs() < 20.0, "{mean}");
    }

    #[test]
    fn every_submission_but_the_first_is_an_interval() {
        let network = Model::preset("conv3").unwrap().build(16, 16, 4).unwrap();
        let setup = Setup { training: true, ..Setup::inference(2) };
        let make_engine = |plan: Plan| Ok(Box::new(CpuEngine::<f32>::new(plan)) as Box<dyn Engine>);
        let dataset = noise(5, 16, 4);
        let (mut bench, _) = Bench::new(&network, &dataset, &setup, &Profile::cpu(), make_engine).unwrap();
        assert_eq!(bench.batches.len(), 2, "the fifth image fills no batch");
        let seconds = bench.steps(|seconds| seconds.len() < 3).unwrap();
        assert_eq!((seconds.len(), bench.queued), (3, 1 + 4));
        let dispatches = bench.dispatches().unwrap();
        assert_eq!(dispatches.seconds.len(), bench.engine().plan().steps(Program::Train).len());
        assert!(dispatches.seconds.iter().all(|seconds| seconds.len() == 1), "a twin is one dispatch");
    }

    #[test]
    fn a_session_times_a_step_of_what_it_was_set_up_for() {
        let network = Model::preset("conv3").unwrap().build(16, 16, 4).unwrap();
        let dataset = noise(3, 16, 4);
        for (training, wanted) in [(true, Program::Train), (false, Program::Infer)] {
            // streamed, and fewer images than a batch
            let setup = Setup { training, data_memory: Some(0), ..Setup::inference(4) };
            let make_engine = |plan: Plan| Ok(Box::new(CpuEngine::<f32>::new(plan)) as Box<dyn Engine>);
            let mut session = Session::new(&network, &dataset, &setup, &Profile::cpu(), make_engine).unwrap();
            session.set_order(&[2, 1, 0]).unwrap();
            let (program, found) = session_dispatches(&mut session, 0.0).unwrap();
            assert_eq!((program, found.seconds.len()), (wanted, session.engine().plan().steps(wanted).len()));
        }
    }

    #[test]
    fn steps_that_do_not_train_are_not_timed() {
        let step = Metrics { loss: 1.0, hits: 0.0, count: 1.0, gradient_squares: 1.0 };
        let overflown = Metrics { gradient_squares: f32::INFINITY, ..step };
        let lost = Metrics { loss: f32::NAN, ..step };
        assert_eq!(check(&[step; 2], Precision::F32).unwrap(), 2);
        assert!(check(&[step, overflown], Precision::F32).is_err());
        assert_eq!(check(&[step, overflown], Precision::Mixed).unwrap(), 2);
        assert!(check(&[step, lost], Precision::Mixed).is_err());
    }
}
