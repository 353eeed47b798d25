//! A network on an engine with a data set: what training, evaluation and prediction have in common.

use crate::data::Dataset;
use crate::engine::{Engine, Metrics, read_floats, write_floats};
use crate::error::{Error, Result};
use crate::graph::{self, Augment, Graph, METRICS_SLOTS, Shard, TensorId};
use crate::kernels::{Precision, StepParams, reduce};
use crate::model::Network;
use crate::plan::{self, Choice, Options, Plan, Profile, Program};

/// Factor on the loss at the start of mixed precision; it adapts from there (see [`reduce`]).
const FIRST_LOSS_SCALE: f32 = 4096.0;

/// How a session computes.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Whether to train; without, nothing is allocated or compiled for it.
    pub training: bool,
    /// Images in a step.
    pub batch: usize,
    /// Random affine maps while training.
    pub augment: Option<Augment>,
    /// Share of the target spread over all classes.
    pub label_smoothing: f64,
    /// Whether layers are grouped into fused blocks.
    pub fuse: bool,
    /// What activations and multiplied weights are stored in.
    pub precision: Precision,
    /// Implementations the user insists on.
    pub choices: Vec<Choice>,
}

impl Setup {
    /// Inference of batches of this size.
    pub fn inference(batch: usize) -> Self {
        let precision = Precision::F32;
        Self { training: false, batch, augment: None, label_smoothing: 0.0, fuse: true, precision, choices: Vec::new() }
    }
}

/// Plans a network for a data set of `images` images.
///
/// # Errors
/// Whatever is larger than the adapter can hold.
pub fn plan_for(network: &Network, images: usize, setup: &Setup, profile: &Profile) -> Result<(Plan, Graph)> {
    let (height, width, channels) = network.image;
    let settings = graph::Settings {
        training: setup.training,
        batch: setup.batch,
        images,
        rows: images,
        shards: plan::shards(images, height * width * channels, profile.binding_bytes)?,
        augment: setup.augment,
        label_smoothing: setup.label_smoothing,
        fuse: setup.fuse,
        precision: setup.precision,
    };
    let graph = graph::lower(network, &settings)?;
    let options = Options { choices: setup.choices.clone(), guards: false };
    Ok((Plan::new(&graph, profile, &options)?, graph))
}

/// Sums over several steps.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    loss: f64,
    hits: f64,
    count: f64,
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

    /// Share of images that were right.
    pub fn accuracy(&self) -> f32 {
        (self.hits / self.count) as f32
    }

    /// Images.
    pub fn count(&self) -> usize {
        self.count as usize
    }
}

/// Everything on the device: data set, parameters, programs.
pub struct Session {
    engine: Box<dyn Engine>,
    /// Values of each parameter and their copy in f16, in the model's order.
    parameters: Vec<(TensorId, Option<TensorId>)>,
    batch: usize,
    classes: usize,
    rows: usize,
    precision: Precision,
}

impl Session {
    /// Plans the network, makes the engine and uploads the data set.
    ///
    /// # Errors
    /// A data set the network was not built for; whatever is larger than the adapter can hold; a lost device.
    pub fn new(
        network: &Network,
        dataset: &Dataset,
        setup: &Setup,
        profile: &Profile,
        make_engine: impl FnOnce(Plan) -> Result<Box<dyn Engine>>,
    ) -> Result<Self> {
        let (height, width, _) = network.image;
        if (dataset.height, dataset.width) != (height, width) || dataset.classes.len() != network.classes {
            let found = format!("{}x{} images of {} classes", dataset.height, dataset.width, dataset.classes.len());
            let problem = format!("it has {found}, the network is for {height}x{width} and {}", network.classes);
            return Err(Error::data(&dataset.name, problem, "use data like that the network was trained on"));
        }
        if setup.batch == 0 || setup.batch > 1 << 16 {
            return Err(Error::setting("--batch", setup.batch, "from 1 to 65536"));
        }
        let (plan, graph) = plan_for(network, dataset.len(), setup, profile)?;
        let parameters = graph.parameters.iter().map(|parameter| (parameter.values, parameter.half)).collect();
        let shards = plan::shards(dataset.len(), dataset.image_bytes(), profile.binding_bytes)?;
        let engine = make_engine(plan)?;
        let (classes, rows) = (network.classes, dataset.len());
        let Setup { batch, precision, .. } = *setup;
        let mut session = Self { engine, parameters, batch, classes, rows, precision };
        session.upload(dataset, &shards)?;
        Ok(session)
    }

