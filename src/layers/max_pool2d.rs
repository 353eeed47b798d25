//! Maximum of square windows, without padding.

use super::onnx::window_attributes;
use super::rules::{misplaced, positive, slide};
use super::{
    Block, Channels, Done, Gradient, InputGradients, KerasLayer, Kind, Node, Operator, Output, Passes, Refusal,
};
use crate::error::Result;
use crate::graph::{Builder, TensorId};
use crate::kernels::maxpool2d;
use crate::shape::{Padding, Shape, Window};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A max-pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaxPool2d {
    /// Side of the window.
    #[serde(default = "two")]
    pub size: usize,
    /// Step of the window; the size where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stride: Option<usize>,
}

fn two() -> usize {
    2
}

/// Keras's classes of this layer.
pub const KERAS: &[&str] = &["MaxPooling2D", "MaxPool2D"];

impl MaxPool2d {
    /// A max-pool of windows side by side.
    pub fn new(size: usize) -> Self {
        Self { size, stride: None }
    }

    pub(super) fn from_keras(layer: &KerasLayer) -> Result<Self, Refusal> {
        let size = layer.square("pool_size")?.unwrap_or(2);
        layer.padding()?;
        Ok(Self { size, stride: layer.square("strides")?.filter(|stride| *stride != size) })
    }

    fn window(&self, padding: Padding) -> Window {
        Window { kernel: self.size, stride: self.stride.unwrap_or(self.size), padding }
    }

    fn sizes(&self, node: &Node, batch: usize) -> Result<maxpool2d::Sizes> {
        let image = node.input().image().ok_or_else(|| misplaced(node))?;
        let sizes = maxpool2d::Sizes::new(batch, image, self.size, self.window(Padding::Valid).stride);
        sizes.ok_or_else(|| misplaced(node))
    }
}

impl Kind for MaxPool2d {
    fn output(&self, inputs: &[Shape], _classes: usize) -> Result<Shape, Refusal> {
        let window = self.window(Padding::Valid);
        positive(&[("size", window.kernel), ("stride", window.stride)])?;
        slide(&inputs[0], window, None)
    }

    fn flops(&self, _inputs: &[Shape], output: &Shape) -> f64 {
        output.elements() as f64 * (self.size * self.size) as f64
    }

    fn forward(&self, block: &Block, inputs: &[TensorId], builder: &mut Builder) -> Result<Output> {
        let output = block.output(builder);
        let sizes = self.sizes(block.first(), builder.batch)?;
        builder.call(&maxpool2d::FORWARD, &block.first().name, sizes, &[inputs[0], output]);
        Ok(output.into())
    }

    fn backward(&self, done: &Done, gradient: Gradient, builder: &mut Builder) -> Result<InputGradients> {
        let node = done.block.first();
        let input = done.input_gradient(gradient, builder);
        if let Some(input) = input {
            let sizes = self.sizes(node, builder.batch)?;
            builder.call(&maxpool2d::BACKWARD, &node.name, sizes, &[done.inputs[0], gradient.output, input]);
        }
        Ok(vec![input])
    }

    fn passes(&self) -> Passes {
        Passes::Scale
    }

    /// Keras's padding "same" is "valid" where nothing is padded.
    fn check_keras(&self, layer: &KerasLayer, inputs: &[Shape]) -> Result<(), Refusal> {
        let same = layer.padding()? == Padding::Same;
        let Some((rows, columns, _)) = inputs[0].image().filter(|_| same) else { return Ok(()) };
        let over = |padding, side| self.window(padding).over(side);
        match [rows, columns].iter().all(|&side| over(Padding::Same, side) == over(Padding::Valid, side)) {
            true => Ok(()),
            false => Err(layer.refuse(
                &format!("pads its {rows}x{columns} input"),
                "choose padding=\"valid\", or images that need no padding there",
            )),
        }
    }

    fn keras(&self, _node: &Node) -> (&'static str, Value) {
        let twice = |number: usize| json!([number, number]);
        let stride = self.window(Padding::Valid).stride;
        let config = json!({
            "pool_size": twice(self.size), "strides": twice(stride), "padding": "valid", "data_format": "channels_last",
        });
        ("MaxPooling2D", config)
    }

    fn onnx(&self, node: &Node) -> Option<Operator> {
        let attributes = window_attributes(self.window(Padding::Valid), node.input());
        Some(Operator { name: "MaxPool", channels: Channels::First, attributes })
    }
}
