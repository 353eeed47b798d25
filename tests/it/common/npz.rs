//! Arrays that numpy has saved: an .npz file is a zip of .npy files.

use npyz::{Deserialize, NpyFile};
use std::fs::File;
use std::path::Path;

/// The arrays of a fixture.
pub struct Npz(zip::ZipArchive<File>);

impl Npz {
    /// The file of this name among those that Keras's numbers are in.
    pub fn fixture(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/keras").join(name);
        Self(zip::ZipArchive::new(File::open(path).expect("the fixture opens")).expect("a zip file"))
    }

    /// An array, and its sizes.
    pub fn array<T: Deserialize>(&mut self, name: &str) -> (Vec<T>, Vec<usize>) {
        let member = self.0.by_name(&format!("{name}.npy")).unwrap_or_else(|_| panic!("the fixture has no {name}"));
        let array = NpyFile::new(member).expect("an npy file");
        let sizes = array.shape().iter().map(|&size| size as usize).collect();
        (array.into_vec().expect("elements of this type"), sizes)
    }
}
