//! HDF5 files: what is written comes back, and every departure from the layout is named.

use std::path::Path;

use galaxy_gpu::data::{Dataset, GALAXY10_CLASSES, LoadOptions, Sky, write_hdf5};
use hdf5::types::{FixedAscii, VarLenUnicode};

use super::{Scratch, assert_says, dataset};

/// Writes a file with `images` of `shape` and `ans`.
fn write<L: hdf5::H5Type>(path: &Path, shape: [usize; 4], labels: &[L]) -> hdf5::File {
    let file = hdf5::File::create(path).unwrap();
    let images = file.new_dataset::<u8>().shape(shape).create("images").unwrap();
    images.write_raw(&vec![9u8; shape.iter().product()]).unwrap();
    file.new_dataset_builder().with_data(labels).create("ans").unwrap();
    file
}

#[test]
fn a_written_file_reads_back_the_same() {
    let scratch = Scratch::new();
    // 300 images of 70 x 50 pixels make several chunks, and the last one is not full.
    let labels: Vec<u32> = (0..300).map(|i| i % 3).collect();
    let mut original = dataset(&labels, 70, 50);
    original.sky = Some((0..300).map(|i| Sky { ra: 1.1 * f64::from(i), dec: 0.1 * f64::from(i) - 20.0 }).collect());
    let path = scratch.path("a.h5");
    write_hdf5(&path, &original).unwrap();
    let loaded = scratch.load(&path).unwrap();
    assert_eq!((loaded.height, loaded.width, loaded.len()), (70, 50, 300));
    assert!(loaded.pixels[..] == original.pixels[..], "pixels differ");
    assert_eq!(loaded.labels, original.labels);
    assert_eq!(loaded.classes, original.classes);
    assert_eq!(loaded.sky, original.sky);
    assert_eq!(loaded.name, "a.h5");
    assert_eq!(loaded.class_counts(), [100, 100, 100]);
    let left: Vec<_> = std::fs::read_dir(path.parent().unwrap()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "something besides the file and the cache is left: {left:?}");
}

#[test]
fn a_large_file_is_read_in_slabs() {
    let scratch = Scratch::new();
    // 40 MB of pixels: more than one slab, whose length is no multiple of the chunk.
    let labels: Vec<u32> = (0..210).map(|i| i % 2).collect();
    let original = dataset(&labels, 250, 256);
    let path = scratch.path("a.h5");
    write_hdf5(&path, &original).unwrap();
    assert!(scratch.load(&path).unwrap().pixels[..] == original.pixels[..], "pixels differ");
}

