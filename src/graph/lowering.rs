//! A graph under construction: the tensors that both programs share, the trainable ones, and adding calls.

use super::{
    BANK_ALIGNMENT, Bank, Call, Graph, METRICS_SLOTS, MicroBatches, Settings, Shard, Storage, TensorId, TrainableTensor,
};
use crate::kernels::{self, Constants, Element, Precision, reduce};
use crate::model::Network;

/// The tensors of a shard, and how many images it has room for.
#[derive(Clone, Copy)]
pub(super) struct SharedShard {
    pub pixels: TensorId,
    pub shard: TensorId,
    pub images: usize,
}

/// Tensors of the data set and the loss, shared by both programs.
pub(super) struct Shared {
    pub shards: Vec<SharedShard>,
    pub order: TensorId,
    /// What `order` is to the images on the device: itself, or, where they are streamed, the positions 0, 1, 2, ...
    pub places: TensorId,
    pub labels: TensorId,
    /// Weights of the classes in the loss of training, and those of inference: one each.
    pub class_weights: TensorId,
    pub unit_weights: TensorId,
    pub probabilities: TensorId,
    pub metrics: TensorId,
    pub status: TensorId,
    pub loss_scale: TensorId,
}

/// A graph under construction.
pub(super) struct Lowering<'a> {
    pub network: &'a Network,
    pub settings: &'a Settings,
    /// Images at a time: the batch, or a micro-batch.
    pub batch: usize,
    pub graph: Graph,
    pub shared: Shared,
    /// Calls of the program being written.
    pub calls: Vec<Call>,
    /// Prefix of passing tensors: each program has its own.
    pub program: &'static str,
    /// Whether backward calls compute the gradients of weights, and not only those of inputs.
    pub weights_wanted: bool,
}

impl<'a> Lowering<'a> {
    pub fn new(network: &'a Network, settings: &'a Settings) -> Self {
        let mut graph = Graph::default();
        let shared = Shared::add(&mut graph, network, settings);
        add_parameters(&mut graph, network, settings);
        let images = settings.micro_batch.filter(|&images| (1..settings.batch).contains(&images));
        graph.micro_batches = images.map(|images| MicroBatches { images, batch: settings.batch });
        let batch = images.unwrap_or(settings.batch);
        Self { network, settings, batch, graph, shared, calls: Vec::new(), program: "train", weights_wanted: true }
    }

    pub fn bank(&mut self, bank: Bank, elements: usize) -> TensorId {
        self.graph.tensor(bank.name(), bank.element(), elements, Storage::Bank(bank, 0))
    }

    /// An activation or its gradient.
    pub fn passing(&mut self, name: &str, elements: usize) -> TensorId {
        let element = if self.settings.precision == Precision::Mixed { Element::F16 } else { Element::F32 };
        self.passing_of(name, element, elements)
    }

    pub fn passing_of(&mut self, name: &str, element: Element, elements: usize) -> TensorId {
        self.graph.tensor(format!("{}.{name}", self.program), element, elements, Storage::Passing)
    }

    /// Adds a call. An unknown contract is a mistake in this file, which the tests of plans meet.
    pub fn call(&mut self, contract: &str, layer: &str, constants: Constants, tensors: &[TensorId]) {
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
            unit_weights: kept("unit_weights", Element::F32, network.classes),
            probabilities: kept("probabilities", Element::F32, settings.rows * network.classes),
            metrics: kept("metrics", Element::F32, METRICS_SLOTS * 4),
            status: kept("status", Element::U32, 2),
            loss_scale: kept("loss_scale", Element::F32, reduce::LOSS_SCALE),
        }
    }
}

/// Every trainable tensor has the same place in each bank.
fn add_parameters(graph: &mut Graph, network: &Network, settings: &Settings) {
    let mixed = settings.precision == Precision::Mixed;
    let averaged = settings.training && settings.average;
    let mut offset = 0;
    for parameter in network.parameters() {
        let elements = parameter.shape.elements();
        let mut add =
            |name: String, bank: Bank| graph.tensor(name, bank.element(), elements, Storage::Bank(bank, offset));
        let (name, shape) = (parameter.name.clone(), parameter.shape.clone());
        let values = add(name.clone(), Bank::Parameters);
        let half = mixed.then(|| add(format!("{name}.half"), Bank::HalfParameters));
        let gradient = add(format!("{name}.gradient"), Bank::Gradients);
        let average = averaged.then(|| add(format!("{name}.average"), Bank::Average));
        let half_average = (averaged && mixed).then(|| add(format!("{name}.half_average"), Bank::HalfAverage));
        graph.parameters.push(TrainableTensor { name, shape, values, half, gradient, average, half_average });
        offset += elements.next_multiple_of(BANK_ALIGNMENT);
    }
}
