//! The rectifier, `max(0, x)`.

use super::{Block, Done, Gradient, InputGradients, KerasLayer, Kind, Node, Operator, Output, Passes, Refusal};
use crate::error::Result;
use crate::graph::{Builder, TensorId};
use crate::kernels::relu;
use crate::shape::Shape;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A rectifier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relu {}

/// Keras's class of this layer, and its activation.
pub const KERAS: &[&str] = &["ReLU", RELU];
const RELU: &str = "relu";

impl Relu {
    pub(super) fn from_keras(layer: &KerasLayer) -> Result<Self, Refusal> {
        layer.must("max_value", |value| value.is_null(), "no bound")?;
        for name in ["negative_slope", "threshold"] {
            layer.must(name, |value| value.as_f64().unwrap_or(0.0) == 0.0, "0")?;
        }
        Ok(Self {})
    }
}

impl Kind for Relu {
    fn output(&self, inputs: &[Shape], _classes: usize) -> Result<Shape, Refusal> {
        Ok(inputs[0].clone())
    }

    fn flops(&self, _inputs: &[Shape], output: &Shape) -> f64 {
        output.elements() as f64
    }

    fn forward(&self, block: &Block, inputs: &[TensorId], builder: &mut Builder) -> Result<Output> {
        let node = block.first();
        let output = block.output(builder);
        let sizes = relu::Sizes { elements: builder.batch * node.output.elements() };
        builder.call(&relu::FORWARD, &node.name, sizes, &[inputs[0], output]);
        Ok(output.into())
    }

    fn backward(&self, done: &Done, gradient: Gradient, builder: &mut Builder) -> Result<InputGradients> {
        let node = done.block.first();
        let input = done.input_gradient(gradient, builder);
        if let Some(input) = input {
            let sizes = relu::Sizes { elements: builder.batch * node.output.elements() };
            builder.call(&relu::BACKWARD, &node.name, sizes, &[done.output.tensor, gradient.output, input]);
        }
        Ok(vec![input])
    }

    fn passes(&self) -> Passes {
        Passes::Scale
    }

    fn keras_activation(&self) -> Option<&'static str> {
        Some(RELU)
    }

    fn keras(&self, _node: &Node) -> (&'static str, Value) {
        ("ReLU", json!({}))
    }

    fn onnx(&self, _node: &Node) -> Option<Operator> {
        Some(Operator::plain("Relu"))
    }
}
