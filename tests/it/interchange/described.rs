//! Descriptions of models that differ from a sound one in one thing: taken with its meaning, or refused by name.

use super::{fixture, imported, refused};
use galaxy_gpu::interchange::{Import, Pixels};
use galaxy_gpu::layers::{Dense, Layer};
use serde_json::{Value, json};
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// The members of a `.keras` file of the fixtures.
fn members() -> Vec<(String, Vec<u8>)> {
    let mut archive = ZipArchive::new(std::fs::File::open(fixture("tiny2.keras")).unwrap()).unwrap();
    let member = |index| {
        let mut member = archive.by_index(index).unwrap();
        let mut bytes = Vec::new();
        member.read_to_end(&mut bytes).unwrap();
        (member.name().unwrap().into_owned(), bytes)
    };
    (0..3).map(member).collect()
}

fn pack(path: &Path, members: &[(String, Vec<u8>)], method: CompressionMethod) {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        archive.start_file(&name[..], SimpleFileOptions::default().compression_method(method)).unwrap();
        archive.write_all(bytes).unwrap();
    }
    std::fs::write(path, archive.finish().unwrap().into_inner()).unwrap();
}

/// The fixture with another description.
fn with_config(folder: &Path, change: impl FnOnce(&mut Value)) -> PathBuf {
    let mut members = members();
    let config = members.iter_mut().find(|(name, _)| name == "config.json").unwrap();
    let mut value: Value = serde_json::from_slice(&config.1).unwrap();
    change(&mut value);
    config.1 = serde_json::to_vec(&value).unwrap();
    let path = folder.join("changed.keras");
    pack(&path, &members, CompressionMethod::Stored);
    path
}

/// The layer `name` of a description.
fn layer<'a>(config: &'a mut Value, name: &str) -> &'a mut Value {
    let layers = config["config"]["layers"].as_array_mut().unwrap();
    layers.iter_mut().find(|layer| layer["config"]["name"] == name).unwrap()
}

#[test]
fn unsupported_layers_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let set = |name: &'static str, key: &'static str, value: Value| {
        move |config: &mut Value| layer(config, name)["config"][key] = value
    };
    let class = |name: &'static str, class: &'static str| {
        move |config: &mut Value| layer(config, name)["class_name"] = class.into()
    };
    type Change = Box<dyn FnOnce(&mut Value)>;
    let cases: Vec<(Change, &str)> = vec![
        (Box::new(class("conv2d", "Conv3D")), "layer conv2d is a Conv3D"),
        (Box::new(class("dropout", "BatchNormalization")), "layer dropout is a BatchNormalization; supported are"),
        (Box::new(set("conv2d", "activation", json!("gelu"))), "layer conv2d (Conv2D) has the activation gelu"),
        (Box::new(set("conv2d", "activation", json!("softmax"))), "layer conv2d (Conv2D) has the activation softmax"),
        (Box::new(set("dense_2", "activation", json!("sigmoid"))), "layer dense_2 (Dense) has the activation sigmoid"),
        (Box::new(set("dense", "activation", json!("softmax"))), "layer dense_1 (Dense) comes after softmax"),
        (Box::new(set("conv2d_1", "strides", json!([2, 1]))), "layer conv2d_1 (Conv2D) has strides = [2,1]"),
        (Box::new(set("conv2d_1", "groups", json!(2))), "layer conv2d_1 (Conv2D) has groups = 2"),
        (Box::new(set("conv2d_1", "dilation_rate", json!([2, 2]))), "dilation_rate = [2,2]"),
        (Box::new(set("conv2d_1", "padding", json!("causal"))), "padding = \"causal\""),
        (Box::new(set("conv2d_1", "data_format", json!("channels_first"))), "only channels_last is supported"),
        (Box::new(set("conv2d_1", "dtype", json!("bfloat16"))), "has the type bfloat16"),
        (
            Box::new(set("conv2d_1", "filters", json!(9))),
            "layers/conv2d_1/vars/0 has the shape [3, 3, 4, 8], layer conv2d_1",
        ),
        (Box::new(set("dense", "units", json!(0))), "layer dense (Dense) has units = 0"),
        (Box::new(set("dense_2", "use_bias", json!(false))), "layers/dense_2/vars/1 belongs to no layer"),
        (Box::new(set("dense_2", "units", json!(300))), "it has 300 classes"),
        (Box::new(set("dropout", "rate", json!(1.5))), "layer dropout: its rate is 1.5"),
        (Box::new(set("rescaling", "scale", json!([1, 2, 3]))), "has the scale [1,2,3]; use one number"),
        (Box::new(set("input_layer", "batch_shape", json!([null, 32, 32, 1]))), "its images have 1 channels"),
        (Box::new(set("input_layer", "batch_shape", json!([null, 4, 4, 3]))), "layer max_pool2d_2: a 2x2 window"),
        (
            Box::new(set("input_layer", "batch_shape", json!([null, 0, 1u64 << 40, 3]))),
            "its images are 0 x 1099511627776",
        ),
        (Box::new(|config| config["class_name"] = "Transformer".into()), "it is a model of class Transformer"),
    ];
    for (change, words) in cases {
        let message = refused(&with_config(folder.path(), change), &Import::default());
        assert!(message.contains(words), "{words:?} is not in: {message}");
    }
}

#[test]
fn sizes_that_the_file_leaves_open_are_the_users() {
    let folder = tempfile::tempdir().unwrap();
    let open = |config: &mut Value| {
        layer(config, "input_layer")["config"]["batch_shape"] = json!([null, null, null, 3]);
    };
    let path = with_config(folder.path(), open);
    assert!(refused(&path, &Import::default()).contains("give --size"));
    let found = imported(&path, &Import { size: Some(33), ..Import::default() }).unwrap();
    assert_eq!(found.weights.card.width, 33);
    assert!(
        refused(&fixture("tiny2.keras"), &Import { size: Some(33), ..Import::default() }).contains("leave out --size")
    );
}

