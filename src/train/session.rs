//! A network on an engine with a data set: what training, evaluation and prediction have in common.

use super::stream::{Stream, Window, images_at_a_time};
use crate::data::Dataset;
use crate::engine::{Engine, Metrics, read_floats, write_floats};
use crate::error::{Error, Result};
use crate::graph::{self, Augment, Graph, METRICS_SLOTS, Shard, Storage, TensorId};
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
    /// Bytes of device memory for images: a larger data set is streamed. Without it, what the device cannot allocate is.
    pub data_memory: Option<u64>,
}

impl Setup {
    /// Inference of batches of this size.
    pub fn inference(batch: usize) -> Self {
        Self {
            training: false,
            batch,
            augment: None,
            label_smoothing: 0.0,
            fuse: true,
            precision: Precision::F32,
            choices: Vec::new(),
            data_memory: None,
        }
    }
}

/// Plans a network for a data set of `images` images, all of them on the device unless `setup.data_memory` is too small.
///
/// # Errors
/// Whatever is larger than the adapter can hold.
pub fn plan_for(network: &Network, images: usize, setup: &Setup, profile: &Profile) -> Result<(Plan, Graph)> {
    let (height, width, channels) = network.image;
    let bytes = (images * height * width * channels) as u64;
    let streamed = setup.data_memory.is_some_and(|room| bytes > room);
    plan_with(network, images, setup, profile, streamed).map(|(plan, graph, _)| (plan, graph))
}

/// The plan, its graph, and how the images on the device are cut.
pub(super) fn plan_with(
    network: &Network,
    images: usize,
    setup: &Setup,
    profile: &Profile,
    streamed: bool,
) -> Result<(Plan, Graph, Vec<Shard>)> {
    let (height, width, channels) = network.image;
    let image_bytes = height * width * channels;
    let at_a_time = images_at_a_time(setup.batch, image_bytes, setup.data_memory);
    let on_device = if streamed { at_a_time.min(images) } else { images };
    let shards = plan::shards(on_device, image_bytes, profile.binding_bytes)?;
    let settings = graph::Settings {
        training: setup.training,
        batch: setup.batch,
        images,
        rows: images,
        shards: shards.clone(),
        streamed,
        augment: setup.augment,
        label_smoothing: setup.label_smoothing,
        fuse: setup.fuse,
        precision: setup.precision,
    };
    let graph = graph::lower(network, &settings)?;
    let options = Options { choices: setup.choices.clone(), guards: false };
    Ok((Plan::new(&graph, profile, &options)?, graph, shards))
}

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

    /// Share of images that were right.
    pub fn accuracy(&self) -> f32 {
        (self.hits / self.count) as f32
    }

    /// Images.
    pub fn count(&self) -> usize {
        self.count as usize
    }
}

/// Everything on the device: data set (or a stream of its images), parameters, programs.
pub struct Session<'a> {
    engine: Box<dyn Engine>,
    /// Values of each parameter and their copy in f16, in the model's order.
    parameters: Vec<(TensorId, Option<TensorId>)>,
    batch: usize,
    rows: usize,
    precision: Precision,
    /// Where the images come from that the device does not hold.
    stream: Option<Stream<'a>>,
}

