//! A network that is no chain: from Keras's functional models and back, and to ONNX.

use super::{fixture, imported};
use crate::common::npz::Npz;
use crate::common::rig::{branches, model};
use galaxy_gpu::data::hdf5::Reader;
use galaxy_gpu::data::hdf5::tree::Tree;
use galaxy_gpu::interchange::{Format, Import, export};
use galaxy_gpu::model::initialise;
use galaxy_gpu::train::Weights;

/// Parameters of the fixture, in the network's order.
fn parameters() -> Vec<Vec<f32>> {
    let network = branches().build(12, 12, 4).unwrap();
    let mut arrays = Npz::fixture("branches.npz");
    network.parameters().map(|parameter| arrays.array(&parameter.name).0).collect()
}

fn from_keras() -> Weights {
    imported(&fixture("branches.keras"), &Import::default()).unwrap().weights
}

#[test]
fn a_functional_model_is_imported_from_every_format() {
    for ending in ["keras", "h5", "weights.h5"] {
        let model = (ending == "weights.h5").then(branches);
        let options = Import { model, ..Import::default() };
        let found = imported(&fixture(&format!("branches.{ending}")), &options).unwrap().weights;
        // layers of Keras keep the names that somebody gave them
        assert_eq!(found.card.model.layers, branches().layers, "{ending}");
        assert_eq!((found.card.height, found.card.width), (12, 12), "{ending}");
        assert!(found.tensors == parameters(), "{ending}");
    }
}

#[test]
fn there_and_back_are_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let sent = from_keras();
    for (name, format) in [("a.keras", Format::Keras), ("a.weights.h5", Format::KerasWeights)] {
        let path = folder.path().join(name);
        export(&sent, format, &path).unwrap();
        let found = imported(&path, &Import::default()).unwrap();
        assert_eq!(found.weights, sent, "{name}");
    }
}

/// Two convolutions that the network has in another order than Keras, which goes by the distance from the output.
#[test]
fn arrays_are_found_in_keras_order() {
    let folder = tempfile::tempdir().unwrap();
    let layers = [
        "conv2d filters=4 name=\"near\"",
        "conv2d filters=4 name=\"far\" inputs=[\"images\"]",
        "conv2d filters=4 name=\"behind\"",
        "add inputs=[\"near\",\"behind\"]",
        "flatten",
        "dense",
    ];
    let mut sent = from_keras();
    sent.card.model = model(&layers);
    let network = sent.card.model.build(12, 12, 4).unwrap();
    sent.tensors = network.parameters().enumerate().map(|(index, own)| initialise(own, index, 3)).collect();
    let path = folder.path().join("a.weights.h5");
    export(&sent, Format::KerasWeights, &path).unwrap();
    let tree = Tree::read(&path, &Reader::InProcess).unwrap();
    assert!(tree.arrays["layers/conv2d/vars/0"].values == sent.tensors[2], "the farthest from the output");
    assert_eq!(imported(&path, &Import::default()).unwrap().weights, sent);
}

#[test]
fn onnx_has_the_branches() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.onnx");
    export(&from_keras(), Format::Onnx, &path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let count = |word: &str| bytes.windows(word.len()).filter(|window| *window == word.as_bytes()).count();
    assert_eq!([count("Add"), count("Concat"), count("Transpose")], [1, 1, 2], "operators, once there and once back");
}
