//! What all sources of images have in common: facts that are known before any pixel is read, and pixels in order.
//!
//! Sources hand on their pixels in pieces, so that a file larger than memory can be decoded into the cache.
//! This file knows neither HDF5 nor pictures.

use std::path::Path;

use super::sets::GivenSets;
use super::{Pixels, Sky};
use crate::{Error, Result};

/// Most images of a data set: indices are u32, and a corrupt file may claim any number.
pub(crate) const MOST_IMAGES: usize = u32::MAX as usize;
/// Longest side of an image, in pixels.
pub(crate) const LONGEST_SIDE: usize = 16384;
/// Most classes: labels are stored in a byte.
pub(crate) const MOST_CLASSES: usize = 256;

/// Everything about a data set but its pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct Meta {
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
    /// Class of each image, below `class_count`.
    pub labels: Vec<u32>,
    /// Number of classes; each has an image.
    pub class_count: usize,
    /// Names of the classes, where the source has them.
    pub class_names: Option<Vec<String>>,
    /// Position of each image, where known.
    pub sky: Option<Vec<Sky>>,
}

impl Meta {
    /// Bytes of all pixels.
    pub fn pixel_bytes(&self) -> usize {
        self.labels.len() * self.height * self.width * 3
    }
}

/// A loaded data set before its classes are named.
pub struct Loaded {
    /// Everything but the pixels.
    pub meta: Meta,
    /// The pixels, `count x height x width x 3`.
    pub pixels: Pixels,
    /// The split that the source says.
    pub given: Option<GivenSets>,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// Why a stream of pixels stopped.
pub enum Stop {
    /// The source could not be read.
    Source(Error),
    /// The receiver could not take them.
    Receiver(std::io::Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Source(error)
    }
}

/// Takes the next piece of pixels.
pub type Receiver<'a> = dyn FnMut(&[u8]) -> std::io::Result<()> + 'a;

/// Images that have been opened and checked, but not decoded.
pub trait ImageSource {
    /// Everything but the pixels.
    fn meta(&self) -> &Meta;

    /// What the user should know of how the pixels are read.
    fn note(&self) -> Option<String> {
        None
    }

    /// Hands on all pixels in order, in pieces of any length: [`Meta::pixel_bytes`] in total.
    ///
    /// # Errors
    /// [`Stop::Source`] where an image cannot be decoded, [`Stop::Receiver`] where `receive` fails.
    fn stream(&self, receive: &mut Receiver) -> Result<(), Stop>;
}

/// Decodes all pixels of `source` into memory. `path` is for the error.
///
/// # Errors
/// [`Error::File`] where an image cannot be decoded or the pixels do not fit into memory.
pub fn into_memory(source: &dyn ImageSource, path: &Path) -> Result<Vec<u8>> {
    let bytes = source.meta().pixel_bytes();
    let mut pixels = Vec::new();
    pixels.try_reserve_exact(bytes).map_err(|_| {
        let problem = format!("its {bytes} bytes of pixels do not fit into memory");
        Error::file(path, problem, "let the cache folder have room for them or use smaller images")
    })?;
    let outcome = source.stream(&mut |piece| {
        pixels.extend_from_slice(piece);
        Ok(())
    });
    match outcome {
        Ok(()) => Ok(pixels),
        Err(Stop::Source(error)) => Err(error),
        Err(Stop::Receiver(error)) => Err(Error::file(path, error, "try again")),
    }
}

/// Number of images of each of `classes` classes.
pub fn count_labels(labels: &[u32], classes: usize) -> Vec<usize> {
    let mut counts = vec![0; classes];
    for &label in labels {
        counts[label as usize] += 1;
    }
    counts
}

/// The number of classes, which is the largest label plus one; every class must have an image.
///
/// # Errors
/// [`Error::Data`] naming `what` where there is only one class or a class has no image.
pub(crate) fn class_count(what: &str, labels: &[u32], names: Option<&[String]>) -> Result<usize> {
    let largest = labels.iter().max().map_or(0, |&label| label as usize);
    let classes = (largest + 1).max(names.map_or(0, <[String]>::len));
    let counts = count_labels(labels, classes);
    if let Some(empty) = counts.iter().position(|&count| count == 0) {
        let name = names.and_then(|names| names.get(empty)).map_or(String::new(), |name| format!(" ({name})"));
        let problem = format!("class {empty}{name} has no images; the counts are {counts:?}");
        return Err(Error::data(what, problem, "number the classes 0, 1, 2, ... without gaps"));
    }
    if classes < 2 {
        return Err(Error::data(what, "all images have the same class", "give it images of at least two classes"));
    }
    Ok(classes)
}

/// Says what is wrong with a list of class names, if anything.
pub(crate) fn check_names(names: &[String]) -> Result<(), String> {
    for (index, name) in names.iter().enumerate() {
        if name.trim().is_empty() {
            return Err(format!("an empty name for class {index}"));
        }
        // tables have names of classes as columns, and their rows are lines
        if name.contains(char::is_control) {
            return Err(format!("control characters in the name of class {index}"));
        }
        if let Some(first) = names[..index].iter().position(|other| other == name) {
            return Err(format!("the name {name:?} for both class {first} and class {index}"));
        }
    }
    Ok(())
}

/// Checks that `count` images of `height x width` pixels can be addressed at all.
pub(crate) fn check_size(path: &Path, count: usize, height: usize, width: usize) -> Result<()> {
    if count == 0 {
        return Err(Error::file(path, "holds no images", "give a data set with at least one image per class"));
    }
    if count > MOST_IMAGES {
        let problem = format!("claims to hold {count} images, more than {MOST_IMAGES}");
        return Err(Error::file(path, problem, "check that it is not damaged, or split it"));
    }
    if height == 0 || width == 0 || height > LONGEST_SIDE || width > LONGEST_SIDE {
        let problem = format!("its images are {height} x {width} pixels");
        return Err(Error::file(path, problem, format!("each side must be 1 to {LONGEST_SIDE} pixels long")));
    }
    if count.checked_mul(height * width * 3).is_none_or(|bytes| bytes > isize::MAX as usize) {
        return Err(Error::file(path, "claims to be larger than any memory", "check that it is not damaged"));
    }
    Ok(())
}
