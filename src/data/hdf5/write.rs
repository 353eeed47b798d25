//! Writes data sets as HDF5 files in Galaxy10's layout. Nothing here reads a user's file.

use std::path::Path;

use h5::types::VarLenUnicode;

use super::h5;
use crate::data::{Dataset, GALAXY10_CLASSES};
use crate::files::Unfinished;
use crate::{Error, Result};

/// Size of a written chunk, in bytes: libhdf5's own cache holds one.
const CHUNK_BYTES: usize = 1 << 20;
/// Gzip level of images: higher ones take much time and save little.
const GZIP_LEVEL: u8 = 4;

/// Writes `dataset` to `path` in the layout of [`crate::data::hdf5`]: images in gzip-compressed chunks, `ans` as u8, `ra` and `dec` where
/// known, and the class names where they are not Galaxy10's. The file appears complete or not at all; one that was
/// there is replaced.
///
/// # Errors
/// [`Error::Data`] where the data set is inconsistent, [`Error::File`] where the file cannot be written.
pub fn write_hdf5(path: &Path, dataset: &Dataset) -> Result<()> {
    h5::silence_errors(true);
    let labels = check_writable(dataset)?;
    write_file(path, |temporary| fill(temporary, dataset, &labels))
}

/// Lets `fill` write a file under another name in the same folder, then gives it its name.
pub(super) fn write_file(path: &Path, fill: impl FnOnce(&Path) -> Result<(), h5::Error>) -> Result<()> {
    let failed = |error: &dyn std::fmt::Display| {
        Error::file(path, format!("cannot be written ({error})"), "check that its folder exists and has room")
    };
    let file = Unfinished::new(path).map_err(|error| failed(&error))?;
    fill(file.temporary()).map_err(|error| failed(&error))?;
    file.finish().map_err(|error| failed(&error))
}

/// The labels as bytes, once the parts of `dataset` fit each other.
fn check_writable(dataset: &Dataset) -> Result<Vec<u8>> {
    let wrong = |problem: String| Error::data(&dataset.name, problem, "build the data set again");
    if dataset.is_empty() || dataset.pixels.len() != dataset.len() * dataset.image_bytes() {
        return Err(wrong(format!("{} bytes of pixels do not make {} images", dataset.pixels.len(), dataset.len())));
    }
    if let Some(sky) = dataset.sky.as_ref().filter(|sky| sky.len() != dataset.len()) {
        return Err(wrong(format!("{} positions do not fit {} images", sky.len(), dataset.len())));
    }
    let outside = |label: u32| wrong(format!("label {label} is not one of {} classes", dataset.classes.len()));
    let byte = |&label: &u32| match u8::try_from(label) {
        Ok(byte) if usize::from(byte) < dataset.classes.len() => Ok(byte),
        _ => Err(outside(label)),
    };
    dataset.labels.iter().map(byte).collect()
}

/// Writes all members of a new file at `path`.
fn fill(path: &Path, dataset: &Dataset, labels: &[u8]) -> Result<(), h5::Error> {
    let file = h5::File::create(path)?;
    let (count, height, width) = (dataset.len(), dataset.height, dataset.width);
    // One colour per chunk: planes compress better than interleaved colours.
    let rows = (CHUNK_BYTES / (height * width)).clamp(1, count);
    let images = file
        .new_dataset::<u8>()
        .chunk((rows, height, width, 1))
        .deflate(GZIP_LEVEL)
        .shape((count, height, width, 3))
        .create("images")?;
    images.write_raw(&dataset.pixels[..])?;
    let answers = file.new_dataset_builder().with_data(labels).create("ans")?;
    if let Some(sky) = &dataset.sky {
        let ra: Vec<f64> = sky.iter().map(|position| position.ra).collect();
        let dec: Vec<f64> = sky.iter().map(|position| position.dec).collect();
        file.new_dataset_builder().with_data(&ra).create("ra")?;
        file.new_dataset_builder().with_data(&dec).create("dec")?;
    }
    if dataset.classes != GALAXY10_CLASSES {
        let names: Result<Vec<VarLenUnicode>, _> = dataset.classes.iter().map(|name| name.parse()).collect();
        let names = names.map_err(|_| h5::Error::from("a class name holds a zero byte"))?;
        answers.new_attr_builder().with_data(&names).create("class_names")?;
    }
    file.close()
}
