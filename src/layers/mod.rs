//! Layers. `layers/<layer>.rs` holds all of one: its fields in a TOML file, the rule for its shapes, its parameters, its calls forward
//! and backward, and what Keras and ONNX call it.
//!
//! A new layer is a file here and its line in the list below. What layers share: `parameter.rs` (their tensors), `node.rs` (a layer at
//! its place in a network), `rules.rs` (sizes and windows), `weighted.rs` (kernel and bias), `keras.rs` and `onnx.rs` (what other
//! programs' files say of a layer).

mod keras;
mod node;
mod onnx;
mod parameter;
mod rules;
mod weighted;

mod add;
mod concatenate;
mod conv2d;
mod dense;
mod dropout;
mod flatten;
mod max_pool2d;
#[cfg(test)]
mod memory;
mod relu;

pub use keras::KerasLayer;
pub use node::{Block, Done, Fused, Gradient, Input, InputGradients, Node, Output, continues};
pub use onnx::{Attribute, Channels, Operator};
pub use parameter::{Initialiser, Parameter, Role, initialise};

use crate::error::Result;
use crate::graph::{Builder, TensorId};
use crate::shape::Shape;
use serde::{Deserialize, Serialize};
use std::ops::{Deref, DerefMut, RangeInclusive};

/// A rule that a layer breaks: what is wrong, and what helps.
pub type Refusal = (String, String);

/// What a layer says of itself.
pub trait Kind {
    /// How many inputs it takes.
    fn arity(&self) -> RangeInclusive<usize> {
        1..=1
    }

    /// Shape of its output from the shapes of its inputs, each for one image.
    ///
    /// # Errors
    /// The rule that the inputs or the layer's own numbers break.
    fn output(&self, inputs: &[Shape], classes: usize) -> Result<Shape, Refusal>;

    /// Its own tensors, in Keras's order.
    fn parameters(&self, _inputs: &[Shape], _output: &Shape) -> Vec<Parameter> {
        Vec::new()
    }

    /// Additions and multiplications for one image, forward.
    fn flops(&self, inputs: &[Shape], output: &Shape) -> f64;

    /// Adds the forward calls of a block that begins with this layer.
    ///
    /// # Errors
    /// Shapes that [`Kind::output`] refuses.
    fn forward(&self, block: &Block, inputs: &[TensorId], builder: &mut Builder) -> Result<Output>;

    /// Adds the backward calls of such a block, and returns the gradients of its inputs; those that are not wanted need not be computed.
    ///
    /// # Errors
    /// As [`Kind::forward`].
    fn backward(&self, done: &Done, gradient: Gradient, builder: &mut Builder) -> Result<InputGradients>;

    /// What of a change of all its inputs is the same change of its output, in inference.
    fn passes(&self) -> Passes {
        Passes::Nothing
    }

    /// Whether it puts zeros around an image of this shape.
    fn pads(&self, _input: &Shape) -> bool {
        false
    }

    /// Whether it adds a bias, where its parameters are a kernel that it multiplies its input with, and a bias.
    fn bias(&mut self) -> Option<&mut bool> {
        None
    }

    /// Leaves its number of outputs to the number of classes, where it can, and returns it.
    fn leave_outputs_open(&mut self) -> Option<usize> {
        None
    }

    /// Keras's activation that is the same.
    fn keras_activation(&self) -> Option<&'static str> {
        None
    }

    /// Checks settings of Keras that depend on the shapes of the inputs.
    ///
    /// # Errors
    /// One that this program does not have.
    fn check_keras(&self, _layer: &KerasLayer, _inputs: &[Shape]) -> Result<(), Refusal> {
        Ok(())
    }

    /// Keras's class of this layer, and its settings. With `activation` among them, it can take the place of an activation that follows.
    fn keras(&self, node: &Node) -> (&'static str, serde_json::Value);

    /// ONNX's operator; none where the layer does nothing in inference.
    fn onnx(&self, node: &Node) -> Option<Operator>;
}

/// A change of a layer's inputs that is the same change of its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Passes {
    /// None.
    Nothing,
    /// A positive factor.
    Scale,
    /// A factor and a summand.
    Affine,
}

/// Makes the enum of all layers out of `file::Layer`.
macro_rules! layers {
    ($($(#[$condition:meta])* $file:ident::$Layer:ident),* $(,)?) => {
        $($(#[$condition])* pub use $file::$Layer;)*

        /// A layer. In a TOML file `type = "conv2d"`, the name of its file, and its fields.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "type", rename_all = "snake_case")]
        pub enum Layer {
            $($(#[$condition])* #[doc = concat!("See [`", stringify!($Layer), "`].")] $Layer($Layer),)*
        }

        impl Layer {
            /// The name of its kind: that of its file, its `type` in TOML, and what it is called in a network.
            pub fn kind(&self) -> &'static str {
                match self {
                    $($(#[$condition])* Self::$Layer(_) => stringify!($file),)*
                }
            }

            /// Keras's classes that this program has a layer for, one for each.
            pub fn keras_classes() -> Vec<&'static str> {
                [$($(#[$condition])* $file::KERAS[0]),*].to_vec()
            }

            /// A layer of Keras; none where this program has no such layer.
            ///
            /// # Errors
            /// A setting that this program does not have.
            pub fn from_keras(layer: &KerasLayer) -> Option<Result<Self, Refusal>> {
                $($(#[$condition])* if $file::KERAS.contains(&&*layer.class) {
                    return Some($Layer::from_keras(layer).map(Self::$Layer));
                })*
                None
            }
        }

        impl Deref for Layer {
            type Target = dyn Kind;

            fn deref(&self) -> &Self::Target {
                match self {
                    $($(#[$condition])* Self::$Layer(layer) => layer,)*
                }
            }
        }

        impl DerefMut for Layer {
            fn deref_mut(&mut self) -> &mut Self::Target {
                match self {
                    $($(#[$condition])* Self::$Layer(layer) => layer,)*
                }
            }
        }

        $($(#[$condition])* impl From<$Layer> for Layer {
            fn from(layer: $Layer) -> Self {
                Self::$Layer(layer)
            }
        })*
    };
}

layers! {
    add::Add,
    concatenate::Concatenate,
    conv2d::Conv2d,
    dense::Dense,
    dropout::Dropout,
    flatten::Flatten,
    max_pool2d::MaxPool2d,
    #[cfg(test)] memory::Memory,
    relu::Relu,
}
