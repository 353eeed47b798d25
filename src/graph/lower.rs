//! The two programs: images, forward, loss; for training also backward and update. The blocks' own calls are in
//! `layers.rs`.

use super::layers::Done;
use super::{
    Augment, BANK_ALIGNMENT, Bank, Call, FillMode, Graph, METRICS_SLOTS, Settings, Shard, Storage, TensorId,
    TrainableTensor, group,
};
use crate::error::Result;
use crate::kernels::{self, Constants, Element, Precision, adam, augment, reduce, softmax_cross_entropy};
use crate::model::Network;

/// The graph of a network: a training step (where wanted) and a batch of inference.
///
/// # Errors
/// A layer whose window does not fit its input (which [`Model::build`](crate::model::Model::build) refuses first).
pub fn lower(network: &Network, settings: &Settings) -> Result<Graph> {
    let mut lowering = Lowering::new(network, settings);
    if settings.training {
        lowering.train()?;
    }
    lowering.infer()?;
    Ok(lowering.graph)
}

/// The tensors of a shard, and how many images it has room for.
#[derive(Clone, Copy)]
struct SharedShard {
    pixels: TensorId,
    shard: TensorId,
    images: usize,
}

/// Tensors of the data set and the loss, shared by both programs.
struct Shared {
    shards: Vec<SharedShard>,
    order: TensorId,
    /// What `order` is to the images on the device: itself, or, where they are streamed, the positions 0, 1, 2, ...
    places: TensorId,
    labels: TensorId,
    class_weights: TensorId,
    probabilities: TensorId,
    metrics: TensorId,
    status: TensorId,
    loss_scale: TensorId,
}

/// A graph under construction.
pub(super) struct Lowering<'a> {
    pub(super) network: &'a Network,
    pub(super) settings: &'a Settings,
    pub(super) graph: Graph,
    shared: Shared,
    /// Calls of the program being written.
    pub(super) calls: Vec<Call>,
    /// Prefix of passing tensors: each program has its own.
    program: &'static str,
}

impl<'a> Lowering<'a> {
    fn new(network: &'a Network, settings: &'a Settings) -> Self {
        let mut graph = Graph::default();
        let shared = Shared::add(&mut graph, network, settings);
        add_parameters(&mut graph, network, settings.precision);
        Self { network, settings, graph, shared, calls: Vec::new(), program: "train" }
    }

    /// augment -> forward -> loss | backward | update.
    fn train(&mut self) -> Result<()> {
        self.program = "train";
        let images = self.images(self.settings.augment);
        let done = self.forward(images, true)?;
        let logits_gradient = self.loss(done.last().map_or(images, |last| last.output));
        let forward_end = self.calls.len();
        self.backward(&done, logits_gradient)?;
        let backward_end = self.calls.len();
        self.update();
        self.graph.segments = [0..forward_end, forward_end..backward_end, backward_end..self.calls.len()];
        self.graph.train = std::mem::take(&mut self.calls);
        Ok(())
    }

    /// gather -> forward -> loss.
    fn infer(&mut self) -> Result<()> {
        self.program = "infer";
        let images = self.images(None);
        let done = self.forward(images, false)?;
        self.loss(done.last().map_or(images, |last| last.output));
        self.graph.infer = std::mem::take(&mut self.calls);
        Ok(())
    }

    /// The batch's images as floats in 0..1, one call per shard.
    fn images(&mut self, ranges: Option<Augment>) -> TensorId {
        let (height, width, channels) = self.network.image;
        let images = self.passing("images", self.settings.batch * height * width * channels);
        let transforms = ranges.map(|ranges| self.transforms(ranges));
        let places = self.shared.places;
        for index in 0..self.shared.shards.len() {
            let SharedShard { pixels, shard, images: room } = self.shared.shards[index];
            let constants = augment::gather_constants(self.settings.batch, self.settings.rows, height, width)
                .with("SHARD_IMAGES", room as f64);
            match (transforms, ranges) {
                (Some(transforms), Some(ranges)) => {
                    let constants = constants.with("FILL_MODE", fill_mode(ranges.fill)).with("FILL_VALUE", 0.0);
                    self.call("augment.warp", "augment", constants, &[pixels, shard, places, transforms, images]);
                }
                _ => self.call("augment.gather", "images", constants, &[pixels, shard, places, images]),
            }
        }
        images
    }

