//! Dropout: zeroes some of the values while training, and does nothing in inference.

use super::{Block, Done, Gradient, InputGradients, KerasLayer, Kind, Node, Operator, Output, Passes, Refusal};
use crate::error::Result;
use crate::graph::{Builder, TensorId};
use crate::kernels::dropout;
use crate::shape::Shape;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A dropout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropout {
    /// Fraction of zeroed values, `0 <= rate < 1`.
    pub rate: f64,
}

/// Keras's classes of this layer.
pub const KERAS: &[&str] = &["Dropout"];

impl Dropout {
    pub(super) fn from_keras(layer: &KerasLayer) -> Result<Self, Refusal> {
        layer.must("noise_shape", |value| value.is_null(), "left out")?;
        Ok(Self { rate: layer.config["rate"].as_f64().unwrap_or(f64::NAN) })
    }

    /// Each dropout layer has its own stream of random numbers: that of its number in the network.
    fn sizes(&self, node: &Node, batch: usize) -> dropout::Sizes {
        dropout::Sizes::new(batch, node.output.elements(), self.rate, node.number)
    }
}

impl Kind for Dropout {
    fn output(&self, inputs: &[Shape], _classes: usize) -> Result<Shape, Refusal> {
        match (0.0..1.0).contains(&self.rate) {
            true => Ok(inputs[0].clone()),
            false => Err((format!("its rate is {}", self.rate), "choose a rate of at least 0 and below 1".into())),
        }
    }

    fn flops(&self, _inputs: &[Shape], output: &Shape) -> f64 {
        output.elements() as f64
    }

    fn forward(&self, block: &Block, inputs: &[TensorId], builder: &mut Builder) -> Result<Output> {
        if !builder.is_training() {
            return Ok(inputs[0].into());
        }
        let output = block.output(builder);
        let sizes = self.sizes(block.first(), builder.batch);
        builder.call(&dropout::FORWARD, &block.first().name, sizes, &[inputs[0], output]);
        Ok(output.into())
    }

    fn backward(&self, done: &Done, gradient: Gradient, builder: &mut Builder) -> Result<InputGradients> {
        if !builder.is_training() {
            return Ok(vec![Some(gradient.output)]);
        }
        let node = done.block.first();
        let input = done.input_gradient(gradient, builder);
        if let Some(input) = input {
            let sizes = self.sizes(node, builder.batch);
            builder.call(&dropout::BACKWARD, &node.name, sizes, &[gradient.output, input]);
        }
        Ok(vec![input])
    }

    fn passes(&self) -> Passes {
        Passes::Affine
    }

    fn keras(&self, _node: &Node) -> (&'static str, Value) {
        ("Dropout", json!({"rate": self.rate}))
    }

    fn onnx(&self, _node: &Node) -> Option<Operator> {
        None
    }
}
