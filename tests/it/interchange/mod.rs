//! Networks from and for other programs, as files: what Keras has saved gives Keras's logits here, goes out and comes back as the same
//! bits, and what has no place here is refused by name. That other programs open what is written is shown by `tests/ecosystem`.

mod branches;
mod described;
mod round_trip;
mod saved;

use galaxy_gpu::Result;
use galaxy_gpu::data::hdf5::Reader;
use galaxy_gpu::interchange::{Import, Imported, import};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A file that Keras has saved.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/keras").join(name)
}

/// Imports a file as `galaxy-gpu` does it, HDF5 in a child process.
pub(crate) fn imported(path: &Path, options: &Import) -> Result<Imported> {
    let reader = Reader::Child { program: env!("CARGO_BIN_EXE_galaxy-gpu").into(), patience: Duration::from_secs(60) };
    import(path, &Import { reader, ..options.clone() })
}

/// The one sentence that importing a file ends with.
pub(crate) fn refused(path: &Path, options: &Import) -> String {
    let message =
        imported(path, options).err().unwrap_or_else(|| panic!("{} was imported", path.display())).to_string();
    assert!(message.contains(&*path.to_string_lossy()) && !message.contains('\n'), "{message}");
    message
}
