//! The learning-rate finder: one short training whose rate grows from step to step, and the rate that its losses suggest.
//!
//! The test is Smith's ("Cyclical Learning Rates for Training Neural Networks", arXiv:1506.01186, section 3.3), with the
//! geometric growth, smoothing and end of fastai's `lr_find`.

mod suggestion;

pub use suggestion::{Rule, Suggestion};

use super::pace::params;
use super::{Session, Settings};
use crate::data::{Split, epoch_order};
use crate::engine::Metrics;
use crate::error::{Error, Result};
use crate::graph::METRICS_SLOTS;
use crate::kernels::StepParams;
use crate::model::{Network, initialise};
use crate::plan::Program;
use serde::Serialize;
use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use suggestion::suggest;

/// Decay of the running mean in each step, so that it covers about ten steps.
const SMOOTHING: f64 = 0.9;
/// The search ends if the smoothed loss grows to this many times its lowest, as in fastai.
const DIVERGED: f64 = 4.0;
/// The fewest steps in which a fall of the loss can be told from chance.
const FEWEST: u32 = 20;
/// The most steps.
const MOST: u32 = 1_000_000;

/// How many steps a search takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steps {
    /// As many as an epoch has whole batches.
    Epoch,
    /// This many; if an epoch has fewer, the next one follows.
    Count(u32),
}

impl FromStr for Steps {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let count = || text.parse().ok().filter(|count| (FEWEST..=MOST).contains(count));
        match text {
            "epoch" => Ok(Self::Epoch),
            _ => count().map(Self::Count).ok_or(format!("write epoch, or a number of steps from {FEWEST} to {MOST}")),
        }
    }
}

impl fmt::Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Epoch => f.write_str("epoch"),
            Self::Count(count) => count.fmt(f),
        }
    }
}

/// The rates to try.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// The first step's rate, above 0.
    pub from: f32,
    /// The last step's rate, above the first's.
    pub to: f32,
    /// Steps from one to the other.
    pub steps: Steps,
}

impl Range {
    /// Refuses rates that do not grow.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the option.
    pub fn check(&self) -> Result<()> {
        let Self { from, to, .. } = *self;
        if !(from > 0.0 && from.is_finite()) {
            return Err(Error::setting("--from", from, "a rate above 0"));
        }
        if !(to > from && to.is_finite()) {
            return Err(Error::setting("--to", to, format!("a rate above that of --from, {from}")));
        }
        Ok(())
    }

    /// Steps of a search over this many training images, in batches of `batch`.
    ///
    /// # Errors
    /// As [`Range::check`], or if the images do not fill a batch, or an epoch has fewer than 20 steps.
    pub fn count(&self, images: usize, batch: usize) -> Result<u32> {
        self.check()?;
        let batches = images / batch.max(1);
        let steps = match self.steps {
            Steps::Epoch => batches.min(MOST as usize) as u32,
            Steps::Count(count) => count,
        };
        if batches == 0 || steps < FEWEST {
            let problem = format!("its {images} training images are {batches} batches of {batch}");
            let remedy = format!("use a smaller --batch, or give --steps {FEWEST} or more");
            return Err(Error::data("the search for a rate", problem, remedy));
        }
        Ok(steps)
    }

    /// The rate of each step, always the same multiple of the one before.
    fn rates(&self, steps: u32) -> Vec<f32> {
        let (from, to) = (f64::from(self.from), f64::from(self.to));
        let share = |step: u32| f64::from(step) / f64::from((steps - 1).max(1));
        (0..steps).map(|step| (from * (to / from).powf(share(step))) as f32).collect()
    }
}

/// The results of a step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// Steps before it.
    pub step: u32,
    /// Its learning rate.
    pub rate: f32,
    /// Mean loss of its images before its update, in nats.
    pub loss: f32,
    /// Exponential mean of the losses so far, bias-corrected like Adam's moments.
    pub smoothed: f32,
}

/// The result of a search.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Found {
    /// Steps that the search would take in full.
    pub steps: u32,
    /// Whether it ended early, as the loss had grown to four times its lowest or was not a number.
    pub diverged: bool,
    /// `None` if the loss never falls by more than it varies from batch to batch.
    pub suggestion: Option<Suggestion>,
    /// The steps, with the one at which it ended if its loss is a number.
    pub points: Vec<Point>,
}

