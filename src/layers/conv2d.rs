//! Convolution of square windows; weights HWIO. With the relu after it, or relu and max-pool, it is one kernel.

use super::node::last_axis;
use super::onnx::window_attributes;
use super::rules::{misplaced, positive, slide};
use super::weighted;
use super::{
    Attribute, Block, Channels, Done, Fused, Gradient, InputGradients, KerasLayer, Kind, Node, Operator, Output,
    Parameter, Refusal,
};
use crate::error::Result;
use crate::graph::{Builder, TensorId};
use crate::kernels::{Element, conv_block, conv2d};
use crate::shape::{Padding, Shape, Window};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A convolution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conv2d {
    /// Output channels.
    pub filters: usize,
    /// Side of the window.
    #[serde(default = "three")]
    pub kernel: usize,
    /// Step of the window.
    #[serde(default = "one")]
    pub stride: usize,
    /// Treatment of the border.
    #[serde(default)]
    pub padding: Padding,
    /// Whether a bias is added.
    #[serde(default = "yes")]
    pub bias: bool,
}

fn one() -> usize {
    1
}
fn three() -> usize {
    3
}
fn yes() -> bool {
    true
}

/// Keras's classes of this layer.
pub const KERAS: &[&str] = &["Conv2D", "Convolution2D"];

impl Conv2d {
    /// A convolution of 3x3 windows with padding and a bias.
    pub fn new(filters: usize) -> Self {
        Self { filters, kernel: 3, stride: 1, padding: Padding::Same, bias: true }
    }

    pub(super) fn from_keras(layer: &KerasLayer) -> Result<Self, Refusal> {
        for name in ["dilation_rate", "groups"] {
            let one = |value: &Value| match value {
                Value::Null => true,
                Value::Array(items) => items.iter().all(|item| item.as_u64() == Some(1)),
                value => value.as_u64() == Some(1),
            };
            layer.must(name, one, "1")?;
        }
        let kernel = layer.square("kernel_size")?;
        Ok(Self {
            filters: layer.size("filters")?,
            kernel: kernel.ok_or_else(|| layer.refuse("has no kernel_size", "save it again with Keras"))?,
            stride: layer.square("strides")?.unwrap_or(1),
            padding: layer.padding()?,
            bias: layer.flag("use_bias", true)?,
        })
    }

    fn window(&self) -> Window {
        Window { kernel: self.kernel, stride: self.stride, padding: self.padding }
    }

    /// Sizes of a convolution alone or with a relu.
    fn sizes(&self, node: &Node, batch: usize) -> Result<conv2d::Sizes> {
        let image = node.input().image().ok_or_else(|| misplaced(node))?;
        let sizes = conv2d::Sizes::new(batch, image, self.window(), self.filters).ok_or_else(|| misplaced(node))?;
        Ok(conv2d::Sizes { bias: self.bias, ..sizes })
    }

    /// Sizes of a convolution with relu and max-pool.
    fn block_sizes(&self, node: &Node, batch: usize) -> Result<conv_block::Sizes> {
        let image = node.input().image().ok_or_else(|| misplaced(node))?;
        conv_block::Sizes::new(batch, image, self.filters).ok_or_else(|| misplaced(node))
    }
}

impl Kind for Conv2d {
    fn output(&self, inputs: &[Shape], _classes: usize) -> Result<Shape, Refusal> {
        positive(&[("filters", self.filters), ("kernel", self.kernel), ("stride", self.stride)])?;
        slide(&inputs[0], self.window(), Some(self.filters))
    }

    fn parameters(&self, inputs: &[Shape], _output: &Shape) -> Vec<Parameter> {
        weighted::parameters(&[self.kernel, self.kernel, last_axis(&inputs[0]), self.filters], self.bias)
    }

    fn flops(&self, inputs: &[Shape], output: &Shape) -> f64 {
        2.0 * output.elements() as f64 * (self.kernel * self.kernel * last_axis(&inputs[0])) as f64
    }

    fn forward(&self, block: &Block, inputs: &[TensorId], builder: &mut Builder) -> Result<Output> {
        let node = block.first();
        let output = block.output(builder);
        let tensors = [inputs[0], output];
        if block.fused == Fused::RectifiedAndPooled {
            let sizes = self.block_sizes(node, builder.batch)?;
            let argmax = builder.transient(&format!("{}.argmax", node.name), Element::U32, sizes.codes());
            weighted::forward(&conv_block::FORWARD, block, sizes, tensors, &[argmax], builder);
            return Ok(Output { tensor: output, saved: Some(argmax) });
        }
        let relu = block.fused == Fused::Rectified;
        let sizes = conv2d::Sizes { relu, ..self.sizes(node, builder.batch)? };
        weighted::forward(&conv2d::FORWARD, block, sizes, tensors, &[], builder);
        Ok(output.into())
    }

    fn backward(&self, done: &Done, gradient: Gradient, builder: &mut Builder) -> Result<InputGradients> {
        let node = done.block.first();
        let input = done.input_gradient(gradient, builder);
        if let Some(argmax) = done.output.saved {
            let contracts = [&conv_block::BACKWARD_WEIGHTS, &conv_block::BACKWARD_INPUT];
            let sizes = self.block_sizes(node, builder.batch)?;
            weighted::backward(contracts, done, sizes, &[gradient.output, argmax], input, builder);
            return Ok(vec![input]);
        }
        let sizes = self.sizes(node, builder.batch)?;
        let fused = done.block.fused == Fused::Rectified;
        let output = if fused { weighted::before_relu(done, gradient.output, builder) } else { gradient.output };
        let contracts = [&conv2d::BACKWARD_WEIGHTS, &conv2d::BACKWARD_INPUT];
        weighted::backward(contracts, done, sizes, &[output], input, builder);
        Ok(vec![input])
    }

    fn pads(&self, input: &Shape) -> bool {
        let Some((height, width, _)) = input.image() else { return false };
        let padded = |side| {
            let (out, _) = self.window().over(side).unwrap_or((1, 0));
            (out - 1) * self.stride + self.kernel > side
        };
        self.padding == Padding::Same && (padded(height) || padded(width))
    }

    fn bias(&mut self) -> Option<&mut bool> {
        Some(&mut self.bias)
    }

    fn keras(&self, _node: &Node) -> (&'static str, Value) {
        let padding = if self.padding == Padding::Same { "same" } else { "valid" };
        let twice = |number: usize| json!([number, number]);
        let config = json!({
            "filters": self.filters, "kernel_size": twice(self.kernel), "strides": twice(self.stride), "padding": padding,
            "data_format": "channels_last", "activation": "linear", "use_bias": self.bias,
        });
        ("Conv2D", config)
    }

    fn onnx(&self, node: &Node) -> Option<Operator> {
        let mut attributes = window_attributes(self.window(), node.input());
        attributes.push(("dilations", Attribute::Numbers(vec![1, 1])));
        Some(Operator { name: "Conv", channels: Channels::First, attributes })
    }
}
