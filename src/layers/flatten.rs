//! Rows, columns and channels as one axis, in this order. It has no call: the elements stay where they are.

use super::{
    Attribute, Block, Channels, Done, Gradient, InputGradients, KerasLayer, Kind, Node, Operator, Output, Passes,
    Refusal,
};
use crate::error::Result;
use crate::graph::{Builder, TensorId};
use crate::shape::Shape;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A flattening.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flatten {}

/// Keras's classes of this layer.
pub const KERAS: &[&str] = &["Flatten"];

impl Flatten {
    pub(super) fn from_keras(_layer: &KerasLayer) -> Result<Self, Refusal> {
        Ok(Self {})
    }
}

impl Kind for Flatten {
    fn output(&self, inputs: &[Shape], _classes: usize) -> Result<Shape, Refusal> {
        Ok(Shape::new(&[inputs[0].elements()]))
    }

    fn flops(&self, _inputs: &[Shape], _output: &Shape) -> f64 {
        0.0
    }

    fn forward(&self, _block: &Block, inputs: &[TensorId], _builder: &mut Builder) -> Result<Output> {
        Ok(inputs[0].into())
    }

    fn backward(&self, _done: &Done, gradient: Gradient, _builder: &mut Builder) -> Result<InputGradients> {
        Ok(vec![Some(gradient.output)])
    }

    fn passes(&self) -> Passes {
        Passes::Affine
    }

    fn keras(&self, _node: &Node) -> (&'static str, Value) {
        ("Flatten", json!({"data_format": "channels_last"}))
    }

    fn onnx(&self, _node: &Node) -> Option<Operator> {
        let attributes = vec![("axis", Attribute::Number(1))];
        Some(Operator { name: "Flatten", channels: Channels::Last, attributes })
    }
}