impl<'a> Session<'a> {
    /// Plans the network, makes the engine and uploads the data set. Where it does not fit, by `setup.data_memory` or for
    /// lack of memory, it is streamed; results are the same to the bit.
    ///
    /// # Errors
    /// A data set the network was not built for; whatever is larger than the adapter can hold; a lost device.
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
            return Err(Error::data(&dataset.name, problem, "use data like that the network was trained on"));
        }
        if setup.batch == 0 || setup.batch > 1 << 16 {
            return Err(Error::setting("--batch", setup.batch, "from 1 to 65536"));
        }
        let image_bytes = dataset.image_bytes();
        let start = |streamed| Self::start(network, dataset, setup, profile, streamed, &make_engine);
        match setup.data_memory {
            Some(room) => start(dataset.pixels.len() as u64 > room),
            None => match start(false) {
                Err(Error::Memory { .. }) if images_at_a_time(setup.batch, image_bytes, None) < dataset.len() => {
                    start(true)
                }
                other => other,
            },
        }
    }

    fn start(
        network: &Network,
        dataset: &'a Dataset,
        setup: &Setup,
        profile: &Profile,
        streamed: bool,
        make_engine: &dyn Fn(Plan) -> Result<Box<dyn Engine>>,
    ) -> Result<Self> {
        let (plan, graph, shards) = plan_with(network, dataset.len(), setup, profile, streamed)?;
        let parameters = graph.parameters.iter().map(|parameter| (parameter.values, parameter.half)).collect();
        let engine = make_engine(plan)?;
        let rows = dataset.len();
        let Setup { batch, precision, .. } = *setup;
        let mut session = Self { engine, parameters, batch, rows, precision, stream: None };
        let windows = shards.iter().enumerate().map(|(number, &part)| {
            let tensor = |name: &str| session.engine.plan().tensor(&format!("{name}.{number}"));
            Ok(Window { pixels: tensor("pixels")?, shard: tensor("shard")?, part })
        });
        let windows = windows.collect::<Result<Vec<Window>>>()?;
        if streamed {
            let positions: Vec<u32> = (0..rows as u32).collect();
            session.write("positions", bytemuck::cast_slice(&positions))?;
            session.stream = Some(Stream::new(dataset, windows));
        } else {
            session.upload(dataset, &windows)?;
        }
        session.write("loss_scale", bytemuck::cast_slice(&session.first_loss_scale()))?;
        session.write("labels", bytemuck::cast_slice(&dataset.labels))?;
        session.write("class_weights", bytemuck::cast_slice(&vec![1.0f32; network.classes]))?;
        // its pipelines were built meanwhile, and now is the time to hear of a shader that does not compile
        session.engine.wait()?;
        Ok(session)
    }

    fn upload(&mut self, dataset: &Dataset, windows: &[Window]) -> Result<()> {
        let image = dataset.image_bytes();
        for Window { pixels, shard, part } in windows {
            self.engine.write(*pixels, &dataset.pixels[part.first * image..(part.first + part.count) * image])?;
            self.engine.write(*shard, bytemuck::cast_slice(&[part.first as u32, part.count as u32]))?;
        }
        Ok(())
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
        write_parameters(&mut *self.engine, &self.parameters, tensors)
    }

    /// Reads every parameter, in the model's order.
    ///
    /// # Errors
    /// A lost device.
    pub fn parameters(&mut self) -> Result<Vec<Vec<f32>>> {
        let engine = &mut *self.engine;
        let Ok(bank) = engine.plan().tensor("parameters") else {
            return self.parameters.iter().map(|&(id, _)| read_floats(engine, id)).collect();
        };
        // one copy instead of one for each tensor, each of which would wait for the device
        let values = read_floats(engine, bank)?;
        let tensors = self.parameters.iter().map(|&(id, _)| &engine.plan().tensors[id]);
        let cut = tensors.filter_map(|tensor| match tensor.storage {
            Storage::Bank(_, first) => Some(values[first..first + tensor.elements].to_vec()),
            _ => None,
        });
        Ok(cut.collect())
    }

    /// Says which image stands at which position, from position `first` on.
    ///
    /// # Errors
    /// A lost device.
    pub fn set_order(&mut self, order: &[u32]) -> Result<()> {
        let mut whole = order.to_vec();
        whole.resize(self.rows, 0);
        if let Some(stream) = &mut self.stream {
            stream.set_order(&whole);
        }
        self.write("order", bytemuck::cast_slice(&whole))
    }

    /// Whether the device holds only the images of the submission it runs.
    pub fn streams(&self) -> bool {
        self.stream.is_some()
    }

    /// Queues a program for each of these steps; returns the metrics that have arrived.
    ///
    /// # Errors
    /// A lost device; training in a session that was set up without. Where images are streamed, positions that do not
    /// follow each other or are more than those of [`Session::submissions`].
    pub fn run(&mut self, program: Program, steps: &[StepParams]) -> Result<Vec<Metrics>> {
        if self.engine.plan().steps(program).is_empty() {
            return Err(Error::setting("the setup's training", false, "true for a session that trains"));
        }
        if let Some(stream) = &mut self.stream {
            stream.provide(&mut *self.engine, positions(steps, self.rows)?)?;
        }
        self.engine.run(program, steps)?;
        if let Some(stream) = &mut self.stream {
            stream.look_ahead(&mut *self.engine)?;
        }
        self.engine.finished()
    }

    /// Waits for all queued steps; returns the metrics that had not been returned before.
    ///
    /// # Errors
    /// A lost device.
    pub fn wait(&mut self) -> Result<Vec<Metrics>> {
        self.engine.wait()
    }

    /// Step parameters of the batches over the positions `first..first + count`, in submissions of `per_submit` or of as
    /// many as one submission takes. They should be run in this order, after those that were asked for before: where images
    /// are streamed, the next ones are gathered ahead.
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
            submissions.clone().flat_map(|steps| positions(steps, self.rows)).for_each(|run| stream.expect(run));
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

    /// Softmax scores by position, as the last program run over each position left them: `rows x classes`.
    ///
    /// # Errors
    /// A lost device.
    pub fn probabilities(&mut self) -> Result<Vec<f32>> {
        let tensor = self.engine.plan().tensor("probabilities")?;
        read_floats(&mut *self.engine, tensor)
    }
}

/// Writes every parameter, and its copy in f16 where there is one.
pub(super) fn write_parameters(
    engine: &mut dyn Engine,
    parameters: &[(TensorId, Option<TensorId>)],
    tensors: &[Vec<f32>],
) -> Result<()> {
    for (&(id, half), values) in parameters.iter().zip(tensors) {
        // inference in mixed precision may use the copy alone, and then there is no room for the values
        let placed = |id: &TensorId| engine.plan().places[*id].bytes > 0;
        for id in [Some(id), half].into_iter().flatten().filter(placed).collect::<Vec<TensorId>>() {
            write_floats(engine, id, values)?;
        }
    }
    Ok(())
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