    fn transforms(&mut self, ranges: Augment) -> TensorId {
        let (height, width, _) = self.network.image;
        let constants = augment::draw_constants(self.settings.batch, height, width)
            .with("FLIP", f64::from(u8::from(ranges.flip)))
            .with("ROTATION", ranges.rotation)
            .with("ZOOM_LOW", ranges.zoom.0)
            .with("ZOOM_HIGH", ranges.zoom.1)
            .with("SHIFT", ranges.shift);
        let transforms = self.passing_of("transforms", Element::F32, self.settings.batch * 6);
        self.call("augment.draw", "augment", constants, &[transforms]);
        transforms
    }

    fn forward(&mut self, images: TensorId, training: bool) -> Result<Vec<Done<'a>>> {
        let mut done: Vec<Done<'a>> = Vec::new();
        for (block, nodes) in group(&self.network.nodes, self.settings.fuse) {
            let input = done.last().map_or(images, |last| last.output);
            done.push(self.block_forward(block, nodes, input, training)?);
        }
        Ok(done)
    }

    /// Backward calls from the last block to the first with parameters; nothing before that needs a gradient.
    fn backward(&mut self, done: &[Done], logits_gradient: TensorId) -> Result<()> {
        let trainable = |d: &Done| d.nodes.iter().any(|node| !node.parameters.is_empty());
        let first = done.iter().position(trainable).unwrap_or(0);
        let mut gradient = logits_gradient;
        for (place, block) in done.iter().enumerate().skip(first).rev() {
            gradient = self.block_backward(block, gradient, place > first)?;
        }
        Ok(())
    }

    /// Loss, hits and probabilities; returns the gradient of the logits.
    fn loss(&mut self, logits: TensorId) -> TensorId {
        let (batch, classes) = (self.settings.batch, self.network.classes);
        let gradient = self.passing("logits_gradient", batch * classes);
        let stats = self.passing_of("stats", Element::F32, batch * 2);
        let Settings { rows, images, .. } = *self.settings;
        let constants = softmax_cross_entropy::constants(batch, classes, rows, images);
        let constants = constants.with("SMOOTHING", self.settings.label_smoothing);
        let Shared { labels, order, class_weights, loss_scale, probabilities, metrics, .. } = self.shared;
        let tensors = [logits, labels, order, class_weights, loss_scale, gradient, stats, probabilities];
        self.call("softmax_cross_entropy.loss", "loss", constants, &tensors);
        let constants = reduce::loss_constants(batch, METRICS_SLOTS);
        self.call("reduce.loss", "loss", constants, &[stats, metrics]);
        gradient
    }

    /// Norm and finite check of all gradients, then Adam over the whole bank.
    fn update(&mut self) {
        let elements = self.graph.bank_elements();
        let groups = reduce::groups(elements);
        let [parameters, gradients, moment1, moment2] =
            [Bank::Parameters, Bank::Gradients, Bank::Moment1, Bank::Moment2].map(|bank| self.bank(bank, elements));
        let partial = self.passing_of("gradient_partial", Element::F32, groups);
        let Shared { metrics, status, loss_scale, .. } = self.shared;
        let mixed = self.settings.precision == Precision::Mixed;
        let constants = reduce::sum_squares_constants(elements);
        self.call("reduce.sum_squares", "gradient norm", constants, &[gradients, partial]);
        let constants = reduce::gradient_constants(groups, METRICS_SLOTS).with("DYNAMIC", f64::from(u8::from(mixed)));
        self.call("reduce.gradient", "gradient norm", constants, &[partial, metrics, status, loss_scale]);
        let mut tensors = vec![gradients, status, loss_scale, parameters, moment1, moment2];
        if mixed {
            tensors.push(self.bank(Bank::HalfParameters, elements));
        }
        let contract = if mixed { "adam.update_mixed" } else { "adam.update" };
        self.call(contract, "adam", adam::constants(elements), &tensors);
    }

    fn bank(&mut self, bank: Bank, elements: usize) -> TensorId {
        self.graph.tensor(bank.name(), bank.element(), elements, Storage::Bank(bank, 0))
    }

    /// An activation or its gradient.
    pub(super) fn passing(&mut self, name: &str, elements: usize) -> TensorId {
        let element = if self.settings.precision == Precision::Mixed { Element::F16 } else { Element::F32 };
        self.passing_of(name, element, elements)
    }

    pub(super) fn passing_of(&mut self, name: &str, element: Element, elements: usize) -> TensorId {
        self.graph.tensor(format!("{}.{name}", self.program), element, elements, Storage::Passing)
    }

    /// Adds a call. An unknown contract is a mistake in this file, which the tests below meet.
    pub(super) fn call(&mut self, contract: &str, layer: &str, constants: Constants, tensors: &[TensorId]) {
        let contract = kernels::find(contract).unwrap_or_else(|| panic!("no contract {contract}"));
        let wanted = self.settings.precision;
        let precision = if contract.precisions().contains(&wanted) { wanted } else { Precision::F32 };
        let (layer, tensors) = (layer.to_owned(), tensors.to_vec());
        self.calls.push(Call { layer, contract, precision, constants, tensors });
    }
}

