//! A layer with state, for tests: it hands its input on and, in training, keeps the first image of the last batch.

use super::{
    Block, Done, Gradient, Initialiser, InputGradients, KerasLayer, Kind, Node, Operator, Output, Parameter, Refusal,
    Role,
};
use crate::error::Result;
use crate::graph::{Builder, TensorId};
use crate::kernels::reduce;
use crate::shape::Shape;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {}

/// Keras has no such layer.
pub const KERAS: &[&str] = &["Memory"];

impl Memory {
    pub(super) fn from_keras(_layer: &KerasLayer) -> Result<Self, Refusal> {
        Ok(Self {})
    }
}

impl Kind for Memory {
    fn output(&self, inputs: &[Shape], _classes: usize) -> Result<Shape, Refusal> {
        Ok(inputs[0].clone())
    }

    fn parameters(&self, inputs: &[Shape], _output: &Shape) -> Vec<Parameter> {
        let (name, shape, initialiser) = ("last".to_owned(), inputs[0].clone(), Initialiser::Zeros);
        vec![Parameter { name, shape, initialiser, role: Role::State }]
    }

    fn flops(&self, _inputs: &[Shape], _output: &Shape) -> f64 {
        0.0
    }

    fn forward(&self, block: &Block, inputs: &[TensorId], builder: &mut Builder) -> Result<Output> {
        if builder.is_training() {
            let node = block.first();
            let state = builder.values(node.first_parameter);
            let sizes = reduce::AccumulateSizes { elements: node.output.elements() };
            builder.call(&reduce::ACCUMULATE, &node.name, sizes, &[inputs[0], state]);
        }
        Ok(inputs[0].into())
    }

    fn backward(&self, _done: &Done, gradient: Gradient, _builder: &mut Builder) -> Result<InputGradients> {
        Ok(vec![Some(gradient.output)])
    }

    fn keras(&self, _node: &Node) -> (&'static str, Value) {
        (KERAS[0], json!({}))
    }

    fn onnx(&self, _node: &Node) -> Option<Operator> {
        None
    }
}
