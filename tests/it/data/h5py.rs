//! HDF5 files as others write them: h5py 3.16 (HDF5 2.0) in forms that libhdf5 does not use by default, and what frameworks keep.

use std::path::{Path, PathBuf};

use super::{Scratch, assert_says};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hdf5").join(name)
}

/// `compression="lzf"`, with `shuffle`.
#[test]
fn images_packed_by_lzf_are_read() {
    let scratch = Scratch::new();
    let data = scratch.load(&fixture("h5py_lzf.h5")).unwrap();
    let expected: Vec<u8> = (0..4 * 8 * 8 * 3).map(|number| (number % 251 / 16) as u8).collect();
    assert_eq!((&*data.pixels, &data.labels[..]), (&expected[..], &[0, 1, 0, 1][..]));
}

/// `libver="latest"`: newer libraries read it, older ones cannot open the data set, and the reason is said.
#[test]
fn forms_of_newer_versions_are_read_or_named() {
    let scratch = Scratch::new();
    match scratch.load(&fixture("h5py_latest.h5")) {
        Ok(data) => assert_eq!(data.labels, [0, 1, 0, 1]),
        Err(error) => {
            let wanted = ["h5py_latest.h5: `images` is stored in a form", "does not know", "without libver=\"latest\""];
            assert_says(&error.to_string(), &wanted);
        }
    }
}

/// As frameworks keep them: pixels from 0 to 1, labels as floats or one-hot.
#[test]
fn float_pixels_and_labels_are_read_with_a_note() {
    let scratch = Scratch::new();
    let save = |name: &str, labels: &dyn Fn(&hdf5::File)| {
        let file = hdf5::File::create(scratch.path(name)).unwrap();
        let images = file.new_dataset::<f32>().shape((2, 8, 8, 3)).create("images").unwrap();
        let values: Vec<f32> = (0..2 * 8 * 8 * 3).map(|byte| (byte % 256) as f32 / 255.0).collect();
        images.write_raw(&values).unwrap();
        labels(&file);
        drop(images);
        file.close().unwrap();
        scratch.path(name)
    };
    let floats = save("floats.h5", &|file| {
        file.new_dataset_builder().with_data(&[1.0f32, 0.0]).create("ans").unwrap();
    });
    let one_hot = save("one_hot.h5", &|file| {
        let answers = file.new_dataset::<u8>().shape((2, 2)).create("ans").unwrap();
        answers.write_raw(&[0u8, 1, 1, 0]).unwrap();
    });
    for (path, note) in [(floats, "`ans` holds floats"), (one_hot, "`ans` is one-hot")] {
        let data = scratch.load(&path).unwrap();
        let expected: Vec<u8> = (0..2 * 8 * 8 * 3).map(|byte| (byte % 256) as u8).collect();
        assert_eq!((&*data.pixels, &data.labels[..]), (&expected[..], &[1, 0][..]));
        let notes = data.notes.join(" ");
        assert!(notes.contains("`images` holds floats") && notes.contains(note), "{notes}");
    }
    let wrong = save("wrong.h5", &|file| {
        let answers = file.new_dataset::<f32>().shape((2, 2)).create("ans").unwrap();
        answers.write_raw(&[0.25f32, 0.75, 1.0, 0.0]).unwrap();
    });
    assert_says(&scratch.refusal(&wrong), &["`ans` has 2 numbers an image, and row 0 is not one 1 among 0"]);
}
