//! The data room from outside: files that users have, good and bad, and what becomes of them.

mod attacks;
mod cache;
mod commands;
mod fits;
mod fits_items;
mod fits_parts;
mod fits_tables;
mod folder;
mod given_split;
mod h5py;
mod hdf5_child;
mod hdf5_chunks;
mod hdf5_layout;
mod hostile;
mod hostile_keras;
mod hostile_tables;
mod inspect;
mod labelled;
mod picture;
mod split;

use std::path::{Path, PathBuf};
use std::time::Duration;

use galaxy_gpu::data::hdf5::Reader;
use galaxy_gpu::data::{Dataset, LoadOptions, Pixels, Sky};
use tempfile::TempDir;

/// Images of `labels` with random pixels, always the same.
pub(crate) fn dataset(labels: &[u32], height: usize, width: usize) -> Dataset {
    let mut pixels = vec![0; labels.len() * height * width * 3];
    blake3::Hasher::new().finalize_xof().fill(&mut pixels);
    let classes = labels.iter().max().map_or(0, |label| label + 1);
    Dataset {
        name: "made up".into(),
        height,
        width,
        pixels: Pixels::Owned(pixels),
        labels: labels.to_vec(),
        classes: (0..classes).map(|class| format!("kind {class}")).collect(),
        sky: None,
        given: None,
        notes: Vec::new(),
    }
}

/// Positions a degree apart, so that none are neighbours.
pub(crate) fn lonely_sky(count: usize) -> Vec<Sky> {
    (0..count).map(|i| Sky { ra: (i % 360) as f64, dec: (i / 360) as f64 - 40.0 }).collect()
}

/// A scratch folder with a cache folder beside the sources.
pub(crate) struct Scratch {
    folder: TempDir,
}

impl Scratch {
    /// A new, empty one.
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A path inside.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Options that keep the cache inside.
    pub fn options(&self) -> LoadOptions {
        LoadOptions { cache_dir: Some(self.path("cache")), reader: child(), ..LoadOptions::default() }
    }

    /// Loads `path` with [`Scratch::options`].
    pub fn load(&self, path: &Path) -> galaxy_gpu::Result<Dataset> {
        Dataset::load(path, &self.options())
    }

    /// The message that loading `path` ends with.
    pub fn refusal(&self, path: &Path) -> String {
        match self.load(path) {
            Ok(_) => panic!("{} was loaded", path.display()),
            Err(error) => error.to_string(),
        }
    }

    /// Pixel files of the cache.
    pub fn cached(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path("cache")).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "u8")).collect()
    }
}

/// HDF5 files are read as `galaxy-gpu` reads them.
pub(crate) fn child() -> Reader {
    Reader::Child { program: env!("CARGO_BIN_EXE_galaxy-gpu").into(), patience: Duration::from_secs(60) }
}

/// Asserts that `message` has every part.
pub(crate) fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}
