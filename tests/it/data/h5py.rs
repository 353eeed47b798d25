//! Files that h5py 3.16 (HDF5 2.0) has written, in forms that libhdf5 does not use by default.

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