impl Shared {
    fn add(graph: &mut Graph, network: &Network, settings: &Settings) -> Self {
        let (height, width, channels) = network.image;
        let mut kept = |name: &str, element, elements| graph.tensor(name, element, elements, Storage::Kept);
        let shards = settings.shards.iter().enumerate().map(|(number, &Shard { count: images, .. })| {
            let pixels =
                kept(&format!("pixels.{number}"), Element::U32, (images * height * width * channels).div_ceil(4));
            SharedShard { pixels, shard: kept(&format!("shard.{number}"), Element::U32, 2), images }
        });
        let shards = shards.collect();
        let order = kept("order", Element::U32, settings.rows);
        Self {
            shards,
            order,
            places: if settings.streamed { kept("positions", Element::U32, settings.rows) } else { order },
            labels: kept("labels", Element::U32, settings.images),
            class_weights: kept("class_weights", Element::F32, network.classes),
            probabilities: kept("probabilities", Element::F32, settings.rows * network.classes),
            metrics: kept("metrics", Element::F32, METRICS_SLOTS * 4),
            status: kept("status", Element::U32, 2),
            loss_scale: kept("loss_scale", Element::F32, reduce::LOSS_SCALE),
        }
    }
}

/// Every trainable tensor has the same place in each bank.
fn add_parameters(graph: &mut Graph, network: &Network, precision: Precision) {
    let mut offset = 0;
    for parameter in network.parameters() {
        let elements = parameter.shape.elements();
        let mut add =
            |name: String, bank: Bank| graph.tensor(name, bank.element(), elements, Storage::Bank(bank, offset));
        let (name, shape) = (parameter.name.clone(), parameter.shape.clone());
        let values = add(name.clone(), Bank::Parameters);
        let half = (precision == Precision::Mixed).then(|| add(format!("{name}.half"), Bank::HalfParameters));
        let gradient = add(format!("{name}.gradient"), Bank::Gradients);
        graph.parameters.push(TrainableTensor { name, shape, values, half, gradient });
        offset += elements.next_multiple_of(BANK_ALIGNMENT);
    }
}

fn fill_mode(fill: FillMode) -> f64 {
    match fill {
        FillMode::Reflect => 0.0,
        FillMode::Wrap => 1.0,
        FillMode::Nearest => 2.0,
        FillMode::Constant => 3.0,
    }
}
