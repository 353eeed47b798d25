//! Fully connected layer; weights IN x OUT. With the relu after it, it is one kernel.

use super::node::last_axis;
use super::rules::positive;
use super::weighted;
use super::{
    Block, Done, Fused, Gradient, InputGradients, KerasLayer, Kind, Node, Operator, Output, Parameter, Refusal,
};
use crate::error::Result;
use crate::graph::{Builder, TensorId};
use crate::kernels::dense;
use crate::shape::Shape;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A fully connected layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dense {
    /// Outputs; the number of classes where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units: Option<usize>,
    /// Whether a bias is added.
    #[serde(default = "yes")]
    pub bias: bool,
}

fn yes() -> bool {
    true
}

/// Keras's classes of this layer.
pub const KERAS: &[&str] = &["Dense"];

impl Dense {
    /// A layer of so many outputs with a bias.
    pub fn new(units: Option<usize>) -> Self {
        Self { units, bias: true }
    }

    pub(super) fn from_keras(layer: &KerasLayer) -> Result<Self, Refusal> {
        Ok(Self { units: Some(layer.size("units")?), bias: layer.flag("use_bias", true)? })
    }

    fn sizes(&self, node: &Node, batch: usize) -> dense::Sizes {
        let sizes = dense::Sizes::new(batch, node.input().elements(), node.output.elements());
        dense::Sizes { bias: self.bias, ..sizes }
    }
}

impl Kind for Dense {
    fn output(&self, inputs: &[Shape], classes: usize) -> Result<Shape, Refusal> {
        let units = self.units.unwrap_or(classes);
        positive(&[("units", units)])?;
        match inputs[0].sizes() {
            [_] => Ok(Shape::new(&[units])),
            _ => Err((format!("it needs one axis, but gets {}", inputs[0]), "put a flatten layer before it".into())),
        }
    }

    fn parameters(&self, inputs: &[Shape], output: &Shape) -> Vec<Parameter> {
        weighted::parameters(&[last_axis(&inputs[0]), last_axis(output)], self.bias)
    }

    fn flops(&self, inputs: &[Shape], output: &Shape) -> f64 {
        2.0 * output.elements() as f64 * inputs[0].elements() as f64
    }

    fn forward(&self, block: &Block, inputs: &[TensorId], builder: &mut Builder) -> Result<Output> {
        let output = block.output(builder);
        let relu = block.fused == Fused::Rectified;
        let sizes = dense::Sizes { relu, ..self.sizes(block.first(), builder.batch) };
        weighted::forward(&dense::FORWARD, block, sizes, [inputs[0], output], &[], builder);
        Ok(output.into())
    }

    fn backward(&self, done: &Done, gradient: Gradient, builder: &mut Builder) -> Result<InputGradients> {
        let sizes = self.sizes(done.block.first(), builder.batch);
        let input = done.input_gradient(gradient, builder);
        let fused = done.block.fused == Fused::Rectified;
        let output = if fused { weighted::before_relu(done, gradient.output, builder) } else { gradient.output };
        let contracts = [&dense::BACKWARD_WEIGHTS, &dense::BACKWARD_INPUT];
        weighted::backward(contracts, done, sizes, &[output], input, builder);
        Ok(vec![input])
    }

    fn bias(&mut self) -> Option<&mut bool> {
        Some(&mut self.bias)
    }

    fn leave_outputs_open(&mut self) -> Option<usize> {
        self.units.take()
    }

    fn keras(&self, node: &Node) -> (&'static str, Value) {
        let units = node.output.elements();
        ("Dense", json!({"units": units, "activation": "linear", "use_bias": self.bias}))
    }

    fn onnx(&self, _node: &Node) -> Option<Operator> {
        Some(Operator::plain("Gemm"))
    }
}
