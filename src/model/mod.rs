//! Networks: presets, TOML files, who reads whose output, shapes and parameters. Knows no kernels and no buffers.

mod build;

pub use crate::layers::{Initialiser, Input, Layer, Node, Parameter, Role, initialise};
pub use build::{IMAGES, automatic_names, is_layer_name};

use crate::error::{Error, Result};
use crate::files::{line_and_column, read_text};
use crate::layers::{Conv2d, Dense, Dropout, Flatten, MaxPool2d, Relu};
use crate::suggest::{did_serde_mean, did_you_mean};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A network before it meets data: input size and number of classes are still open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// Layers from the images to the logits. In a TOML file each is a table `[[layer]]`.
    #[serde(rename = "layer")]
    pub layers: Vec<Entry>,
}

/// A layer of a model, and what it reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name, for other layers to read it; Keras's (`conv2d`, `conv2d_1`, ...) where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Names of the layers whose outputs it reads, or `images`; the layer before it where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Vec<String>>,
    /// The layer.
    #[serde(flatten)]
    pub layer: Layer,
}

impl<L: Into<Layer>> From<L> for Entry {
    fn from(layer: L) -> Self {
        Self { name: None, inputs: None, layer: layer.into() }
    }
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
    /// Layers in order: each reads those before it, and the last one's output are the logits.
    pub nodes: Vec<Node>,
}

/// Largest model file, in bytes.
const LARGEST_FILE: u64 = 1 << 20;

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
        let mut layers: Vec<Entry> = Vec::new();
        for &filters in filters {
            layers.extend([Conv2d::new(filters).into(), Relu {}.into(), MaxPool2d::new(2).into()]);
        }
        layers.extend(dropout.map(|rate| Dropout { rate }.into()));
        layers.push(Flatten {}.into());
        for &units in hidden {
            layers.extend([Dense::new(Some(units)).into(), Relu {}.into()]);
        }
        layers.push(Dense::new(None).into());
        Some(Self { name: name.to_owned(), layers })
    }

    /// A network that takes the maximum of windows of this side and weighs what is left: the smallest there is.
    pub fn smallest(size: usize) -> Self {
        let layers = vec![MaxPool2d::new(size).into(), Flatten {}.into(), Dense::new(None).into()];
        Self { name: "smallest".into(), layers }
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
}

impl Network {
    /// Names of what a node reads.
    pub fn input_names(&self, node: &Node) -> Vec<String> {
        let name = |input: &Input| match *input {
            Input::Images => IMAGES.to_owned(),
            Input::Node(number) => self.nodes[number].name.clone(),
        };
        node.inputs.iter().map(name).collect()
    }

    /// Parameters in order.
    pub fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        self.nodes.iter().flat_map(|node| &node.parameters)
    }

    /// Number of values in all parameters.
    pub fn parameter_count(&self) -> usize {
        self.parameters().map(|parameter| parameter.shape.elements()).sum()
    }

    /// Additions and multiplications for one image, forward.
    pub fn forward_flops(&self) -> f64 {
        self.nodes.iter().map(|node| node.layer.flops(&node.shapes, &node.output)).sum()
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

    /// Cards and checkpoints hold this text's like: a chain is written as it always was.
    #[test]
    fn a_chain_is_written_without_names_and_inputs() {
        let text = CHAIN.trim_start();
        assert_eq!(toml::from_str::<Model>(text).unwrap().to_toml(), text);
        let short = toml::from_str::<Model>(&text.replace("bias = true\n", "")).unwrap();
        assert_eq!(short.to_toml(), text, "a bias is there where nothing is said");
    }

    const CHAIN: &str = r#"
name = "odd"

[[layer]]
type = "conv2d"
filters = 4
kernel = 5
stride = 2
padding = "valid"
bias = false

[[layer]]
type = "relu"

[[layer]]
type = "max_pool2d"
size = 3
stride = 2

[[layer]]
type = "dropout"
rate = 0.25

[[layer]]
type = "flatten"

[[layer]]
type = "dense"
units = 7
bias = true

[[layer]]
type = "dense"
bias = true
"#;

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
