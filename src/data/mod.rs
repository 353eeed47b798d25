//! Labelled galaxy images, wherever they come from, as one flat block of u8 pixels.
//!
//! This room reads files and draws galaxies. It knows nothing of networks, kernels or adapters.
//! Begin with [`Dataset::load`]: an HDF5 file in the layout of Galaxy10 or a folder of class folders.

pub mod cache;
pub mod conflicts;
mod draw;
pub mod fits;
pub mod folder;
pub mod hdf5;
pub mod inspect;
pub mod items;
mod labelled;
mod limits;
pub mod order;
pub mod picture;
pub mod sets;
pub mod simulate;
pub mod sky;
pub mod source;
pub mod split;
pub mod tables;

use std::path::{Path, PathBuf};

pub use self::conflicts::{Conflict, DUPLICATE_ARCSEC, conflicts};
pub use self::fits::{Crop, FitsOptions};
pub use self::hdf5::write_hdf5;
pub use self::inspect::{Inspection, inspect};
pub use self::items::{Item, ItemInfo, Items};
pub use self::order::epoch_order;
pub use self::picture::{read_picture, read_picture_with};
pub use self::sets::{GivenSets, Set};
pub use self::sky::Sky;
pub use self::split::{ChosenBy, Split};
use crate::{Error, Result};

/// The ten classes of Galaxy10 DECaLS, in the order of its labels.
pub const GALAXY10_CLASSES: [&str; 10] = [
    "Disturbed Galaxy",
    "Merging Galaxy",
    "Round Smooth Galaxy",
    "In-between Round Smooth Galaxy",
    "Cigar Shaped Smooth Galaxy",
    "Barred Spiral Galaxy",
    "Unbarred Tight Spiral Galaxy",
    "Unbarred Loose Spiral Galaxy",
    "Edge-on Galaxy without Bulge",
    "Edge-on Galaxy with Bulge",
];

/// Pixels of a data set: `count x height x width x 3` bytes, channels last.
pub enum Pixels {
    /// In memory.
    Owned(Vec<u8>),
    /// The flat cache file, mapped.
    Mapped(memmap2::Mmap),
}

impl std::ops::Deref for Pixels {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Mapped(map) => map,
        }
    }
}

/// How to load a data set.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Side of the square that pictures in a folder are resized to, in pixels. Without it: the pictures' common size,
    /// or 256 where they differ. HDF5 images keep their size.
    pub size: Option<usize>,
    /// Names of the classes, in the order of the labels; by default those of the file or folder.
    pub class_names: Option<Vec<String>>,
    /// Where decoded pixels are kept; by default `galaxy-gpu` in the user's cache folder.
    pub cache_dir: Option<PathBuf>,
    /// Who gives an HDF5 file to libhdf5, which damaged files can crash; by default this process.
    pub reader: hdf5::Reader,
    /// How FITS images become pictures.
    pub fits: FitsOptions,
}

/// Labelled RGB images of one size.
pub struct Dataset {
    /// Where it came from, for people.
    pub name: String,
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
    /// All images, one after the other.
    pub pixels: Pixels,
    /// Class of each image, below `classes.len()`.
    pub labels: Vec<u32>,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Position of each image, unless none is known; single ones may be unknown ([`Sky::is_known`]).
    pub sky: Option<Vec<Sky>>,
    /// The split that it brings along, where it does.
    pub given: Option<GivenSets>,
    /// Notes on how it was loaded, a sentence each. None of them is an error.
    pub notes: Vec<String>,
}

impl Dataset {
    /// Reads an HDF5 file in the layout of Galaxy10 (see [`hdf5`]) or a folder with a folder of pictures per class, or with
    /// such folders for the sets of a split (see [`folder`]), or a table of pictures and their classes. Pixels are decoded once and kept in a flat file that is mapped from then on (see [`cache`]).
    ///
    /// # Errors
    /// [`Error::File`] where the source cannot be read or understood, [`Error::Data`] where its labels cannot be
    /// trained on, [`Error::Setting`] where an option does not suit it.
    pub fn load(source: &Path, options: &LoadOptions) -> Result<Self> {
        let about = std::fs::metadata(source).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                Error::file(source, "there is no such file or folder", "check the spelling of the path")
            }
            _ => Error::file(source, format!("cannot be read ({error})"), "check its permissions"),
        })?;
        let loaded = if about.is_dir() {
            match &labelled::shards_of(source)[..] {
                [] => folder::load(source, options)?,
                shards => labelled::load_shards(source, shards, options)?,
            }
        } else if let Some(kind) = labelled::kind_of(source) {
            labelled::load(source, kind, options)?
        } else if fits::is_named(source) {
            let remedy =
                "give a folder with a folder of pictures per class; `galaxy-gpu data picture` shows one picture";
            return Err(Error::file(source, "is one FITS file, and no data set", remedy));
        } else {
            hdf5::load(source, &options.reader, options.cache_dir.as_deref())?
        };
        let source::Loaded { meta, pixels, given, mut notes } = loaded;
        let classes = name_classes(meta.class_names, meta.class_count, options.class_names.as_deref())?;
        let unknown = meta.sky.iter().flatten().filter(|position| !position.is_known()).count();
        if unknown > 0 {
            let count = meta.labels.len();
            notes.push(format!("{unknown} of {count} images have no position, so their neighbours are not known."));
        }
        Ok(Self {
            name: source.file_name().unwrap_or(source.as_os_str()).to_string_lossy().into_owned(),
            height: meta.height,
            width: meta.width,
            pixels,
            labels: meta.labels,
            classes,
            sky: meta.sky,
            given,
            notes,
        })
    }

    /// Bytes of one image.
    pub fn image_bytes(&self) -> usize {
        self.height * self.width * 3
    }

    /// The pixels of image `index`: `height x width x 3`.
    pub fn image(&self, index: usize) -> &[u8] {
        let n = self.image_bytes();
        &self.pixels[index * n..(index + 1) * n]
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Number of images of each class.
    pub fn class_counts(&self) -> Vec<usize> {
        source::count_labels(&self.labels, self.classes.len())
    }
}

/// The names of `count` classes: what the user gave, else what the source says, else Galaxy10's, else numbers.
///
/// # Errors
/// [`Error::Setting`] where the user gave another number of names, or two that are equal.
pub(crate) fn name_classes(stored: Option<Vec<String>>, count: usize, given: Option<&[String]>) -> Result<Vec<String>> {
    if let Some(names) = given {
        if names.len() != count {
            let got = format!("a list of {}", names.len());
            return Err(Error::setting("class names", got, format!("a list of {count}, one for each class")));
        }
        source::check_names(names).map_err(|problem| {
            Error::setting("class names", problem, "different names, none empty or with control characters")
        })?;
        return Ok(names.to_vec());
    }
    Ok(match stored {
        Some(names) => names,
        None if count == GALAXY10_CLASSES.len() => GALAXY10_CLASSES.map(String::from).to_vec(),
        None => (0..count).map(|class| format!("class {class}")).collect(),
    })
}
