//! Out and back: the same bits of weights, the same card; and what the commands print and refuse.

use super::{fixture, imported};
use crate::common::desk::Desk;
use galaxy_gpu::data::hdf5::Reader;
use galaxy_gpu::data::hdf5::tree::{Tree, write_tree};
use galaxy_gpu::interchange::{Format, Import, export};
use galaxy_gpu::model::{Model, initialise};
use galaxy_gpu::train::{Card, PREPROCESSING, Weights};
use std::path::Path;

/// Every kind of layer, with everything that is seldom, for images that are no squares.
const ODD: &str = "name = 'a/b'
layer = [
    { type = 'relu' },
    { type = 'conv2d', filters = 3, kernel = 4, stride = 2, bias = false },
    { type = 'dropout', rate = 0.25 },
    { type = 'relu' },
    { type = 'conv2d', filters = 5, kernel = 2, padding = 'valid' },
    { type = 'relu' },
    { type = 'relu' },
    { type = 'max_pool2d', size = 3, stride = 2 },
    { type = 'flatten' },
    { type = 'dense', units = 7, bias = false },
    { type = 'dense' },
]";

fn weights() -> Weights {
    let model: Model = toml::from_str(ODD).unwrap();
    let network = model.build(21, 18, 3).unwrap();
    let tensors = network.parameters().enumerate().map(|(index, parameter)| {
        let mut values = initialise(parameter, index, 3);
        values[0] = f32::MIN_POSITIVE;
        values
    });
    let tensors = tensors.collect();
    let card = Card {
        model,
        classes: ["é", "two words", "c"].map(String::from).to_vec(),
        height: 21,
        width: 18,
        preprocessing: PREPROCESSING.into(),
        data: "made up".into(),
        seed: 9,
        split_hash: "12ab".into(),
        validation: 0.1,
        chosen_by: Default::default(),
        precision: Default::default(),
        shaders: None,
        epochs: 4,
        step: 40,
        val_accuracy: Some(0.75),
    };
    Weights { card, tensors }
}

#[test]
fn there_and_back_are_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    for (name, format) in [("a.keras", Format::Keras), ("a.weights.h5", Format::KerasWeights)] {
        let path = folder.path().join(name);
        assert_eq!(Format::of(&path).unwrap(), format);
        let mut sent = weights();
        export(&sent, format, &path).unwrap();
        let found = imported(&path, &Import::default()).unwrap();
        assert_eq!(found.notes, [""; 0], "{name}");
        if format == Format::Keras {
            // Keras has no slashes in names
            sent.card.model.name = "a_b".into();
        }
        assert_eq!(found.weights, sent, "{name}");
        let bytes = std::fs::read(&path).unwrap();
        export(&weights(), format, &path).unwrap();
        assert!(std::fs::read(&path).unwrap() == bytes, "{name}: equal weights make equal files");
    }
    let path = folder.path().join("a.safetensors");
    export(&weights(), Format::Safetensors, &path).unwrap();
    assert_eq!(Weights::load(&path).unwrap(), weights());
    let path = folder.path().join("a.onnx");
    export(&weights(), Format::Onnx, &path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let values = weights().tensors.iter().map(Vec::len).sum::<usize>();
    assert!(bytes.len() > 4 * values && bytes.len() < 4 * values + 8192, "{} bytes", bytes.len());
    assert!(Format::of(Path::new("a.h5")).is_err() && Format::of(Path::new("keras")).is_err());
}

#[test]
fn changed_weights_lose_the_provenance_of_their_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.weights.h5");
    export(&weights(), Format::KerasWeights, &path).unwrap();
    let mut tree = Tree::read(&path, &Reader::InProcess).unwrap();
    tree.arrays.get_mut("layers/dense_1/vars/1").unwrap().values[0] = 0.5;
    write_tree(&path, &tree).unwrap();
    let found = imported(&path, &Import::default()).unwrap();
    assert!(found.notes[0].contains("have changed since"), "{:?}", found.notes);
    let card = found.weights.card;
    assert_eq!((card.classes, card.epochs, card.val_accuracy), (weights().card.classes, 0, None));
    for (value, words) in [(f32::NAN, "layers/dense_1/vars/1 holds NaN at place 0"), (f32::INFINITY, "holds inf")] {
        tree.arrays.get_mut("layers/dense_1/vars/1").unwrap().values[0] = value;
        write_tree(&path, &tree).unwrap();
        let message = imported(&path, &Import::default()).unwrap_err().to_string();
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn the_commands_say_what_they_did() {
    let desk = Desk::new();
    let import = format!("model import {} --out run", fixture("tiny2_trained.keras").display());
    let (out, notes) = desk.both(&import);
    assert!(out.contains("tiny2_trained: 19 layers, 9742 parameters") && out.contains("32 x 32 pixels"), "{out}");
    assert_eq!(notes, "note: its ten classes are taken for Galaxy10's; see --classes\n");
    // a run like any other: its folder is not taken twice
    desk.refuses(&import, &["already holds a run"]);
    let said = desk.json("model export run --out b.keras --json");
    let back = desk.json("model import b.keras --out b.safetensors --json");
    assert_eq!((&back["hash"], &back["notes"]), (&said["hash"], &serde_json::json!([])));
    let file = |name: &str| std::fs::read(desk.path(name)).unwrap();
    assert!(file("b.safetensors") == file("run/weights/last.safetensors"));
    for (out, words) in [("b.h5", ".keras, .weights.h5, .onnx or .safetensors"), ("none/b.onnx", "does not exist")] {
        desk.refuses(&format!("model export run --out {out}"), &[words]);
    }
    desk.refuses("model import b.safetensors --out c", &["is no file of Keras"]);
}