#[test]
fn pixels_are_folded_into_the_first_layer_where_that_is_exact() {
    let folder = tempfile::tempdir().unwrap();
    let plain = imported(&fixture("tiny2.keras"), &Import::default()).unwrap().weights;
    let rescaled = |scale: f64, offset: f64, padding: &'static str| {
        with_config(folder.path(), move |config: &mut Value| {
            layer(config, "rescaling")["config"]["scale"] = scale.into();
            layer(config, "rescaling")["config"]["offset"] = offset.into();
            layer(config, "conv2d")["config"]["padding"] = padding.into();
            if padding == "valid" {
                layer(config, "input_layer")["config"]["batch_shape"] = json!([null, 34, 34, 3]);
            }
        })
    };
    let doubled = imported(&rescaled(2.0 / 255.0, 0.0, "same"), &Import::default()).unwrap();
    assert!(doubled.notes.iter().any(|note| note.contains("folded into conv2d")), "{:?}", doubled.notes);
    let twice: Vec<f32> = plain.tensors[0].iter().map(|value| value * 2.0).collect();
    assert_eq!((&doubled.weights.tensors[0], &doubled.weights.tensors[1..]), (&twice, &plain.tensors[1..]));
    // an offset reaches the bias: by the sum of each kernel, as no zeros stand around the image
    let shifted = imported(&rescaled(1.0 / 255.0, -0.5, "valid"), &Import::default()).unwrap().weights;
    for (channel, (bias, before)) in shifted.tensors[1].iter().zip(&plain.tensors[1]).enumerate() {
        let sum: f32 = plain.tensors[0].iter().skip(channel).step_by(4).sum();
        // 27 products in f32 and in f64
        assert!((bias - (before - 0.5 * sum)).abs() < 1e-5, "channel {channel}");
    }
    let message = refused(&rescaled(1.0 / 127.5, -1.0, "same"), &Import::default());
    assert!(message.contains("conv2d pads or compares them") && message.contains("Rescaling(1 / 255)"), "{message}");
    // said to be fed 0 to 1 although it rescales: the user knows
    let unit = Import { pixels: Some(Pixels::Unit), ..Import::default() };
    let small = imported(&fixture("tiny2.keras"), &unit).unwrap().weights.tensors[0][0];
    assert!((small * 255.0 / plain.tensors[0][0] - 1.0).abs() < 1e-6);
}

#[test]
fn augmentation_and_models_within_models_are_understood() {
    let folder = tempfile::tempdir().unwrap();
    let path = with_config(folder.path(), |config| {
        let random = json!({"class_name": "RandomFlip", "config": {"name": "flip"}});
        let noise = json!({"class_name": "GaussianNoise", "config": {"name": "noise"}});
        let within = json!({"class_name": "Sequential", "config": {"name": "augmentation", "layers": [random, noise]}});
        config["config"]["layers"].as_array_mut().unwrap().insert(1, within);
        let softmax = json!({"class_name": "Softmax", "config": {"name": "softmax", "axis": -1}});
        config["config"]["layers"].as_array_mut().unwrap().push(softmax);
        layer(config, "max_pooling2d_1")["config"]["padding"] = "same".into();
    });
    let found = imported(&path, &Import::default()).unwrap();
    assert_eq!(found.notes[0], "left out, as they act in training only: RandomFlip flip, GaussianNoise noise");
    let plain = imported(&fixture("tiny2.keras"), &Import::default()).unwrap().weights;
    assert_eq!((found.weights.hash(), &found.weights.card.model), (plain.hash(), &plain.card.model));
    let last = &plain.card.model.layers.last().unwrap().layer;
    assert!(matches!(last, Layer::Dense(Dense { units: None, .. })));
}

#[test]
fn archives_are_bounded_and_only_their_members_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.keras");
    let plain = imported(&fixture("tiny2.keras"), &Import::default()).unwrap().weights.hash();
    let mut more = members();
    more.push(("../../evil".into(), b"x".to_vec()));
    pack(&path, &more, CompressionMethod::Deflated);
    assert_eq!(imported(&path, &Import::default()).unwrap().weights.hash(), plain, "compressed, with a stranger");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is unpacked by its own name");

    for name in ["config.json", "model.weights.h5"] {
        let left: Vec<_> = members().into_iter().filter(|(member, _)| member != name).collect();
        pack(&path, &left, CompressionMethod::Stored);
        assert!(refused(&path, &Import::default()).contains(&format!("is an archive without {name}")));
    }
    let mut bomb = members();
    bomb[2].1 = vec![0; 64 << 20];
    pack(&path, &bomb, CompressionMethod::Deflated);
    let message = refused(&path, &Import::default());
    assert!(message.contains("model.weights.h5 claims to become 67108864 bytes from"), "{message}");
    let mut long = members();
    long[1].1 = vec![b' '; 17 << 20];
    pack(&path, &long, CompressionMethod::Stored);
    let message = refused(&path, &Import::default());
    assert!(message.contains("config.json claims 17825792 bytes, more than"), "{message}");
    // a hundred thousand members
    let many: Vec<_> = (0..100_000).map(|number| (format!("assets/{number}"), Vec::new())).collect();
    pack(&path, &many, CompressionMethod::Stored);
    let message = refused(&path, &Import::default());
    assert!(message.contains("damaged archive") && message.contains("than any model needs"), "{message}");
}
