//! Layers: a closed enum, so that a new one makes the compiler list every place to fill.

use crate::shape::{Padding, Shape, Window};
use serde::{Deserialize, Serialize};

/// One layer of a chain. In a TOML file: `[[layer]]` with `type = "conv2d"` and the fields below.
///
/// Layers without fields carry braces all the same: serde refuses unknown fields of struct variants only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Layer {
    /// Convolution of square windows; weights HWIO.
    Conv2d {
        /// Output channels.
        filters: usize,
        /// Side of the window.
        #[serde(default = "three")]
        kernel: usize,
        /// Step of the window.
        #[serde(default = "one")]
        stride: usize,
        /// Treatment of the border.
        #[serde(default)]
        padding: Padding,
        /// Whether a bias is added.
        #[serde(default = "yes")]
        bias: bool,
    },
    /// `max(0, x)`.
    Relu {},
    /// Maximum of square windows, without padding.
    MaxPool2d {
        /// Side of the window.
        #[serde(default = "two")]
        size: usize,
        /// Step of the window; the size where absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stride: Option<usize>,
    },
    /// Zeroes this share of the values while training.
    Dropout {
        /// Share of zeroed values, `0 <= rate < 1`.
        rate: f64,
    },
    /// Rows, columns and channels as one axis, in this order.
    Flatten {},
    /// Fully connected; weights IN x OUT.
    Dense {
        /// Outputs; the number of classes where absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        units: Option<usize>,
        /// Whether a bias is added.
        #[serde(default = "yes")]
        bias: bool,
    },
}

fn one() -> usize {
    1
}
fn two() -> usize {
    2
}
fn three() -> usize {
    3
}
fn yes() -> bool {
    true
}

/// How a parameter starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Initialiser {
    /// Uniform in `+-sqrt(6 / (fan_in + fan_out))` (Glorot and Bengio, AISTATS 2010), Keras's default.
    GlorotUniform {
        /// Inputs of one output.
        fan_in: usize,
        /// Outputs of one input.
        fan_out: usize,
    },
    /// All zero.
    Zeros,
}

/// A trainable tensor of a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// `layer.kernel` or `layer.bias`.
    pub name: String,
    /// Its sizes.
    pub shape: Shape,
    /// How it starts.
    pub initialiser: Initialiser,
}

/// A rule that a layer breaks: what was found and what helps.
pub type Refusal = (String, String);

impl Layer {
    /// Keras's name of this kind of layer.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Conv2d { .. } => "conv2d",
            Self::Relu {} => "relu",
            Self::MaxPool2d { .. } => "max_pool2d",
            Self::Dropout { .. } => "dropout",
            Self::Flatten {} => "flatten",
            Self::Dense { .. } => "dense",
        }
    }

    /// Shape of one output from the shape of one input.
    ///
    /// # Errors
    /// The rule that the input or the layer's own numbers break.
    pub fn output(&self, input: &Shape, classes: usize) -> Result<Shape, Refusal> {
        let image = || {
            let remedy = "convolution and pooling layers must come before flatten".to_owned();
            input.image().ok_or_else(|| (format!("it needs an image, but gets {input}"), remedy))
        };
        match *self {
            Self::Conv2d { filters, kernel, stride, padding, .. } => {
                positive(&[("filters", filters), ("kernel", kernel), ("stride", stride)])?;
                slide(image()?, Window { kernel, stride, padding }, Some(filters))
            }
            Self::MaxPool2d { size, stride } => {
                let stride = stride.unwrap_or(size);
                positive(&[("size", size), ("stride", stride)])?;
                slide(image()?, Window { kernel: size, stride, padding: Padding::Valid }, None)
            }
            Self::Dropout { rate } if !(0.0..1.0).contains(&rate) => {
                Err((format!("its rate is {rate}"), "choose a rate of at least 0 and below 1".into()))
            }
            Self::Relu {} | Self::Dropout { .. } => Ok(input.clone()),
            Self::Flatten {} => Ok(Shape::new(&[input.elements()])),
            Self::Dense { units, .. } => {
                positive(&[("units", units.unwrap_or(classes))])?;
                match input.sizes() {
                    [_] => Ok(Shape::new(&[units.unwrap_or(classes)])),
                    _ => Err((format!("it needs one axis, but gets {input}"), "put a flatten layer before it".into())),
                }
            }
        }
    }

    /// Trainable tensors, kernel before bias.
    pub fn parameters(&self, name: &str, input: &Shape, output: &Shape) -> Vec<Parameter> {
        let channels = |shape: &Shape| shape.sizes().last().copied().unwrap_or(1);
        let (inputs, outputs) = (channels(input), channels(output));
        let (shape, window, bias) = match *self {
            Self::Conv2d { kernel, bias, .. } => {
                (Shape::new(&[kernel, kernel, inputs, outputs]), kernel * kernel, bias)
            }
            Self::Dense { bias, .. } => (Shape::new(&[inputs, outputs]), 1, bias),
            _ => return Vec::new(),
        };
        let initialiser = Initialiser::GlorotUniform { fan_in: window * inputs, fan_out: window * outputs };
        let mut parameters = vec![Parameter { name: format!("{name}.kernel"), shape, initialiser }];
        if bias {
            let shape = Shape::new(&[outputs]);
            parameters.push(Parameter { name: format!("{name}.bias"), shape, initialiser: Initialiser::Zeros });
        }
        parameters
    }

    /// Additions and multiplications for one image, forward.
    pub fn flops(&self, input: &Shape, output: &Shape) -> f64 {
        let inputs = input.sizes().last().copied().unwrap_or(1);
        let elements = output.elements() as f64;
        match self {
            Self::Conv2d { kernel, .. } => 2.0 * elements * (kernel * kernel * inputs) as f64,
            Self::Dense { .. } => 2.0 * elements * inputs as f64,
            Self::MaxPool2d { size, .. } => elements * (size * size) as f64,
            Self::Relu {} | Self::Dropout { .. } => elements,
            Self::Flatten {} => 0.0,
        }
    }
}

fn positive(numbers: &[(&str, usize)]) -> Result<(), Refusal> {
    match numbers.iter().find(|(_, value)| !(1..=1 << 20).contains(value)) {
        Some((name, value)) => Err((format!("its {name} is {value}"), format!("choose {name} from 1 to 1048576"))),
        None => Ok(()),
    }
}

/// Shape after a window slid over an image; the channels stay unless given.
fn slide(
    (height, width, channels): (usize, usize, usize),
    window: Window,
    filters: Option<usize>,
) -> Result<Shape, Refusal> {
    match (window.over(height), window.over(width)) {
        (Some((rows, _)), Some((columns, _))) => Ok(Shape::new(&[rows, columns, filters.unwrap_or(channels)])),
        _ => Err((
            format!("a {0}x{0} window does not fit into its {height}x{width} input", window.kernel),
            "use larger images, fewer pooling layers or padding \"same\"".into(),
        )),
    }
}
