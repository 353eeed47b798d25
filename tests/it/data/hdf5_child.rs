//! The process that reads HDF5 files, when it fails: one sentence, nothing left behind, and the same data when it does not.

use std::path::{Path, PathBuf};
use std::time::Duration;

use galaxy_gpu::data::hdf5::Reader;
use galaxy_gpu::data::hdf5::tree::{Tree, Values, write_tree};
use galaxy_gpu::data::{Dataset, LoadOptions, Sky, write_hdf5};

use super::{Scratch, assert_says, dataset};

/// Two files that are read in two ways: chunks by the program itself, one block of pixels by libhdf5.
fn files(scratch: &Scratch) -> [PathBuf; 2] {
    let mut images = dataset(&[0, 1, 2, 1, 0], 30, 20);
    images.sky = Some((0..5).map(|i| Sky { ra: f64::from(i) / 3.0, dec: if i == 2 { 0.1 } else { -0.3 } }).collect());
    write_hdf5(&scratch.path("chunks.h5"), &images).unwrap();
    let file = hdf5::File::create(scratch.path("block.h5")).unwrap();
    file.new_dataset::<u8>().shape((5, 30, 20, 3)).create("images").unwrap().write_raw(&images.pixels[..]).unwrap();
    file.new_dataset_builder().with_data(&[0i16, 1, 2, 1, 0]).create("ans").unwrap();
    file.close().unwrap();
    ["chunks.h5", "block.h5"].map(|name| scratch.path(name))
}

#[test]
fn a_child_reads_what_the_process_itself_reads() {
    let scratch = Scratch::new();
    for path in files(&scratch) {
        let here =
            LoadOptions { reader: Reader::InProcess, cache_dir: Some(scratch.path("here")), ..Default::default() };
        let (here, child) = (Dataset::load(&path, &here).unwrap(), scratch.load(&path).unwrap());
        assert!(here.pixels[..] == child.pixels[..], "pixels differ");
        assert_eq!((here.height, here.width, &here.labels), (child.height, child.width, &child.labels));
        assert_eq!((here.classes, here.sky), (child.classes, child.sky));
    }
}

/// The reader tests/fixtures/readers/`name`.
#[cfg(unix)]
fn failing(name: &str) -> Reader {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/readers").join(name);
    Reader::Child { program, patience: Duration::from_millis(500) }
}

/// What loading `path` with a failing reader ends with.
#[cfg(unix)]
fn refusal(scratch: &Scratch, path: &Path, name: &str) -> String {
    let reader = failing(name);
    let error = Dataset::load(path, &LoadOptions { reader, ..scratch.options() }).err().unwrap().to_string();
    assert!(!error.contains('\n') && scratch.cached().is_empty(), "{error}");
    error
}

#[cfg(unix)]
#[test]
fn a_failed_reader_is_one_sentence() {
    let scratch = Scratch::new();
    let [path, _] = files(&scratch);
    let again = "the file is damaged: download or copy it again";
    let refusal = |name: &str| refusal(&scratch, &path, name);
    assert_says(&refusal("crash.sh"), &["chunks.h5: reading it crashed the HDF5 library", "signal: 11", again]);
    assert_says(&refusal("hang.sh"), &["chunks.h5: reading it kept the HDF5 library busy for 500ms", again]);
    assert_says(&refusal("cut.sh"), &["chunks.h5: reading it crashed", "exit status: 0", again]);
    assert_says(&refusal("endless.sh"), &["chunks.h5: reading it confused the HDF5 library", again]);
    assert_says(&refusal("empty.sh"), &["chunks.h5: reading it confused the HDF5 library", again]);
    assert_says(&refusal("none.sh"), &["chunks.h5: the process that reads it cannot be started"]);
}

#[cfg(unix)]
#[test]
fn weights_have_the_same_reader() {
    let scratch = Scratch::new();
    let path = scratch.path("weights.h5");
    let mut tree = Tree::default();
    let array = Values { shape: vec![600, 500], values: (0..300_000).map(|i| i as f32).collect() };
    tree.arrays.insert("layers/dense/vars/0".into(), array);
    write_tree(&path, &tree).unwrap();
    assert!(Tree::read(&path, &super::child()).unwrap() == tree, "more than one piece");
    for (name, words) in [
        ("crash.sh", "crashed the HDF5 library"),
        ("hang.sh", "kept the HDF5 library busy"),
        ("cut.sh", "crashed the HDF5 library"),
        ("empty.sh", "confused the HDF5 library"),
        ("none.sh", "cannot be started"),
    ] {
        let message = Tree::read(&path, &failing(name)).unwrap_err().to_string();
        assert!(message.contains("weights.h5: ") && message.contains(words) && !message.contains('\n'), "{message}");
    }
}

#[test]
fn absurd_sizes_are_refused() {
    let scratch = Scratch::new();
    let write = |name: &str, shape: [usize; 4], chunk: Option<[usize; 4]>| {
        let file = hdf5::File::create(scratch.path(name)).unwrap();
        let images = file.new_dataset::<u8>();
        let images = if let Some(chunk) = chunk { images.chunk(chunk).deflate(1) } else { images.no_chunk() };
        let images = images.shape(shape).create("images").unwrap();
        images.write_slice(&ndarray::Array4::<u8>::zeros((1, 1, 1, 3)), ndarray::s![..1, ..1, ..1, ..]).unwrap();
        // A data set that is open keeps its file open, and locked.
        drop(images);
        let labels: Vec<u8> = (0..shape[0].min(100_000)).map(|image| (image % 2) as u8).collect();
        file.new_dataset_builder().with_data(&labels).create("ans").unwrap();
        file.close().unwrap();
        scratch.refusal(&scratch.path(name))
    };
    let many = write("many.h5", [1 << 26, 16, 16, 3], Some([64, 16, 16, 3]));
    assert_says(&many, &["claims to hold 67108864 images, more than 33554432"]);
    let sparse = write("sparse.h5", [100_000, 256, 256, 3], Some([128, 256, 256, 1]));
    assert_says(&sparse, &["claims 19660800000 bytes of pixels, which cannot be in a file of"]);
    let wide = write("wide.h5", [2, 1 << 20, 4, 3], Some([1, 1024, 4, 3]));
    assert_says(&wide, &["1048576 x 4 pixels", "1 to 16384"]);
}
