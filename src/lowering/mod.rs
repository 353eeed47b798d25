//! A network becomes a graph: `blocks.rs` groups its nodes (all there is of fusion), `programs.rs` writes what training and inference
//! do, `explain.rs` the way back to the pixels. The calls of the layers are in their own files.

mod blocks;
mod explain;
mod programs;

pub use blocks::group;
pub use explain::{Explained, Features, explain};

use crate::error::Result;
use crate::graph::{Bank, Builder, Graph, MicroBatches, Persistent, Settings, TensorId};
use crate::layers::{Done, Gradient, Input, Node, Role};
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
    Ok(lowering.finish())
}

/// A network on its way to a graph.
struct Lowering<'a> {
    network: &'a Network,
    settings: &'a Settings,
    persistent: Persistent,
    builder: Builder,
}

impl<'a> Lowering<'a> {
    fn new(network: &'a Network, settings: &'a Settings) -> Self {
        let mut builder = Builder::new(settings);
        let mut persistent = Persistent::add(&mut builder.graph, network.image, network.classes, settings);
        for parameter in network.parameters() {
            match parameter.role {
                Role::Trainable => builder.add_trainable(&parameter.name, &parameter.shape, settings),
                Role::State => builder.add_state(&parameter.name, &parameter.shape),
            }
        }
        if network.parameters().any(|parameter| parameter.role == Role::State) {
            persistent.whole_bank(&mut builder.graph, Bank::State);
        }
        let images = settings.micro_batch.filter(|&images| (1..settings.batch).contains(&images));
        builder.graph.micro_batches = images.map(|images| MicroBatches { images, batch: settings.batch });
        builder.batch = images.unwrap_or(settings.batch);
        Self { network, settings, persistent, builder }
    }

    /// The finished graph.
    fn finish(self) -> Graph {
        Graph { persistent: Some(self.persistent), ..self.builder.graph }
    }

    /// The tensor over the whole of a bank.
    fn bank(&mut self, bank: Bank) -> TensorId {
        self.persistent.whole_bank(&mut self.builder.graph, bank)
    }

    /// Forward calls of all blocks, in order.
    fn forward(&mut self, images: TensorId) -> Result<Vec<Done<'a>>> {
        // of each node, and at the end the images
        let mut outputs = vec![images; self.network.nodes.len() + 1];
        let mut done = Vec::new();
        for block in group(&self.network.nodes, self.settings.fuse) {
            let inputs: Vec<TensorId> = self.places(block.first()).iter().map(|&place| outputs[place]).collect();
            let output = block.first().layer.forward(&block, &inputs, &mut self.builder)?;
            outputs[block.last().number] = output.tensor;
            done.push(Done { block, inputs, output });
        }
        Ok(done)
    }

    /// Backward calls from the last block to the first, as far as gradients are `wanted`: of each node's output, and at the end of the
    /// images. Returns the gradient of the images, where that is wanted.
    ///
    /// A tensor with several readers has their gradients added in the order of the readers.
    fn backward(&mut self, done: &[Done], logits_gradient: TensorId, wanted: &[bool]) -> Result<Option<TensorId>> {
        let images = self.network.nodes.len();
        // what the readers of each output hand back, the last reader first
        let mut gradients: Vec<Vec<TensorId>> = vec![Vec::new(); images + 1];
        gradients[images - 1].push(logits_gradient);
        for done in done.iter().rev() {
            let last = done.block.last();
            let parts = std::mem::take(&mut gradients[last.number]);
            let Some(gradient) = self.total(&last.name, "output_gradient", parts, last.output.elements()) else {
                continue;
            };
            let node = done.block.first();
            let places = self.places(node);
            let wanted: Vec<bool> = places.iter().map(|&place| wanted[place]).collect();
            let gradient = Gradient { output: gradient, wanted: &wanted };
            let handed_back = node.layer.backward(done, gradient, &mut self.builder)?;
            for ((place, wanted), gradient) in places.into_iter().zip(wanted).zip(handed_back).rev() {
                gradients[place].extend(gradient.filter(|_| wanted));
            }
        }
        let (height, width, channels) = self.network.image;
        let parts = std::mem::take(&mut gradients[images]);
        Ok(self.total("images", "gradient", parts, height * width * channels))
    }

    /// The sum of gradients, of which the last reader's comes first; none where nobody hands one back.
    fn total(&mut self, layer: &str, name: &str, mut parts: Vec<TensorId>, elements: usize) -> Option<TensorId> {
        parts.reverse();
        (!parts.is_empty()).then(|| self.builder.sum(layer, name, &parts, elements))
    }

    /// The outputs that training needs the gradients of: those that depend on a trainable tensor. The images do not.
    fn trained(&self) -> Vec<bool> {
        let mut trained = vec![false; self.network.nodes.len() + 1];
        for node in &self.network.nodes {
            let trainable = node.parameters.iter().any(|parameter| parameter.role == Role::Trainable);
            trained[node.number] = trainable || self.places(node).iter().any(|&place| trained[place]);
        }
        trained
    }

    /// The numbers of the outputs that a node reads; the images come after all nodes.
    fn places(&self, node: &Node) -> Vec<usize> {
        let place = |input: &Input| match *input {
            Input::Images => self.network.nodes.len(),
            Input::Node(number) => number,
        };
        node.inputs.iter().map(place).collect()
    }
}
