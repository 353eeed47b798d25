//! Trained weights to Keras's files: the layers' arrays in the layout of Keras 3, and the Sequential model that they belong to.
//!
//! The model takes bytes as they are (its first layer is `Rescaling(1/255)`) and gives logits. A relu that follows a convolution or a
//! dense layer becomes that layer's activation, as people write it.

use std::path::Path;

use serde_json::{Value, json};

use super::archive::pack;
use crate::data::hdf5::tree::{OWN_ATTRIBUTE, Tree, Values, write_tree};
use crate::error::{Error, Result};
use crate::interchange::Origin;
use crate::model::{Layer, Network, Node};
use crate::shape::{Padding, Shape};
use crate::train::Weights;

/// The version of Keras whose files these are like.
const KERAS: &str = "3.0.0";

/// Writes a `.weights.h5`.
///
/// # Errors
/// [`Error::File`].
pub fn weights_file(path: &Path, weights: &Weights) -> Result<()> {
    let mut tree = arrays(weights)?;
    tree.attributes.insert((String::new(), OWN_ATTRIBUTE.into()), vec![Origin::of(path, weights)?]);
    write_tree(path, &tree)
}

/// The bytes of a `.keras` archive, which is to be written to `path`.
///
/// # Errors
/// [`Error::File`].
pub fn model_file(path: &Path, weights: &Weights) -> Result<Vec<u8>> {
    let failed = |error: String| Error::file(path, error, "check the room left in the folder for temporary files");
    let folder = tempfile::tempdir().map_err(|error| failed(error.to_string()))?;
    let unpacked = folder.path().join("model.weights.h5");
    write_tree(&unpacked, &arrays(weights)?)?;
    let bytes = std::fs::read(&unpacked).map_err(|error| failed(error.to_string()))?;
    let metadata = json!({"keras_version": KERAS, OWN_ATTRIBUTE: Origin::of(path, weights)?}).to_string();
    pack(&description(&weights.network()?).to_string(), &metadata, &bytes).map_err(failed)
}

/// `layers/<layer>/vars/0` is a kernel, `.../1` its bias. Layers without arrays need no group.
fn arrays(weights: &Weights) -> Result<Tree> {
    let mut tree = Tree::default();
    let mut values = weights.tensors.iter();
    for node in &weights.network()?.nodes {
        for (number, (parameter, values)) in node.parameters.iter().zip(&mut values).enumerate() {
            let array = Values { shape: parameter.shape.sizes().to_vec(), values: values.clone() };
            tree.arrays.insert(format!("layers/{}/vars/{number}", node.name), array);
        }
    }
    Ok(tree)
}

/// The model as `config.json` has it.
fn description(network: &Network) -> Value {
    let (height, width, channels) = network.image;
    let input = json!([null, height, width, channels]);
    let mut layers = vec![
        layer("InputLayer", "input_layer", json!({"batch_shape": input, "dtype": "float32"}), None),
        layer("Rescaling", "rescaling", json!({"scale": 1.0 / 255.0, "offset": 0.0}), None),
    ];
    let mut nodes = network.nodes.iter().peekable();
    while let Some(node) = nodes.next() {
        let takes_relu = matches!(node.layer, Layer::Conv2d { .. } | Layer::Dense { .. });
        let relu = takes_relu && nodes.next_if(|next| next.layer == Layer::Relu {}).is_some();
        layers.push(described(node, if relu { "relu" } else { "linear" }));
    }
    // A slash would part Keras's own paths.
    let name = network.name.replace('/', "_");
    json!({
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": name, "trainable": true, "dtype": "float32", "layers": layers, "build_input_shape": input},
        "registered_name": null,
        "build_config": {"input_shape": input},
    })
}

fn described(node: &Node, activation: &str) -> Value {
    let name = node.name.replace("max_pool2d", "max_pooling2d").replace("relu", "re_lu");
    let twice = |number: usize| json!([number, number]);
    let (class, config) = match &node.layer {
        Layer::Conv2d { filters, kernel, stride, padding, bias } => {
            let padding = if *padding == Padding::Same { "same" } else { "valid" };
            let config = json!({
                "filters": filters, "kernel_size": twice(*kernel), "strides": twice(*stride), "padding": padding,
                "data_format": "channels_last", "activation": activation, "use_bias": bias,
            });
            ("Conv2D", config)
        }
        Layer::Dense { bias, .. } => {
            let units = node.output.elements();
            ("Dense", json!({"units": units, "activation": activation, "use_bias": bias}))
        }
        Layer::Relu {} => ("ReLU", json!({})),
        Layer::MaxPool2d { size, stride } => {
            let strides = twice(stride.unwrap_or(*size));
            let config = json!({
                "pool_size": twice(*size), "strides": strides, "padding": "valid", "data_format": "channels_last",
            });
            ("MaxPooling2D", config)
        }
        Layer::Dropout { rate } => ("Dropout", json!({"rate": rate})),
        Layer::Flatten {} => ("Flatten", json!({"data_format": "channels_last"})),
    };
    layer(class, &name, config, Some(&node.input))
}

fn layer(class: &str, name: &str, mut config: Value, input: Option<&Shape>) -> Value {
    config["name"] = name.into();
    let mut layer = json!({"module": "keras.layers", "class_name": class, "config": config, "registered_name": null});
    if let Some(input) = input {
        let sizes = input.sizes().iter().map(|size| json!(size));
        layer["build_config"] = json!({"input_shape": std::iter::once(Value::Null).chain(sizes).collect::<Vec<_>>()});
    }
    layer
}
