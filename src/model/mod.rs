//! Networks as a chain of layers: presets, TOML files, shapes and parameters. Knows no kernels and no buffers.

mod initialise;
mod layer;

pub use initialise::initialise;
pub use layer::{Initialiser, Layer, Parameter};

use crate::error::{Error, Result};
use crate::files::{line_and_column, read_text};
use crate::shape::Shape;
use crate::suggest::{did_serde_mean, did_you_mean};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;

/// A network before it meets data: input size and number of classes are still open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// Layers from the image to the logits.
    #[serde(rename = "layer")]
    pub layers: Vec<Layer>,
}

/// A layer at its place in a network.
#[derive(Clone, Debug)]
pub struct Node {
    /// Keras's name: `conv2d`, `conv2d_1`, ...
    pub name: String,
    /// The layer.
    pub layer: Layer,
    /// Shape of one input.
    pub input: Shape,
    /// Shape of one output.
    pub output: Shape,
    /// Trainable tensors.
    pub parameters: Vec<Parameter>,
}

/// A network for images of one size and a number of classes: every shape is known and checked.
#[derive(Clone, Debug)]
pub struct Network {
    /// Name of the model.
    pub name: String,
    /// Height, width and channels of an image.
    pub image: (usize, usize, usize),
    /// Length of the logits.
    pub classes: usize,
    /// Layers in order.
    pub nodes: Vec<Node>,
}

/// Largest model file, in bytes.
const LARGEST_FILE: u64 = 1 << 20;
/// Most layers of a network.
const MOST_LAYERS: usize = 1024;
/// Most values of a tensor, for one image: 256 GiB of f32.
const MOST_ELEMENTS: usize = 1 << 36;
/// Longest side of an image, in pixels.
const LONGEST_SIDE: usize = 1 << 16;

/// Names of the built-in models.
pub const PRESETS: [&str; 2] = ["conv3", "conv4"];

impl Model {
    /// A built-in model: `conv3` (the notebook's first network) or `conv4` (its second, with dropout).
    pub fn preset(name: &str) -> Option<Self> {
        let (filters, dropout, hidden): (&[usize], _, &[usize]) = match name {
            "conv3" => (&[16, 32, 64], None, &[128]),
            "conv4" => (&[16, 32, 64, 128], Some(0.2), &[256, 128]),
            _ => return None,
        };
        let mut layers = Vec::new();
        for &filters in filters {
            layers.push(Layer::Conv2d { filters, kernel: 3, stride: 1, padding: Default::default(), bias: true });
            layers.push(Layer::Relu {});
            layers.push(Layer::MaxPool2d { size: 2, stride: None });
        }
        layers.extend(dropout.map(|rate| Layer::Dropout { rate }));
        layers.push(Layer::Flatten {});
        for &units in hidden {
            layers.extend([Layer::Dense { units: Some(units), bias: true }, Layer::Relu {}]);
        }
        layers.push(Layer::Dense { units: None, bias: true });
        Some(Self { name: name.to_owned(), layers })
    }

    /// A preset by name, or a TOML file by path.
    ///
    /// # Errors
    /// An unknown name, an unreadable file, one above 1 MiB, or one that is not a model (with line and column).
    pub fn load(name_or_path: &str) -> Result<Self> {
        if let Some(model) = Self::preset(name_or_path) {
            return Ok(model);
        }
        let path = Path::new(name_or_path);
        if path.extension().is_none_or(|ending| ending != "toml") {
            let near = did_you_mean(name_or_path, PRESETS);
            let allowed = format!("one of {}, or the path of a .toml file{near}", PRESETS.join(", "));
            return Err(Error::setting("the model", format!("\"{name_or_path}\""), allowed));
        }
        Self::from_toml(path, &read_text(path, LARGEST_FILE)?)
    }

    /// A model from the text of the TOML file at `path`, which is for the errors only.
    ///
    /// # Errors
    /// [`Error::File`] naming line and column.
    pub fn from_toml(path: &Path, text: &str) -> Result<Self> {
        toml::from_str(text).map_err(|error| {
            let place = error.span().map_or(String::new(), |span| line_and_column(text, span.start));
            let remedy = "`galaxy-gpu model summary conv4 --toml` prints an example";
            let near = did_serde_mean(error.message());
            Error::file(path, format!("{place}{}{near}", error.message().trim_end()), remedy)
        })
    }

    /// This model as a TOML file.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).unwrap_or_default()
    }

    /// The network for images of `height x width` RGB pixels and this many classes.
    ///
    /// # Errors
    /// A layer that its input does not fit, or a last layer that does not give one number per class; more than 1024 layers, a tensor
    /// of more than 2^36 values, or images of more than 65536 pixels a side.
    pub fn build(&self, height: usize, width: usize, classes: usize) -> Result<Network> {
        if self.layers.len() > MOST_LAYERS {
            let problem = format!("there are {} layers", self.layers.len());
            return Err(Error::model(&self.name, problem, format!("use at most {MOST_LAYERS}")));
        }
        if ![height, width].iter().all(|side| (1..=LONGEST_SIDE).contains(side)) {
            let allowed = format!("1 to {LONGEST_SIDE} pixels a side");
            return Err(Error::setting("the size of an image", format!("{height} x {width}"), allowed));
        }
        let mut shape = Shape::new(&[height, width, 3]);
        let mut nodes = Vec::new();
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for layer in &self.layers {
            let count = seen.entry(layer.kind()).and_modify(|n| *n += 1).or_insert(0);
            let name = if *count == 0 { layer.kind().to_owned() } else { format!("{}_{count}", layer.kind()) };
            let output = layer.output(&shape, classes);
            let output = output.map_err(|(problem, remedy)| Error::model(&name, problem, remedy))?;
            check_size(&name, &output)?;
            let parameters = layer.parameters(&name, &shape, &output);
            parameters.iter().try_for_each(|parameter| check_size(&parameter.name, &parameter.shape))?;
            nodes.push(Node { name, layer: layer.clone(), input: shape, output: output.clone(), parameters });
            shape = output;
        }
        if shape != Shape::new(&[classes]) || !nodes.iter().any(|node| !node.parameters.is_empty()) {
            let last = nodes.last().map_or("input", |node| &node.name);
            let problem = format!("the network ends with shape {shape}, but there are {classes} classes");
            return Err(Error::model(last, problem, "end it with a dense layer that has no `units`"));
        }
        Ok(Network { name: self.name.clone(), image: (height, width, 3), classes, nodes })
    }
}

