//! Several tensors one after the other along their last axis: the channels of images, or vectors.

use super::node::last_axis;
use super::{
    Attribute, Block, Channels, Done, Gradient, InputGradients, KerasLayer, Kind, Node, Operator, Output, Passes,
    Refusal,
};
use crate::error::Result;
use crate::graph::{Builder, TensorId};
use crate::kernels::concatenate;
use crate::shape::Shape;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::ops::RangeInclusive;

/// A concatenation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Concatenate {}

/// Keras's classes of this layer.
pub const KERAS: &[&str] = &["Concatenate"];

impl Concatenate {
    pub(super) fn from_keras(_layer: &KerasLayer) -> Result<Self, Refusal> {
        Ok(Self {})
    }
}

/// Sizes of the call that puts input `number`, from 1 on, behind those before it.
fn sizes(node: &Node, number: usize, batch: usize) -> concatenate::Sizes {
    let rows = batch * node.output.elements() / node.channels();
    let left = node.shapes[..number].iter().map(last_axis).sum();
    concatenate::Sizes { rows, left, right: last_axis(&node.shapes[number]) }
}

/// A tensor for the first inputs side by side, or their gradient.
fn first_inputs(node: &Node, count: usize, what: &str, builder: &mut Builder) -> TensorId {
    let channels: usize = node.shapes[..count].iter().map(last_axis).sum();
    let elements = node.output.elements() / node.channels() * channels;
    builder.activation(&format!("{}.{what}_{count}", node.name), elements)
}

impl Kind for Concatenate {
    fn arity(&self) -> RangeInclusive<usize> {
        2..=usize::MAX
    }

    fn output(&self, inputs: &[Shape], _classes: usize) -> Result<Shape, Refusal> {
        let outer = |shape: &Shape| shape.sizes()[..shape.sizes().len() - 1].to_vec();
        if let Some(other) = inputs.iter().find(|shape| outer(shape) != outer(&inputs[0])) {
            return Err((
                format!("it puts {} and {other} side by side", inputs[0]),
                "give it inputs that differ in their last size alone".into(),
            ));
        }
        let mut sizes = outer(&inputs[0]);
        sizes.push(inputs.iter().map(last_axis).sum());
        Ok(Shape::new(&sizes))
    }

    fn flops(&self, _inputs: &[Shape], _output: &Shape) -> f64 {
        0.0
    }

    fn forward(&self, block: &Block, inputs: &[TensorId], builder: &mut Builder) -> Result<Output> {
        let node = block.first();
        let mut left = inputs[0];
        for (number, &right) in inputs.iter().enumerate().skip(1) {
            let output = match number + 1 == inputs.len() {
                true => block.output(builder),
                false => first_inputs(node, number + 1, "output", builder),
            };
            let sizes = sizes(node, number, builder.batch);
            builder.call(&concatenate::FORWARD, &node.name, sizes, &[left, right, output]);
            left = output;
        }
        Ok(left.into())
    }

    fn backward(&self, done: &Done, gradient: Gradient, builder: &mut Builder) -> Result<InputGradients> {
        let node = done.block.first();
        let mut gradients = vec![None; node.inputs.len()];
        let mut output = gradient.output;
        // the last input is cut off first
        for number in (1..node.inputs.len()).rev() {
            let left = match number {
                1 => done.new_gradient(0, builder),
                _ => first_inputs(node, number, "output_gradient", builder),
            };
            let right = done.new_gradient(number, builder);
            let sizes = sizes(node, number, builder.batch);
            builder.call(&concatenate::BACKWARD, &node.name, sizes, &[output, left, right]);
            gradients[number] = Some(right);
            output = left;
        }
        gradients[0] = Some(output);
        Ok(gradients)
    }

    fn passes(&self) -> Passes {
        Passes::Affine
    }

    fn check_keras(&self, layer: &KerasLayer, inputs: &[Shape]) -> Result<(), Refusal> {
        let last = inputs[0].sizes().len() as i64;
        let is_last = |axis: &Value| axis.is_null() || axis.as_i64().is_some_and(|axis| axis == -1 || axis == last);
        layer.must("axis", is_last, "the last axis")
    }

    fn keras(&self, _node: &Node) -> (&'static str, Value) {
        ("Concatenate", json!({"axis": -1}))
    }

    fn onnx(&self, _node: &Node) -> Option<Operator> {
        let attributes = vec![("axis", Attribute::LastAxis)];
        Some(Operator { name: "Concat", channels: Channels::Any, attributes })
    }
}
