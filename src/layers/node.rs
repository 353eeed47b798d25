//! A layer at its place in a network, and the nodes that one call computes.

use super::{Layer, Parameter};
use crate::graph::{Builder, TensorId};
use crate::shape::Shape;

/// What a node reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The network's images.
    Images,
    /// The output of the node of this number.
    Node(usize),
}

/// A layer at its place in a network.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its number in the network.
    pub number: usize,
    /// The model's name for it, or Keras's: `conv2d`, `conv2d_1`, ...
    pub name: String,
    /// The layer.
    pub layer: Layer,
    /// What it reads: nodes before it, or the images.
    pub inputs: Vec<Input>,
    /// Shapes of its inputs, for one image.
    pub shapes: Vec<Shape>,
    /// Shape of its output, for one image.
    pub output: Shape,
    /// Its own tensors.
    pub parameters: Vec<Parameter>,
    /// The number of its first parameter among those of the network.
    pub first_parameter: usize,
}

impl Node {
    /// Shape of its first input, for one image; most layers have no other.
    pub fn input(&self) -> &Shape {
        &self.shapes[0]
    }

    /// Length of the last axis of its output.
    pub fn channels(&self) -> usize {
        last_axis(&self.output)
    }

    /// Whether it reads the node before it and nothing else, as in a chain; the first reads the images.
    pub fn is_chained(&self) -> bool {
        self.inputs == [self.number.checked_sub(1).map_or(Input::Images, Input::Node)]
    }
}

/// Whether the node of this number reads the one before it and nothing else, and nothing else reads that one.
pub fn continues(nodes: &[Node], number: usize) -> bool {
    let Some(before) = number.checked_sub(1) else { return false };
    let reads = |node: &&Node| node.inputs.contains(&Input::Node(before));
    nodes[number].inputs == [Input::Node(before)] && nodes.iter().filter(reads).count() == 1
}

/// Length of the last axis of a shape.
pub(super) fn last_axis(shape: &Shape) -> usize {
    shape.sizes().last().copied().unwrap_or(1)
}

/// What of the nodes after it a layer computes in the same kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fused {
    /// Nothing.
    Nothing,
    /// A relu.
    Rectified,
    /// A relu and a 2x2 max-pool.
    RectifiedAndPooled,
}

/// One node, or several in a row that are fused; the first one's layer writes the calls.
#[derive(Clone, Debug)]
pub struct Block<'a> {
    /// Its nodes: each but the first reads the one before it, and nothing else does.
    pub nodes: &'a [Node],
    /// What the first is fused with.
    pub fused: Fused,
}

impl<'a> Block<'a> {
    /// The node that the calls are named after.
    pub fn first(&self) -> &'a Node {
        &self.nodes[0]
    }

    /// The node whose output it hands on.
    pub fn last(&self) -> &'a Node {
        &self.nodes[self.nodes.len() - 1]
    }

    /// A tensor for the block's output.
    pub fn output(&self, builder: &mut Builder) -> TensorId {
        builder.activation(&format!("{}.output", self.first().name), self.last().output.elements())
    }
}

/// What forward calls leave for backward calls.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// The output; the input itself where the layer has no call.
    pub tensor: TensorId,
    /// What else the backward calls read.
    pub saved: Option<TensorId>,
}

impl From<TensorId> for Output {
    fn from(tensor: TensorId) -> Self {
        Self { tensor, saved: None }
    }
}

/// A block after its forward calls.
#[derive(Clone, Debug)]
pub struct Done<'a> {
    /// The block.
    pub block: Block<'a>,
    /// The tensors it read.
    pub inputs: Vec<TensorId>,
    /// What it wrote.
    pub output: Output,
}

/// The gradient that a block is handed.
#[derive(Clone, Copy, Debug)]
pub struct Gradient<'a> {
    /// That of its output.
    pub output: TensorId,
    /// Of which of its inputs the gradient is wanted.
    pub wanted: &'a [bool],
}

/// The gradients of a block's inputs; none where one is not wanted or there is none.
pub type InputGradients = Vec<Option<TensorId>>;

impl Done<'_> {
    /// A tensor for the gradient of the first input, where that is wanted.
    pub fn input_gradient(&self, gradient: Gradient, builder: &mut Builder) -> Option<TensorId> {
        gradient.wanted[0].then(|| self.new_gradient(0, builder))
    }

    /// A tensor for the gradient of an input.
    pub fn new_gradient(&self, input: usize, builder: &mut Builder) -> TensorId {
        let node = self.block.first();
        let name = match input {
            0 => format!("{}.input_gradient", node.name),
            _ => format!("{}.input_gradient_{input}", node.name),
        };
        builder.activation(&name, node.shapes[input].elements())
    }
}
