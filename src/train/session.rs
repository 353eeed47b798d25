//! A network on an engine with a data set, for training and evaluation.

use super::fit::{first_that_fits, micro_batches, streamed_if_need_be};
use super::loaded::Loaded;
use super::setup::{Setup, plan_with};
use super::stream::Stream;
use crate::data::Dataset;
use crate::engine::{Engine, Metrics, read_floats};
use crate::error::{Error, Result};
use crate::graph::{Bank, METRICS_SLOTS, Persistent, ShardTensors, Storage};
use crate::kernels::{Precision, StepParams};
use crate::model::Network;
use crate::plan::{Plan, Profile, Program};

/// Sums over several steps.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    pub(super) loss: f64,
    pub(super) hits: f64,
    pub(super) count: f64,
}

impl Totals {
    /// Adds the metrics of steps.
    pub fn add(&mut self, metrics: &[Metrics]) {
        for step in metrics {
            self.loss += f64::from(step.loss);
            self.hits += f64::from(step.hits);
            self.count += f64::from(step.count);
        }
    }

    /// Mean loss of an image.
    pub fn loss(&self) -> f32 {
        (self.loss / self.count) as f32
    }

    /// Fraction of images classified correctly.
    pub fn accuracy(&self) -> f32 {
        (self.hits / self.count) as f32
    }

    /// Images.
    pub fn count(&self) -> usize {
        self.count as usize
    }
}

/// A network on a device, with its data set (or a stream of its images), parameters and programs.
pub struct Session<'a> {
    loaded: Loaded,
    batch: usize,
    precision: Precision,
    dataset: &'a Dataset,
    /// Weights of the classes in the loss, unless all are one.
    class_weights: Option<Vec<f32>>,
    /// The stream of images, if the device does not hold all of them.
    stream: Option<Stream<'a>>,
}

impl<'a> Session<'a> {
    /// Plans the network, makes the engine and uploads the data set. If the data set does not fit into memory or `setup.data_memory`,
    /// it is streamed, with the same results, bit for bit. If batches do not fit and `setup.micro_batch` allows it, micro-batches are as
    /// large as memory allows.
    ///
    /// # Errors
    /// The network was not built for this data set, something does not fit on the adapter, or the device is lost.
    pub fn new(
        network: &Network,
        dataset: &'a Dataset,
        setup: &Setup,
        profile: &Profile,
        make_engine: impl Fn(Plan) -> Result<Box<dyn Engine>>,
    ) -> Result<Self> {
        let (height, width, _) = network.image;
        if (dataset.height, dataset.width) != (height, width) || dataset.classes.len() != network.classes {
            let found = format!("{}x{} images of {} classes", dataset.height, dataset.width, dataset.classes.len());
            let problem = format!("it has {found}, the network is for {height}x{width} and {}", network.classes);
            return Err(Error::data(&dataset.name, problem, "use data like the network's training data"));
        }
        if let Some(weights) = setup.class_weights.as_ref().filter(|weights| weights.len() != network.classes) {
            let found = format!("{} numbers", weights.len());
            return Err(Error::setting("--class-weights", found, format!("{}, one for each class", network.classes)));
        }
        let attempts = micro_batches(network, dataset.len(), setup, profile)?;
        first_that_fits(attempts, |micro_batch| {
            let setup = Setup { micro_batch, ..setup.clone() };
            streamed_if_need_be(network, dataset.len(), &setup, |streamed| {
                let (plan, graph) = plan_with(network, dataset.len(), &setup, profile, streamed)?;
                Self::start(Loaded::new(plan, &graph, &make_engine)?, dataset, &setup)
            })
        })
    }

    fn start(loaded: Loaded, dataset: &'a Dataset, setup: &Setup) -> Result<Self> {
        let Setup { batch, precision, .. } = *setup;
        let streamed = loaded.persistent.positions.is_some();
        let stream = streamed.then(|| Stream::new(dataset, loaded.persistent.shards.clone()));
        let class_weights = setup.class_weights.clone();
        let mut session = Self { loaded, batch, precision, dataset, class_weights, stream };
        session.fill()?;
        Ok(session)
    }