    fn upload(&mut self, dataset: &Dataset, shards: &[Shard]) -> Result<()> {
        for (number, shard) in shards.iter().enumerate() {
            let image = dataset.image_bytes();
            let bytes = &dataset.pixels[shard.first * image..(shard.first + shard.count) * image];
            let tensor = self.engine.plan().tensor(&format!("pixels.{number}"))?;
            if bytes.len().is_multiple_of(4) {
                self.engine.write(tensor, bytes)?;
            } else {
                let mut padded = bytes.to_vec();
                padded.resize(bytes.len().next_multiple_of(4), 0);
                self.engine.write(tensor, &padded)?;
            }
        }
        self.write("loss_scale", bytemuck::cast_slice(&self.first_loss_scale()))?;
        self.write("labels", bytemuck::cast_slice(&dataset.labels))?;
        self.write("class_weights", bytemuck::cast_slice(&vec![1.0f32; self.classes]))
    }

    fn first_loss_scale(&self) -> [f32; reduce::LOSS_SCALE] {
        reduce::loss_scale(if self.precision == Precision::Mixed { FIRST_LOSS_SCALE } else { 1.0 })
    }

    fn write(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let tensor = self.engine.plan().tensor(name)?;
        self.engine.write(tensor, bytes)
    }

    /// What activations and multiplied weights are stored in.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The engine.
    pub fn engine(&self) -> &dyn Engine {
        &*self.engine
    }

    /// The engine, to measure it.
    pub fn engine_mut(&mut self) -> &mut dyn Engine {
        &mut *self.engine
    }

    /// Writes every parameter, in the model's order.
    ///
    /// # Errors
    /// A lost device.
    pub fn set_parameters(&mut self, tensors: &[Vec<f32>]) -> Result<()> {
        for (&(id, half), values) in self.parameters.iter().zip(tensors) {
            for id in [Some(id), half].into_iter().flatten() {
                write_floats(&mut *self.engine, id, values)?;
            }
        }
        Ok(())
    }

    /// Reads every parameter, in the model's order.
    ///
    /// # Errors
    /// A lost device.
    pub fn parameters(&mut self) -> Result<Vec<Vec<f32>>> {
        let engine = &mut *self.engine;
        self.parameters.iter().map(|&(id, _)| read_floats(engine, id)).collect()
    }

    /// Says which image stands at which position, from position `first` on.
    ///
    /// # Errors
    /// A lost device.
    pub fn set_order(&mut self, order: &[u32]) -> Result<()> {
        let mut whole = order.to_vec();
        whole.resize(self.rows, 0);
        self.write("order", bytemuck::cast_slice(&whole))
    }

    /// Queues a program for each of these steps; returns the metrics that have arrived.
    ///
    /// # Errors
    /// A lost device; training in a session that was set up without.
    pub fn run(&mut self, program: Program, steps: &[StepParams]) -> Result<Vec<Metrics>> {
        if self.engine.plan().steps(program).is_empty() {
            return Err(Error::setting("the setup's training", false, "true for a session that trains"));
        }
        self.engine.run(program, steps)?;
        self.engine.finished()
    }

    /// Waits for all queued steps; returns the metrics that had not been returned before.
    ///
    /// # Errors
    /// A lost device.
    pub fn wait(&mut self) -> Result<Vec<Metrics>> {
        self.engine.wait()
    }

    /// Step parameters of each batch over the positions `first..first + count`.
    pub fn batches(&self, first: usize, count: usize) -> Vec<StepParams> {
        let starts = (0..count).step_by(self.batch).enumerate();
        let batch = starts.map(|(number, start)| StepParams {
            first: (first + start) as u32,
            count: self.batch.min(count - start) as u32,
            slot: (number % METRICS_SLOTS) as u32,
            ..StepParams::default()
        });
        batch.collect()
    }

    /// Classifies the images at positions `first..first + count`.
    ///
    /// # Errors
    /// A lost device.
    pub fn infer(&mut self, first: usize, count: usize, per_submit: usize) -> Result<Totals> {
        let mut totals = Totals::default();
        for steps in self.batches(first, count).chunks(per_submit.clamp(1, METRICS_SLOTS)) {
            totals.add(&self.run(Program::Infer, steps)?);
        }
        totals.add(&self.wait()?);
        Ok(totals)
    }

    /// Softmax scores by position, as the last program run over each position left them: `rows x classes`.
    ///
    /// # Errors
    /// A lost device.
    pub fn probabilities(&mut self) -> Result<Vec<f32>> {
        let tensor = self.engine.plan().tensor("probabilities")?;
        read_floats(&mut *self.engine, tensor)
    }
}
