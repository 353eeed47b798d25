//! What Keras 3.15.1 has saved in its three formats, trained and not, gives Keras's logits on both engines.

use super::{fixture, imported, refused};
use crate::common::npz::Npz;
use crate::common::rig::{Rig, model, read};
use crate::common::{Device, on_every_device};
use galaxy_gpu::data::hdf5::Reader;
use galaxy_gpu::data::hdf5::tree::{Tree, write_tree};
use galaxy_gpu::interchange::Import;
use galaxy_gpu::kernels::StepParams;
use galaxy_gpu::layers::Dense;
use galaxy_gpu::model::Model;
use galaxy_gpu::plan::Program;
use galaxy_gpu::train::Weights;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

const IMAGES: usize = 4;

fn array<T: npyz::Deserialize>(file: &str, name: &str) -> Vec<T> {
    Npz::fixture(file).array(name).0
}

/// The network of the fixtures.
fn tiny2() -> Model {
    let layers =
        [4, 8, 16, 32].map(|filters| [format!("conv2d filters={filters}"), "relu".into(), "max_pool2d".into()]);
    let dense = ["dropout rate=0.2", "flatten", "dense units=24", "relu", "dense units=12", "relu", "dense"];
    let lines: Vec<&str> = layers.as_flattened().iter().map(|line| &line[..]).chain(dense).collect();
    model(&lines)
}

/// The device gives these logits for the fixture's images.
fn assert_logits(device: Device, what: &str, weights: &Weights, want: &[f32]) {
    let mut rig = Rig::new(&weights.card.model, (32, 32), 10, IMAGES, IMAGES);
    rig.pixels = array("tiny2_fixture.npz", "images");
    rig.order = (0..IMAGES as u32).collect();
    rig.parameters = weights.tensors.clone();
    let mut engine = rig.on(device);
    engine.run(Program::Infer, &[StepParams { count: IMAGES as u32, ..Default::default() }]).unwrap();
    let logits = read(&mut *engine, "infer.dense_2.output");
    for (i, (a, b)) in logits.iter().zip(want).enumerate() {
        // as in tests/it/keras.rs: other orders of summation
        assert!((a - b).abs() < 1e-4, "{what}: logit {i} is {a}, Keras has {b}");
    }
}

on_every_device!(all_formats_give_keras_logits);

fn all_formats_give_keras_logits(device: Device) {
    for (name, logits, parameter) in
        [("tiny2", "tiny2_fixture.npz", "param0"), ("tiny2_trained", "tiny2_trained_logits.npz", "param")]
    {
        let mut hashes = Vec::new();
        for ending in ["keras", "h5", "weights.h5"] {
            let file = format!("{name}.{ending}");
            let alone = ending == "weights.h5";
            let options = Import { model: alone.then(tiny2), ..Import::default() };
            let found = imported(&fixture(&file), &options).unwrap();
            let card = &found.weights.card;
            assert_eq!(card.model.layers, tiny2().layers, "{file}");
            assert_eq!((card.height, card.width, card.classes.len()), (32, 32, 10), "{file}");
            assert_eq!(card.classes[0], "Disturbed Galaxy", "ten classes are Galaxy10's");
            assert_eq!(found.notes.len(), 1 + usize::from(alone), "{file}: {:?}", found.notes);
            for (number, values) in found.weights.tensors.iter().enumerate() {
                assert!(
                    *values == array::<f32>(logits, &format!("{parameter}_{number:02}")),
                    "{file}, tensor {number}"
                );
            }
            hashes.push(found.weights.hash());
            if ending == "keras" {
                assert_logits(device, &file, &found.weights, &array::<f32>(logits, "logits"));
            }
        }
        assert_eq!(hashes[0], hashes[1]);
        assert_eq!(hashes[0], hashes[2]);
    }
}