/// Refuses a tensor that no memory holds, before its size is multiplied with anything.
fn check_size(name: &str, shape: &Shape) -> Result<()> {
    let elements = shape.sizes().iter().try_fold(1usize, |product, &size| product.checked_mul(size));
    match elements.filter(|&elements| elements <= MOST_ELEMENTS) {
        Some(_) => Ok(()),
        None => Err(Error::model(name, format!("a tensor of {shape} values is too large"), "make the layer smaller")),
    }
}

impl Network {
    /// Trainable tensors in order.
    pub fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        self.nodes.iter().flat_map(|node| &node.parameters)
    }

    /// Number of trainable values.
    pub fn parameter_count(&self) -> usize {
        self.parameters().map(|parameter| parameter.shape.elements()).sum()
    }

    /// Additions and multiplications for one image, forward.
    pub fn forward_flops(&self) -> f64 {
        self.nodes.iter().map(|node| node.layer.flops(&node.input, &node.output)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_have_the_notebooks_parameter_counts() {
        for (name, count) in [("conv3", 8_413_610), ("conv4", 8_520_490)] {
            let network = Model::preset(name).unwrap().build(256, 256, 10).unwrap();
            assert_eq!(network.parameter_count(), count, "{name}");
        }
    }

    #[test]
    fn presets_survive_toml() {
        for name in PRESETS {
            let model = Model::preset(name).unwrap();
            assert_eq!(toml::from_str::<Model>(&model.to_toml()).unwrap(), model);
        }
    }

    #[test]
    fn a_size_that_cannot_be_pooled_names_the_layer() {
        let error = Model::preset("conv4").unwrap().build(8, 8, 10).unwrap_err().to_string();
        assert!(error.starts_with("layer max_pool2d_3: a 2x2 window does not fit into its 1x1 input"), "{error}");
    }

    #[test]
    fn wrong_ends_and_orders_are_refused() {
        let build = |text: &str| toml::from_str::<Model>(text).unwrap().build(16, 16, 10).map(|_| ());
        let error = |text| build(text).unwrap_err().to_string();
        assert!(error("name='a'\n[[layer]]\ntype='dense'").contains("put a flatten layer before it"));
        assert!(error("name='a'\n[[layer]]\ntype='flatten'").contains("there are 10 classes"));
        let headless = "name='a'\n[[layer]]\ntype='flatten'\n[[layer]]\ntype='dense'\nunits=7";
        assert!(error(headless).contains("layer dense: the network ends with shape 7"));
        assert!(error("name='a'\n[[layer]]\ntype='dropout'\nrate=1.0").contains("its rate is 1"));
        assert!(error("name='a'\n[[layer]]\ntype='conv2d'\nfilters=0").contains("its filters is 0"));
    }

    #[test]
    fn absurd_sizes_are_refused_before_they_are_multiplied() {
        let build = |text: &str, side| toml::from_str::<Model>(text).unwrap().build(side, side, 10).map(|_| ());
        let error = |text, side| build(text, side).unwrap_err().to_string();
        let wide = "name='a'\n[[layer]]\ntype='conv2d'\nfilters=1048576\n";
        assert!(error(wide, 16384).contains("conv2d: a tensor of 16384x16384x1048576 values is too large"));
        let window = "name='a'\n[[layer]]\ntype='conv2d'\nfilters=1048576\nkernel=1048576\n";
        assert!(error(window, 8).contains("conv2d.kernel: a tensor of 1048576x1048576x3x1048576"));
        assert!(error(wide, usize::MAX).contains("the size of an image is"));
        assert!(
            error(&("name='a'\n".to_owned() + &"[[layer]]\ntype='relu'\n".repeat(1025)), 8).contains("1025 layers")
        );
    }

    #[test]
    fn unknown_names_and_fields_are_refused() {
        assert!(Model::load("conv5").unwrap_err().to_string().contains("conv3, conv4"));
        let text = "name='a'\n[[layer]]\ntype='relu'\n\n[[layer]]\ntype='relu'\nunits=3";
        let error = Model::from_toml(Path::new("a.toml"), text).unwrap_err().to_string();
        assert!(error.starts_with("a.toml: line ") && error.contains("units") && !error.contains('\n'), "{error}");
        let error = Model::from_toml(Path::new("a.toml"), "name='a'\nlayer = [").unwrap_err().to_string();
        assert!(error.starts_with("a.toml: line 2, column "), "{error}");
        assert!(toml::from_str::<Model>("name='a'\n[[layer]]\ntype='relu'\nunits=3").is_err());
    }
}