#[test]
fn failed_writing_leaves_nothing() {
    let scratch = Scratch::new();
    let path = scratch.path("a.h5");
    let mut broken = dataset(&[0, 1], 4, 4);
    broken.labels[1] = 2;
    assert_says(&write_hdf5(&path, &broken).unwrap_err().to_string(), &["label 2 is not one of 2 classes"]);
    assert!(!path.exists());
    let nowhere = scratch.path("no/such/a.h5");
    assert_says(
        &write_hdf5(&nowhere, &dataset(&[0, 1], 4, 4)).unwrap_err().to_string(),
        &["cannot be written", "folder"],
    );
    // A folder in the way of the final name: the temporary file must go.
    std::fs::create_dir(&path).unwrap();
    assert!(write_hdf5(&path, &dataset(&[0, 1], 4, 4)).is_err());
    assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn labels_may_be_integers_of_any_width() {
    let scratch = Scratch::new();
    let check = |name: &str, file: hdf5::File| {
        file.close().unwrap();
        assert_eq!(scratch.load(&scratch.path(name)).unwrap().labels, [0, 1, 1, 2], "{name}");
    };
    let shape = [4, 5, 6, 3];
    check("u16.h5", write(&scratch.path("u16.h5"), shape, &[0u16, 1, 1, 2]));
    check("i8.h5", write(&scratch.path("i8.h5"), shape, &[0i8, 1, 1, 2]));
    check("i64.h5", write(&scratch.path("i64.h5"), shape, &[0i64, 1, 1, 2]));
    check("u64.h5", write(&scratch.path("u64.h5"), shape, &[0u64, 1, 1, 2]));
}

/// Writes a file, lets `change` spoil it, and returns the refusal.
fn spoilt(change: impl FnOnce(&hdf5::File)) -> String {
    let scratch = Scratch::new();
    let path = scratch.path("a.h5");
    let file = write(&path, [4, 5, 6, 3], &[0u8, 1, 1, 2]);
    change(&file);
    file.close().unwrap();
    scratch.refusal(&path)
}

fn replace<T: hdf5::H5Type>(file: &hdf5::File, name: &str, data: &[T]) {
    let _ = file.unlink(name);
    file.new_dataset_builder().with_data(data).create(name).unwrap();
}

fn replace_images<T: hdf5::H5Type>(file: &hdf5::File, shape: &[usize]) {
    file.unlink("images").unwrap();
    file.new_dataset::<T>().shape(shape.to_vec()).create("images").unwrap();
}

#[test]
fn wrong_names_types_and_shapes_are_named() {
    assert_says(&spoilt(|file| file.relink("images", "pictures").unwrap()), &["no data set `images`", "ans, pictures"]);
    assert_says(&spoilt(|file| file.relink("ans", "answers").unwrap()), &["no data set `ans`", "answers, images"]);
    let bright = |file: &hdf5::File| {
        replace_images::<f32>(file, &[4, 5, 6, 3]);
        file.dataset("images").unwrap().write_raw(&[1.5f32; 4 * 5 * 6 * 3]).unwrap();
    };
    assert_says(&spoilt(bright), &["`images` holds 1.5 in images 0 to 3", "floats must be 0 to 1"]);
    assert_says(&spoilt(|file| replace_images::<i8>(file, &[4, 5, 6, 3])), &["`images` holds int8, not uint8"]);
    assert_says(&spoilt(|file| replace_images::<u8>(file, &[4, 5, 6])), &["[4, 5, 6]", "not [N, H, W, 3]"]);
    assert_says(&spoilt(|file| replace_images::<u8>(file, &[4, 5, 6, 4])), &["[4, 5, 6, 4]", "not [N, H, W, 3]"]);
    assert_says(&spoilt(|file| replace_images::<u8>(file, &[0, 5, 6, 3])), &["holds no images"]);
    assert_says(&spoilt(|file| replace_images::<u8>(file, &[4, 0, 6, 3])), &["0 x 6 pixels"]);
    assert_says(&spoilt(|file| replace_images::<u8>(file, &[5, 5, 6, 3])), &["`ans`", "[4]", "5 images"]);
    assert_says(&spoilt(|file| replace(file, "ans", &[0.0f32, 1.0, 1.5, 2.0])), &["`ans` is 1.5 in row 2", "0 to 255"]);
    let never_filled = |file: &hdf5::File| {
        file.unlink("images").unwrap();
        file.new_dataset::<u8>().chunk((1, 5, 6, 3)).shape((4, 5, 6, 3)).create("images").unwrap();
    };
    assert_says(&spoilt(never_filled), &["never filled"]);
}

#[test]
fn labels_that_cannot_be_trained_on_are_named() {
    assert_says(&spoilt(|file| replace(file, "ans", &[0i32, 1, -1, 2])), &["`ans` is -1 in row 2", "0 to 255"]);
    assert_says(&spoilt(|file| replace(file, "ans", &[0u16, 1, 2, 256])), &["`ans` is 256 in row 3", "0 to 255"]);
    assert_says(&spoilt(|file| replace(file, "ans", &[0u64, 1, 2, u64::MAX])), &["row 3", "0 to 255"]);
    assert_says(&spoilt(|file| replace(file, "ans", &[0u8, 1, 3, 3])), &["class 2 has no images", "[1, 1, 0, 2]"]);
    assert_says(&spoilt(|file| replace(file, "ans", &[0u8, 0, 0, 0])), &["same class", "two classes"]);
}

#[test]
fn coordinates_are_checked() {
    let good = [1.0f64, 2.0, 3.0, 4.0];
    let with = |ra: &[f64], dec: &[f64]| {
        spoilt(|file| {
            replace(file, "ra", ra);
            replace(file, "dec", dec);
        })
    };
    assert_says(&with(&[1.0, f64::NAN, 3.0, 4.0], &good), &["`ra` is NaN in row 1"]);
    assert_says(&with(&good, &[1.0, 2.0, 3.0, f64::INFINITY]), &["`dec` is inf in row 3"]);
    assert_says(&with(&good, &[-90.5, 2.0, 3.0, 4.0]), &["`dec` is -90.5 in row 0", "-90 to 90"]);
    assert_says(&with(&good[..3], &good), &["`ra` has the shape [3]", "4 images"]);
    assert_says(&spoilt(|file| replace(file, "ra", &good)), &["`ra` but no `dec`"]);
    assert_says(&spoilt(|file| replace(file, "dec", &good)), &["`dec` but no `ra`"]);
    assert_says(&spoilt(|file| replace(file, "redshift", &good[..2])), &["`redshift` has the shape [2]"]);
    assert_says(&spoilt(|file| replace(file, "pxscale", &[1u8, 2, 3, 4])), &["`pxscale` holds uint8"]);
}

#[test]
fn positions_may_be_unknown() {
    let scratch = Scratch::new();
    let save = |name: &str, ra: [f64; 4], dec: [f64; 4]| {
        let file = write(&scratch.path(name), [4, 5, 6, 3], &[0u8, 1, 1, 2]);
        replace(&file, "ra", &ra);
        replace(&file, "dec", &dec);
        file.close().unwrap();
        scratch.load(&scratch.path(name)).unwrap()
    };
    assert_eq!(save("none.h5", [f64::NAN; 4], [f64::NAN; 4]).sky, None);
    let some = save("some.h5", [f64::NAN, 2.0, f64::NAN, 2.0], [f64::NAN, 3.0, f64::NAN, 3.0]);
    assert_says(&some.notes.join(" "), &["2 of 4 images have no position"]);
    let found = galaxy_gpu::data::inspect(&some).sky.unwrap();
    assert_eq!((found.positions, found.duplicate_pairs, found.overlapping_images), (2, 1, 2));
    write_hdf5(&scratch.path("copy.h5"), &some).unwrap();
    let copy = scratch.load(&scratch.path("copy.h5")).unwrap().sky.unwrap();
    let known: Vec<bool> = copy.iter().map(|position| position.is_known()).collect();
    assert_eq!(known, [false, true, false, true]);
}

#[test]
fn unknown_redshifts_are_no_fault() {
    let scratch = Scratch::new();
    let path = scratch.path("a.h5");
    let file = write(&path, [4, 5, 6, 3], &[0u8, 1, 1, 2]);
    replace(&file, "redshift", &[f64::NAN; 4]);
    replace(&file, "ra", &[1.5f32, 2.0, 3.0, 359.0]);
    replace(&file, "dec", &[1.0f32, -2.5, 3.0, 4.0]);
    file.close().unwrap();
    assert_eq!(scratch.load(&path).unwrap().sky.unwrap()[1], Sky { ra: 2.0, dec: -2.5 });
}

#[test]
fn files_that_are_none_are_named() {
    let scratch = Scratch::new();
    assert_says(&scratch.refusal(&scratch.path("none.h5")), &["none.h5", "no such file", "spelling"]);
    std::fs::write(scratch.path("text.h5"), "not an HDF5 file").unwrap();
    assert_says(&scratch.refusal(&scratch.path("text.h5")), &["text.h5: is not an HDF5 file"]);
    std::fs::write(scratch.path("empty.h5"), "").unwrap();
    assert_says(&scratch.refusal(&scratch.path("empty.h5")), &["is not an HDF5 file"]);

    let path = scratch.path("cut.h5");
    write_hdf5(&path, &dataset(&[0, 1, 0, 1], 40, 40)).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert_says(&scratch.refusal(&path), &["damaged or incomplete HDF5 file", "download or copy it again"]);
}

#[test]
fn damaged_pixels_are_named_and_not_cached() {
    let scratch = Scratch::new();
    let path = scratch.path("a.h5");
    write_hdf5(&path, &dataset(&[0, 1, 0, 1], 64, 64)).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    // Random pixels do not compress, so most of the file is a stream of gzip.
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].iter_mut().for_each(|byte| *byte ^= 0x5a);
    std::fs::write(&path, bytes).unwrap();
    assert_says(&scratch.refusal(&path), &["images 0 to 3 cannot be read", "download or copy it again"]);
    assert!(scratch.cached().is_empty());
    assert_eq!(std::fs::read_dir(scratch.path("cache")).unwrap().count(), 0, "a half-written file is left");
}

