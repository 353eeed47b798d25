//! Trained weights to Keras's files: the layers' arrays in the layout of Keras 3, and the model that they belong to: Sequential where it
//! is a chain, else functional.
//!
//! The model takes bytes as they are (its first layer is `Rescaling(1/255)`) and gives logits. A relu that follows a convolution or a
//! dense layer becomes that layer's activation, as people write it.

use std::path::Path;

use serde_json::{Value, json};

use super::archive::pack;
use super::listing::{Listed, listed};
use super::snake_case;
use crate::data::hdf5::tree::{OWN_ATTRIBUTE, Tree, Values, write_tree};
use crate::error::{Error, Result};
use crate::interchange::Origin;
use crate::layers::Node;
use crate::model::Network;
use crate::shape::Shape;
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

/// `layers/<layer>/vars/0` is a layer's first array. Layers without arrays need no group.
fn arrays(weights: &Weights) -> Result<Tree> {
    let mut tree = Tree::default();
    for Listed { node, place, .. } in listed(&weights.network()?) {
        for (number, parameter) in node.parameters.iter().enumerate() {
            let values = weights.tensors[node.first_parameter + number].clone();
            let array = Values { shape: parameter.shape.sizes().to_vec(), values };
            tree.arrays.insert(format!("{place}/vars/{number}"), array);
        }
    }
    Ok(tree)
}

/// The model as `config.json` has it.
fn description(network: &Network) -> Value {
    let (height, width, channels) = network.image;
    let input = json!([null, height, width, channels]);
    let (first, second) = (free_name(network, "input_layer"), free_name(network, "rescaling"));
    let mut layers = vec![
        layer("InputLayer", &first, json!({"batch_shape": input, "dtype": "float32"}), &[]),
        layer("Rescaling", &second, json!({"scale": 1.0 / 255.0, "offset": 0.0}), &[]),
    ];
    let list = listed(network);
    let names: Vec<String> = list.iter().map(name).collect();
    layers.extend(
        list.iter()
            .zip(&names)
            .map(|(listed, name)| layer(listed.class, name, listed.config.clone(), &listed.node.shapes)),
    );
    // A slash would part Keras's own paths.
    let name = network.name.replace('/', "_");
    if network.nodes.iter().all(Node::is_chained) {
        return json!({
            "module": "keras",
            "class_name": "Sequential",
            "config": {"name": name, "trainable": true, "dtype": "float32", "layers": layers, "build_input_shape": input},
            "registered_name": null,
            "build_config": {"input_shape": input},
        });
    }
    let mut reads: Vec<Vec<Value>> = vec![Vec::new(), vec![tensor(&first, &[height, width, channels])]];
    reads.extend(list.iter().map(|listed| {
        let shapes = listed.inputs.iter().zip(&listed.node.shapes);
        let read = |(input, shape): (&Option<usize>, &Shape)| {
            tensor(input.map_or(&second, |input| &names[input]), shape.sizes())
        };
        shapes.map(read).collect()
    }));
    let mut config = json!({"name": name, "trainable": true, "layers": layers});
    connect(&mut config, &reads);
    json!({
        "module": "keras.src.models.functional",
        "class_name": "Functional",
        "config": config,
        "registered_name": "Functional",
        "build_config": {"input_shape": null},
    })
}

/// Says which tensors each layer reads, and what goes in and out.
fn connect(config: &mut Value, reads: &[Vec<Value>]) {
    let layers = config["layers"].as_array_mut().into_iter().flatten();
    let mut names: Vec<Value> = Vec::new();
    for (layer, tensors) in layers.zip(reads) {
        layer["name"] = layer["config"]["name"].clone();
        names.push(layer["name"].clone());
        layer["inbound_nodes"] = match &tensors[..] {
            [] => json!([]),
            [only] => json!([{"args": [only], "kwargs": {}}]),
            several => json!([{"args": [several], "kwargs": {}}]),
        };
    }
    config["input_layers"] = json!([[names.first(), 0, 0]]);
    config["output_layers"] = json!([[names.last(), 0, 0]]);
}

/// The output of a layer.
fn tensor(layer: &str, sizes: &[usize]) -> Value {
    let config = json!({"shape": batched(sizes), "dtype": "float32", "keras_history": [layer, 0, 0]});
    json!({"class_name": "__keras_tensor__", "config": config})
}

/// Sizes behind a batch of any size.
fn batched(sizes: &[usize]) -> Vec<Option<usize>> {
    std::iter::once(None).chain(sizes.iter().map(|&size| Some(size))).collect()
}

/// A layer's name: its own, with Keras's word for its kind.
fn name(listed: &Listed) -> String {
    let Node { name, layer, .. } = listed.node;
    match name.strip_prefix(layer.kind()) {
        Some(rest) => snake_case(listed.class) + rest,
        None => name.clone(),
    }
}

/// A name that no layer has.
fn free_name(network: &Network, name: &str) -> String {
    let taken = |name: &String| network.nodes.iter().any(|node| node.name == *name);
    std::iter::successors(Some(name.to_owned()), |name| Some(format!("{name}_")))
        .find(|n| !taken(n))
        .unwrap_or_default()
}

fn layer(class: &str, name: &str, mut config: Value, inputs: &[Shape]) -> Value {
    config["name"] = name.into();
    let mut layer = json!({"module": "keras.layers", "class_name": class, "config": config, "registered_name": null});
    let shapes: Vec<Vec<Option<usize>>> = inputs.iter().map(|shape| batched(shape.sizes())).collect();
    match &shapes[..] {
        [] => {}
        [only] => layer["build_config"] = json!({"input_shape": only}),
        several => layer["build_config"] = json!({"input_shape": several}),
    }
    layer
}
