//! Networks as a chain of layers: presets, TOML files, shapes and parameters. Knows no kernels and no buffers.

mod initialise;
mod layer;

pub use initialise::initialise;
pub use layer::{Initialiser, Layer, Parameter};

use crate::error::{Error, Result};
use crate::shape::Shape;
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
    /// An unknown name, an unreadable file, or a file that is not a model (with line and column).
    pub fn load(name_or_path: &str) -> Result<Self> {
        if let Some(model) = Self::preset(name_or_path) {
            return Ok(model);
        }
        let path = Path::new(name_or_path);
        if path.extension().is_none_or(|ending| ending != "toml") {
            let allowed = format!("one of {}, or the path of a .toml file", PRESETS.join(", "));
            return Err(Error::setting("the model", format!("\"{name_or_path}\""), allowed));
        }
        let text = std::fs::read_to_string(path).map_err(|e| Error::file(path, e, "check the model's path"))?;
        let remedy = "`galaxy-gpu model summary conv4 --toml` prints an example";
        toml::from_str(&text).map_err(|e| Error::file(path, e.to_string().trim_end(), remedy))
    }

    /// This model as a TOML file.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).unwrap_or_default()
    }

    /// The network for images of `height x width` RGB pixels and this many classes.
    ///
    /// # Errors
    /// A layer that its input does not fit, or a last layer that does not give one number per class.
    pub fn build(&self, height: usize, width: usize, classes: usize) -> Result<Network> {
        let mut shape = Shape::new(&[height, width, 3]);
        let mut nodes = Vec::new();
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for layer in &self.layers {
            let count = seen.entry(layer.kind()).and_modify(|n| *n += 1).or_insert(0);
            let name = if *count == 0 { layer.kind().to_owned() } else { format!("{}_{count}", layer.kind()) };
            let output = layer.output(&shape, classes);
            let output = output.map_err(|(problem, remedy)| Error::model(&name, problem, remedy))?;
            let parameters = layer.parameters(&name, &shape, &output);
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
    fn unknown_names_and_fields_are_refused() {
        assert!(Model::load("conv5").unwrap_err().to_string().contains("conv3, conv4"));
        assert!(toml::from_str::<Model>("name='a'\n[[layer]]\ntype='relu'\nunits=3").is_err());
    }
}