#[test]
fn class_names_come_from_the_file_the_user_or_galaxy10() {
    let scratch = Scratch::new();
    let save = |name: &str, count: u8, change: &dyn Fn(&hdf5::File)| {
        let labels: Vec<u8> = (0..count).collect();
        let file = write(&scratch.path(name), [labels.len(), 2, 2, 3], &labels);
        change(&file);
        file.close().unwrap();
        scratch.load(&scratch.path(name)).map(|dataset| dataset.classes)
    };
    assert_eq!(save("ten.h5", 10, &|_| {}).unwrap(), GALAXY10_CLASSES);
    assert_eq!(save("two.h5", 2, &|_| {}).unwrap(), ["class 0", "class 1"]);
    let list: Vec<VarLenUnicode> = ["spiral", "éllipse"].map(|name| name.parse().unwrap()).to_vec();
    let on_root = |file: &hdf5::File| {
        file.new_attr_builder().with_data(&list).create("class_names").unwrap();
    };
    assert_eq!(save("list.h5", 2, &on_root).unwrap(), ["spiral", "éllipse"]);
    let on_ans = |file: &hdf5::File| {
        let text = FixedAscii::<32>::from_ascii("round, edge-on").unwrap();
        let ans = file.dataset("ans").unwrap();
        ans.new_attr::<FixedAscii<32>>().create("class_names").unwrap().write_scalar(&text).unwrap();
    };
    assert_eq!(save("text.h5", 2, &on_ans).unwrap(), ["round", "edge-on"]);
    assert_says(&save("few.h5", 3, &on_ans).unwrap_err().to_string(), &["`class_names` has 2 names", "up to 2"]);
    let three = |file: &hdf5::File| {
        let names: Vec<VarLenUnicode> = ["a", "b", "rare"].map(|name| name.parse().unwrap()).to_vec();
        file.new_attr_builder().with_data(&names).create("class_names").unwrap();
    };
    assert_says(&save("many.h5", 2, &three).unwrap_err().to_string(), &["class 2 (rare) has no images", "[1, 1, 0]"]);
    let numbers = |file: &hdf5::File| {
        file.new_attr_builder().with_data(&[1, 2]).create("class_names").unwrap();
    };
    assert_says(&save("numbers.h5", 2, &numbers).unwrap_err().to_string(), &["`class_names` holds int32, not strings"]);

    let named = |names: &[&str]| {
        let class_names = Some(names.iter().map(|name| (*name).to_owned()).collect());
        let options = LoadOptions { class_names, ..scratch.options() };
        Dataset::load(&scratch.path("list.h5"), &options).map(|dataset| dataset.classes)
    };
    assert_eq!(named(&["x", "y"]).unwrap(), ["x", "y"]);
    assert_says(&named(&["x"]).unwrap_err().to_string(), &["class names is a list of 1", "list of 2"]);
    assert_says(&named(&["x", "x"]).unwrap_err().to_string(), &["\"x\"", "class 0 and class 1"]);
}