    /// Opens the device again after it has failed. The caller must set parameters, the rest of a training's state and the order of
    /// images again.
    ///
    /// # Errors
    /// The device does not come back, or fails again.
    pub fn renew(&mut self) -> Result<()> {
        self.loaded.engine.renew()?;
        self.fill()
    }

    /// Writes everything that training does not change.
    fn fill(&mut self) -> Result<()> {
        let (dataset, image) = (self.dataset, self.dataset.image_bytes());
        if !self.streams() {
            for ShardTensors { pixels, images, .. } in self.loaded.persistent.shards.clone() {
                let bytes = &dataset.pixels[images.first * image..(images.first + images.count) * image];
                self.loaded.engine.write(pixels, bytes)?;
            }
        }
        self.loaded.fill(&dataset.labels, self.class_weights.as_deref(), self.precision)?;
        self.loaded.ready()
    }

    /// The tensors that both programs share.
    pub(super) fn persistent(&self) -> &Persistent {
        &self.loaded.persistent
    }

    /// The precision in which activations and multiplied weights are stored.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The data set.
    pub fn dataset(&self) -> &'a Dataset {
        self.dataset
    }

    /// Images in a step.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Class of each image of the data set.
    pub fn labels(&self) -> &'a [u32] {
        &self.dataset.labels
    }

    /// The engine.
    pub fn engine(&self) -> &dyn Engine {
        &*self.loaded.engine
    }

    /// The engine, to measure it.
    pub fn engine_mut(&mut self) -> &mut dyn Engine {
        &mut *self.loaded.engine
    }

    /// Whether training keeps an EMA of the weights.
    pub(super) fn has_ema(&self) -> bool {
        self.loaded.persistent.bank(Bank::Ema).is_some()
    }

    /// Writes all parameters, in the model's order, for a training that starts with them.
    ///
    /// # Errors
    /// A lost device.
    pub fn set_parameters(&mut self, tensors: &[Vec<f32>]) -> Result<()> {
        self.loaded.write_parameters(tensors)
    }

    /// Reads every parameter that is measured, in the model's order: their EMA, where there is one.
    ///
    /// # Errors
    /// A lost device.
    pub fn parameters(&mut self) -> Result<Vec<Vec<f32>>> {
        let engine = &mut *self.loaded.engine;
        let bank = |bank: Bank| self.loaded.persistent.bank(bank);
        let Some(bank) = bank(Bank::Ema).or_else(|| bank(Bank::Parameters)) else {
            return self.loaded.parameters.iter().map(|copies| read_floats(engine, copies[0])).collect();
        };
        // one copy instead of one for each tensor, each of which would wait for the device
        let trained = read_floats(engine, bank)?;
        let state = self.loaded.persistent.bank(Bank::State);
        let state = state.map_or(Ok(Vec::new()), |state| read_floats(engine, state))?;
        Ok(self.cut(&trained, &state))
    }

    /// Cuts the bank of trained parameters and that of state into parameters, in the model's order.
    pub(super) fn cut(&self, trained: &[f32], state: &[f32]) -> Vec<Vec<f32>> {
        let tensors = self.loaded.parameters.iter().map(|copies| &self.loaded.engine.plan().tensors[copies[0]]);
        let values = tensors.filter_map(|tensor| {
            let Storage::Bank(bank, first) = tensor.storage else { return None };
            let bank = if bank == Bank::State { state } else { trained };
            bank.get(first..first + tensor.elements).map(<[f32]>::to_vec)
        });
        values.collect()
    }

    /// Sets which image is at which position, from position `first` on.
    ///
    /// # Errors
    /// A lost device.
    pub fn set_order(&mut self, order: &[u32]) -> Result<()> {
        let mut whole = order.to_vec();
        whole.resize(self.dataset.len(), 0);
        if let Some(stream) = &mut self.stream {
            stream.set_order(&whole);
        }
        self.loaded.engine.write(self.loaded.persistent.order, bytemuck::cast_slice(&whole))
    }

    /// Whether the device holds only the images of the submission it runs.
    pub fn streams(&self) -> bool {
        self.stream.is_some()
    }

    /// Queues a program for each of these steps, and returns the metrics that have arrived.
    ///
    /// # Errors
    /// The device is lost, or this session cannot train. If images are streamed: positions do not follow each other, or there are more
    /// than in [`Session::submissions`].
    pub fn run(&mut self, program: Program, steps: &[StepParams]) -> Result<Vec<Metrics>> {
        if self.loaded.engine.plan().steps(program).is_empty() {
            return Err(Error::setting("the setup's training", false, "true for a session that trains"));
        }
        if let Some(stream) = &mut self.stream {
            stream.provide(&mut *self.loaded.engine, positions(steps, self.dataset.len())?)?;
        }
        self.loaded.engine.run(program, steps)?;
        if let Some(stream) = &mut self.stream {
            stream.look_ahead(&mut *self.loaded.engine)?;
        }
        self.loaded.engine.finished()
    }

    /// Waits for all queued steps, and returns the metrics that were not returned before.
    ///
    /// # Errors
    /// A lost device.
    pub fn wait(&mut self) -> Result<Vec<Metrics>> {
        self.loaded.engine.wait()
    }

    /// Step parameters of the batches over the positions `first..first + count`, in submissions of `per_submit` steps, or of as many as
    /// one submission takes. Run them in this order, after those of earlier calls: if images are streamed, the next ones are gathered
    /// ahead.
    pub fn submissions(&mut self, first: usize, count: usize, per_submit: usize) -> Vec<Vec<StepParams>> {
        let batch = |(number, start): (usize, usize)| StepParams {
            first: (first + start) as u32,
            count: self.batch.min(count - start) as u32,
            slot: (number % METRICS_SLOTS) as u32,
            ..StepParams::default()
        };
        let steps: Vec<StepParams> = (0..count).step_by(self.batch).enumerate().map(batch).collect();
        let most = self.stream.as_ref().map_or(METRICS_SLOTS, |stream| stream.capacity() / self.batch);
        let submissions = steps.chunks(per_submit.clamp(1, most.clamp(1, METRICS_SLOTS)));
        if let Some(stream) = &mut self.stream {
            submissions
                .clone()
                .flat_map(|steps| positions(steps, self.dataset.len()))
                .for_each(|run| stream.expect(run));
        }
        submissions.map(<[StepParams]>::to_vec).collect()
    }

    /// Classifies the images at positions `first..first + count`.
    ///
    /// # Errors
    /// A lost device.
    pub fn infer(&mut self, first: usize, count: usize, per_submit: usize) -> Result<Totals> {
        let mut totals = Totals::default();
        for steps in self.submissions(first, count, per_submit) {
            totals.add(&self.run(Program::Infer, &steps)?);
        }
        totals.add(&self.wait()?);
        Ok(totals)
    }

    /// Softmax scores by position, from the last program that ran over each position: `rows x classes`.
    ///
    /// # Errors
    /// A lost device.
    pub fn probabilities(&mut self) -> Result<Vec<f32>> {
        read_floats(&mut *self.loaded.engine, self.loaded.persistent.probabilities)
    }
}

/// The positions of steps that follow each other, below `rows`.
fn positions(steps: &[StepParams], rows: usize) -> Result<std::ops::Range<usize>> {
    let start = steps.first().map_or(0, |step| step.first as usize);
    let mut end = start;
    for step in steps {
        if step.first as usize != end {
            return Err(Error::setting("the position of a streamed batch", step.first, end));
        }
        end += step.count as usize;
    }
    Ok(start..end.min(rows))
}
