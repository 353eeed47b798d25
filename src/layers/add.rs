//! Sum of several tensors of one shape, as at the end of a residual block.

use super::{Block, Done, Gradient, InputGradients, KerasLayer, Kind, Node, Operator, Output, Passes, Refusal};
use crate::error::Result;
use crate::graph::{Builder, TensorId};
use crate::shape::Shape;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::ops::RangeInclusive;

/// A sum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Add {}

/// Keras's classes of this layer.
pub const KERAS: &[&str] = &["Add"];

impl Add {
    pub(super) fn from_keras(_layer: &KerasLayer) -> Result<Self, Refusal> {
        Ok(Self {})
    }
}

impl Kind for Add {
    fn arity(&self) -> RangeInclusive<usize> {
        2..=usize::MAX
    }

    fn output(&self, inputs: &[Shape], _classes: usize) -> Result<Shape, Refusal> {
        match inputs.iter().find(|shape| **shape != inputs[0]) {
            None => Ok(inputs[0].clone()),
            Some(other) => Err((
                format!("it adds {} and {other}", inputs[0]),
                "give it inputs of one shape; a conv2d with kernel = 1 changes the channels".into(),
            )),
        }
    }

    fn flops(&self, inputs: &[Shape], output: &Shape) -> f64 {
        (inputs.len() - 1) as f64 * output.elements() as f64
    }

    fn forward(&self, block: &Block, inputs: &[TensorId], builder: &mut Builder) -> Result<Output> {
        let node = block.first();
        Ok(builder.sum(&node.name, "output", inputs, node.output.elements()).into())
    }

    fn backward(&self, done: &Done, gradient: Gradient, _builder: &mut Builder) -> Result<InputGradients> {
        Ok(vec![Some(gradient.output); done.inputs.len()])
    }

    fn passes(&self) -> Passes {
        Passes::Scale
    }

    fn keras(&self, _node: &Node) -> (&'static str, Value) {
        ("Add", json!({}))
    }

    /// ONNX's `Add` takes two inputs, its `Sum` takes any number.
    fn onnx(&self, node: &Node) -> Option<Operator> {
        Some(Operator::plain(if node.inputs.len() == 2 { "Add" } else { "Sum" }))
    }
}
