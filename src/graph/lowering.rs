//! A graph under construction: the trainable tensors, the transient ones, and adding calls.

use super::{
    BANK_ALIGNMENT, Bank, Call, Graph, MicroBatches, Persistent, Program, Settings, Storage, TensorId, TrainableTensor,
};
use crate::kernels::{Constants, Contract, Element, Precision};
use crate::model::Network;

/// A graph under construction.
pub(super) struct Lowering<'a> {
    pub network: &'a Network,
    pub settings: &'a Settings,
    /// Images at a time: the batch, or a micro-batch.
    pub batch: usize,
    pub graph: Graph,
    pub persistent: Persistent,
    /// Calls of the program being written.
    pub calls: Vec<Call>,
    /// The program being written.
    pub program: Program,
    /// Whether backward calls compute the gradients of weights, and not only those of inputs.
    pub weights_wanted: bool,
}

impl<'a> Lowering<'a> {
    pub fn new(network: &'a Network, settings: &'a Settings) -> Self {
        let mut graph = Graph::default();
        let persistent = Persistent::add(&mut graph, network, settings);
        add_parameters(&mut graph, network, settings);
        let images = settings.micro_batch.filter(|&images| (1..settings.batch).contains(&images));
        graph.micro_batches = images.map(|images| MicroBatches { images, batch: settings.batch });
        let batch = images.unwrap_or(settings.batch);
        Self {
            network,
            settings,
            batch,
            graph,
            persistent,
            calls: Vec::new(),
            program: Program::Train,
            weights_wanted: true,
        }
    }

    /// The finished graph.
    pub fn finish(self) -> Graph {
        Graph { persistent: Some(self.persistent), ..self.graph }
    }

    pub fn bank(&mut self, bank: Bank) -> TensorId {
        self.persistent.whole_bank(&mut self.graph, bank)
    }

    /// An activation or its gradient.
    pub fn transient(&mut self, name: &str, elements: usize) -> TensorId {
        let element = if self.settings.precision == Precision::Mixed { Element::F16 } else { Element::F32 };
        self.transient_of(name, element, elements)
    }

    pub fn transient_of(&mut self, name: &str, element: Element, elements: usize) -> TensorId {
        self.graph.tensor(format!("{}.{name}", self.program.name()), element, elements, Storage::Transient)
    }

    /// Adds a call.
    pub fn call(&mut self, contract: &'static Contract, layer: &str, constants: Constants, tensors: &[TensorId]) {
        let wanted = self.settings.precision;
        let precision = if contract.precisions().contains(&wanted) { wanted } else { Precision::F32 };
        let (layer, tensors) = (layer.to_owned(), tensors.to_vec());
        self.calls.push(Call { layer, contract, precision, constants, tensors });
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