/// Trains from the settings' seeded weights on whole batches of the training set, in the order of a training's epochs, each step at a
/// higher rate; `settings.adam.learning_rate` and `settings.epochs` are ignored. `watch` is called for each step. The result does not
/// depend on `settings.per_submit`. The session's weights are useless afterwards.
///
/// # Errors
/// As [`Range::count`], or the device is lost.
pub fn find_rate(
    session: &mut Session,
    network: &Network,
    split: &Split,
    settings: &Settings,
    range: &Range,
    watch: &mut dyn FnMut(&Point),
) -> Result<Found> {
    let batch = session.batch();
    let steps = range.count(split.train.len(), batch)?;
    let weights: Vec<Vec<f32>> =
        network.parameters().enumerate().map(|(i, p)| initialise(p, i, settings.seed)).collect();
    session.set_parameters(&weights)?;
    let mut course =
        Course { rates: range.rates(steps), points: Vec::new(), best: f64::INFINITY, mean: 0.0, ended: false };
    let mut epoch = 0;
    while !course.is_over() {
        epoch += 1;
        run_epoch(session, split, settings, (epoch, split.train.len() / batch * batch), &mut course, watch)?;
    }
    let suggestion = suggest(&course.points, range);
    Ok(Found { steps, diverged: course.ended, suggestion, points: course.points })
}

/// The whole batches of one epoch, or as many as are left to do.
fn run_epoch(
    session: &mut Session,
    split: &Split,
    settings: &Settings,
    (epoch, images): (u32, usize),
    course: &mut Course,
    watch: &mut dyn FnMut(&Point),
) -> Result<()> {
    session.set_order(&epoch_order(&split.train, settings.seed, epoch))?;
    let mut next = course.points.len();
    let mut queued: VecDeque<StepParams> = VecDeque::new();
    for batches in session.submissions(0, images, settings.per_submit) {
        let rates = course.rates[next.min(course.rates.len())..].iter().take(batches.len());
        let step = |(offset, (batch, &rate)): (usize, (&StepParams, &f32))| {
            let number = (next + offset) as u32;
            let batch = StepParams { slot: number % METRICS_SLOTS as u32, ..*batch };
            StepParams { learning_rate: rate, ..params(settings, &batch, number) }
        };
        let queue: Vec<StepParams> = batches.iter().zip(rates).enumerate().map(step).collect();
        if queue.is_empty() {
            break;
        }
        next += queue.len();
        queued.extend(&queue);
        let arrived = session.run(Program::Train, &queue)?;
        course.take(&arrived, &mut queued, watch);
        if course.ended {
            break;
        }
    }
    let arrived = session.wait()?;
    course.take(&arrived, &mut queued, watch);
    Ok(())
}

/// The progress of a search.
struct Course {
    /// The steps so far.
    rates: Vec<f32>,
    points: Vec<Point>,
    /// Lowest smoothed loss.
    best: f64,
    /// The running mean, not corrected for its start.
    mean: f64,
    /// Whether the loss has diverged.
    ended: bool,
}

impl Course {
    fn is_over(&self) -> bool {
        self.ended || self.points.len() == self.rates.len()
    }

