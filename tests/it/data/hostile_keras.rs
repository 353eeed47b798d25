//! Damaged copies of what Keras has saved, and files that are made to do harm: taken or refused with one sentence. Where a damage is in
//! a value nobody can tell; where it is in a table, nothing crashes, hangs or grows.

use std::fs;
use std::path::Path;

use galaxy_gpu::data::hdf5::tree::Tree;
use galaxy_gpu::interchange::{Import, import};
use galaxy_gpu::model::Model;

use super::hostile::survive;
use super::{Scratch, assert_says, child};

fn read(path: &Path, model: Option<Model>) -> galaxy_gpu::Result<()> {
    import(path, &Import { model, reader: child(), ..Import::default() }).map(|found| {
        assert_eq!(found.weights.tensors.len(), found.weights.network().unwrap().parameters().count());
    })
}

#[test]
fn keras_files_in_all_formats() {
    let scratch = Scratch::new();
    let fixture = |name: &str| {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/keras").join(name);
        fs::copy(from, scratch.path(name)).unwrap();
        scratch.path(name)
    };
    survive(&fixture("tiny2.keras"), 80, |path| read(path, None));
    survive(&fixture("tiny2.h5"), 80, |path| read(path, None));
    let layers = "[[layer]]\ntype='conv2d'\nfilters=F\n[[layer]]\ntype='relu'\n[[layer]]\ntype='max_pool2d'\n";
    let layers: String = ["4", "8", "16", "32"].map(|filters| layers.replace('F', filters)).concat();
    let dense = "[[layer]]\ntype='dense'\nunits=24\n[[layer]]\ntype='dense'\nunits=12\n[[layer]]\ntype='dense'\n";
    let model =
        Model::from_toml(Path::new("m"), &format!("name='m'\n{layers}[[layer]]\ntype='flatten'\n{dense}")).unwrap();
    survive(&fixture("tiny2.weights.h5"), 80, |path| read(path, Some(model.clone())));
}

#[test]
fn trees_that_lead_elsewhere_or_nowhere() {
    let scratch = Scratch::new();
    let file = |name: &str, fill: &dyn Fn(&hdf5::File) -> hdf5::Result<()>| {
        let file = hdf5::File::create(scratch.path(name)).unwrap();
        fill(&file).unwrap();
        file.close().unwrap();
        Tree::read(&scratch.path(name), &child())
    };
    let secret = |file: &hdf5::File| file.new_dataset_builder().with_data(&[1f32, 2.0]).create("secret").map(drop);
    file("secret.h5", &secret).unwrap();
    let linked = file("linked.h5", &|file| {
        file.link_external(&scratch.path("secret.h5").to_string_lossy(), "secret", "other")?;
        file.link_soft("/none", "nowhere")
    });
    let linked = linked.unwrap();
    assert!(linked.arrays.is_empty() && linked.others["other"] == "a link to somewhere else", "{linked:?}");

    fs::write(scratch.path("raw"), [0; 64]).unwrap();
    let outside = file("outside.h5", &|file| {
        let raw = scratch.path("raw").to_string_lossy().into_owned();
        file.new_dataset::<f32>().external(&raw, 0, 64).shape(16).create("weights").map(drop)
    });
    assert_says(&outside.unwrap_err().to_string(), &["outside.h5: weights keeps its values in other files"]);

    let circle = file("circle.h5", &|file| {
        let group = file.create_group("a")?;
        file.link_hard("/", "a/back")?;
        file.link_hard("/", "a/again").map(|()| drop(group))
    });
    assert_says(&circle.unwrap_err().to_string(), &["circle.h5: more than 16384 members, or more than 16 groups"]);

    let huge = file("huge.h5", &|file| {
        file.new_dataset::<f32>().chunk((1, 1024)).shape((1 << 20, 1024)).create("weights").map(drop)
    });
    assert_says(&huge.unwrap_err().to_string(), &["huge.h5: weights of shape [1048576, 1024] makes it more than"]);

    let wordy = file("wordy.h5", &|file| {
        let text: hdf5::types::VarLenUnicode = "x".repeat(17 << 20).parse().unwrap();
        file.new_attr::<hdf5::types::VarLenUnicode>().create("model_config")?.write_scalar(&text)
    });
    assert_says(&wordy.unwrap_err().to_string(), &["wordy.h5: its attributes hold more than 16777216 bytes"]);

    let other = file("other.h5", &|file| file.new_dataset_builder().with_data(&[1i32]).create("count").map(drop));
    let message = import(&scratch.path("other.h5"), &Import { reader: child(), ..Import::default() }).unwrap_err();
    assert_eq!(other.unwrap().others.len(), 1);
    assert_says(&message.to_string(), &["other.h5: it holds no arrays of floats"]);
}