#[test]
fn weights_alone_need_their_model() {
    let alone = fixture("tiny2.weights.h5");
    let message = refused(&alone, &Import::default());
    assert!(message.contains("weights alone") && message.contains("--model"), "{message}");
    let conv4 = Import { model: Model::preset("conv4"), ..Import::default() };
    let message = refused(&alone, &conv4);
    assert!(message.contains("do not fit the network conv4 for images of any size"), "{message}");
    // one layer less: what is left over shows it
    let mut less = tiny2();
    assert_eq!(less.layers.pop().unwrap().layer.kind(), "dense");
    less.layers.pop();
    less.layers.pop();
    less.layers.push(Dense::new(Some(12)).into());
    let message = refused(&alone, &Import { model: Some(less), size: Some(32), ..Import::default() });
    assert!(message.contains("do not fit"), "{message}");
    let message = refused(&alone, &Import { model: Some(tiny2()), size: Some(64), ..Import::default() });
    assert!(message.contains("do not fit"), "{message}");
    // every size of this range gives the same arrays; the smallest is taken, unless the user says
    let size = |size| imported(&alone, &Import { model: Some(tiny2()), size, ..Import::default() }).unwrap();
    assert_eq!([size(None), size(Some(47))].map(|found| found.weights.card.height), [32, 47]);
    let message = refused(&fixture("tiny2.keras"), &Import { model: Some(tiny2()), ..Import::default() });
    assert!(message.contains("describes its own model; leave out --model"), "{message}");
}

#[test]
fn classes_are_named_or_refused() {
    let with =
        |names: &[&str]| Import { classes: Some(names.iter().map(|&n| n.into()).collect()), ..Import::default() };
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    let found = imported(&fixture("tiny2.keras"), &with(&names)).unwrap();
    assert_eq!(found.weights.card.classes, names);
    assert_eq!(found.notes, [""; 0]);
    let message = imported(&fixture("tiny2.keras"), &with(&names[1..])).unwrap_err().to_string();
    assert!(message.contains("a list of 10"), "{message}");
}

#[test]
fn other_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.keras");
    for (bytes, words) in
        [(&b""[..], "is not an HDF5 file; give a model"), (b"PK\x03\x04 and no more", "damaged archive")]
    {
        std::fs::write(&path, bytes).unwrap();
        let message = refused(&path, &Import::default());
        assert!(message.contains(words), "{message}");
    }
    assert!(refused(folder.path(), &Import::default()).contains("is a folder"));
    assert!(refused(&folder.path().join("none.keras"), &Import::default()).contains("cannot be read"));
}

/// Keras 2.13 to 2.15 on Windows joined groups with `\\`: `layers\\conv2d/vars/0`.
#[test]
fn archives_written_on_windows_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut archive = ZipArchive::new(File::open(fixture("tiny2.keras")).unwrap()).unwrap();
    let mut member = |name: &str| {
        let mut bytes = Vec::new();
        archive.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    };
    let h5 = folder.path().join("model.weights.h5");
    std::fs::write(&h5, member("model.weights.h5")).unwrap();
    let mut tree = Tree::read(&h5, &Reader::InProcess).unwrap();
    let windows = |path: String| path.replacen('/', "\\", 1);
    tree.arrays = tree.arrays.into_iter().map(|(path, values)| (windows(path), values)).collect();
    assert!(tree.arrays.contains_key("layers\\conv2d/vars/0"));
    std::fs::remove_file(&h5).unwrap();
    write_tree(&h5, &tree).unwrap();
    let path = folder.path().join("windows.keras");
    let mut windows = ZipWriter::new(File::create(&path).unwrap());
    let weights = std::fs::read(&h5).unwrap();
    for (name, bytes) in [("config.json", member("config.json")), ("model.weights.h5", weights)] {
        windows.start_file(name, SimpleFileOptions::default()).unwrap();
        windows.write_all(&bytes).unwrap();
    }
    windows.finish().unwrap();
    let hash = |path: &Path| imported(path, &Import::default()).unwrap().weights.hash();
    assert_eq!(hash(&path), hash(&fixture("tiny2.keras")));
}