    /// Takes the steps that have ended, one by one. Steps queued after one that diverged do not count.
    fn take(&mut self, arrived: &[Metrics], queued: &mut VecDeque<StepParams>, watch: &mut dyn FnMut(&Point)) {
        for (metrics, step) in arrived.iter().zip(queued.drain(..arrived.len().min(queued.len()))) {
            if self.is_over() {
                continue;
            }
            let loss = f64::from(metrics.loss) / f64::from(metrics.count.max(1.0));
            if !loss.is_finite() {
                self.ended = true;
                continue;
            }
            self.mean = SMOOTHING * self.mean + (1.0 - SMOOTHING) * loss;
            let smoothed = self.mean / (1.0 - SMOOTHING.powi(self.points.len() as i32 + 1));
            self.best = self.best.min(smoothed);
            self.ended = smoothed > DIVERGED * self.best;
            let point =
                Point { step: step.step, rate: step.learning_rate, loss: loss as f32, smoothed: smoothed as f32 };
            self.points.push(point);
            watch(&point);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::simulate;
    use crate::engine::{CpuEngine, Engine};
    use crate::model::Model;
    use crate::plan::{Plan, Profile};
    use crate::train::Setup;

    pub(super) const RANGE: Range = Range { from: 1e-7, to: 1.0, steps: Steps::Count(200) };

    /// Points with these losses, smoothed as in a search.
    pub(super) fn points(loss: impl Fn(f64) -> f64) -> Course {
        let rates = RANGE.rates(200);
        let mut course = Course { rates, points: Vec::new(), best: f64::INFINITY, mean: 0.0, ended: false };
        for (step, rate) in course.rates.clone().into_iter().enumerate() {
            let loss = loss(f64::from(rate).log10()) as f32;
            let metrics = Metrics { loss: 4.0 * loss, hits: 0.0, count: 4.0, gradient_squares: 1.0 };
            let step = StepParams { step: step as u32, learning_rate: rate, ..StepParams::default() };
            course.take(&[metrics], &mut VecDeque::from([step]), &mut |_| ());
        }
        course
    }

    #[test]
    fn rates_grow_by_one_factor() {
        let rates = Range { from: 1e-4, to: 1.0, ..RANGE }.rates(5);
        for (rate, wanted) in rates.iter().zip([1e-4, 1e-3, 1e-2, 1e-1, 1.0]) {
            approx::assert_relative_eq!(*rate, wanted, max_relative = 1e-6);
        }
        for (text, steps) in [("epoch", Steps::Epoch), ("20", Steps::Count(20))] {
            assert_eq!((text.parse(), steps.to_string()), (Ok(steps), text.to_owned()));
        }
        for wrong in ["0", "19", "-3", "1000001", "epochs", ""] {
            assert!(wrong.parse::<Steps>().unwrap_err().contains("from 20"), "{wrong}");
        }
    }

    #[test]
    fn a_search_ends_where_the_loss_diverges() {
        let exploding = |power: f64| if power > -2.0 { 1e9 } else { 2.0 };
        let course = points(exploding);
        assert!(course.ended && course.points.last().unwrap().loss > 1e8);
        assert_eq!(
            course.points.iter().filter(|point| point.loss > 1e8).count(),
            1,
            "the step that diverged is the last"
        );
        let lost = points(|power| if power > -2.0 { f64::NAN } else { 2.0 });
        assert!(lost.ended && lost.points.iter().all(|point| point.smoothed == 2.0));
        assert_eq!(lost.points.len() + 1, course.points.len(), "what is no number is no point");
    }

    #[test]
    fn nothing_depends_on_how_many_steps_are_handed_over_at_once() {
        let dataset = simulate::simulate(&simulate::Settings { images: 20, size: 16, seed: 1 }).unwrap();
        let split = Split { train: (0..15).collect(), test: (15..20).collect(), ..Split::default() };
        let network = Model::preset("conv3").unwrap().build(16, 16, 10).unwrap();
        let make_engine = |plan: Plan| Ok(Box::new(CpuEngine::<f32>::new(plan)) as Box<dyn Engine>);
        let search = |per_submit, steps, data_memory| {
            let setup = Setup { training: true, data_memory, ..Setup::inference(4) };
            let mut session = Session::new(&network, &dataset, &setup, &Profile::cpu(), make_engine).unwrap();
            let settings = Settings { epochs: 1, seed: 3, per_submit, ..Settings::default() };
            let mut told = 0;
            let range = Range { steps, ..RANGE };
            let found = find_rate(&mut session, &network, &split, &settings, &range, &mut |_| told += 1);
            found.inspect(|found| assert_eq!(told, found.points.len()))
        };
        let first = search(1, Steps::Count(20), None).unwrap();
        assert!(first.points.len() > 10 && first.steps == 20);
        assert_eq!(first, search(3, Steps::Count(20), None).unwrap());
        assert_eq!(first, search(2, Steps::Count(20), Some(0)).unwrap(), "streamed");
        let message = search(1, Steps::Epoch, None).unwrap_err().to_string();
        assert!(message.contains("15 training images are 3 batches of 4"), "{message}");
    }
}
