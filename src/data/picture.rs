//! One picture file to RGB bytes of a given size.
//!
//! Pictures come from strangers, so sizes and memory are bounded before anything is decoded. This file knows nothing
//! of data sets.

use std::path::Path;

use image::imageops::FilterType;
use image::{DynamicImage, ImageDecoder, ImageReader, Limits};

use super::source::LONGEST_SIDE;
use crate::{Error, Result};

/// Most memory that decoding one picture may take, in bytes.
const MOST_MEMORY: u64 = 512 << 20;

/// Opens a picture by its content, whatever its name ends with.
fn open(path: &Path) -> Result<ImageReader<std::io::BufReader<std::fs::File>>> {
    let failed = |error| Error::file(path, format!("cannot be read ({error})"), "check that it is a readable file");
    let mut reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format).map_err(failed)?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(LONGEST_SIDE as u32);
    limits.max_image_height = Some(LONGEST_SIDE as u32);
    limits.max_alloc = Some(MOST_MEMORY);
    reader.limits(limits);
    Ok(reader)
}

fn undecodable(path: &Path, error: &image::ImageError) -> Error {
    let remedy = match error {
        image::ImageError::Limits(_) => format!("make it smaller than {LONGEST_SIDE} pixels a side and 512 MiB"),
        image::ImageError::Unsupported(_) => "convert it to PNG or JPEG".to_owned(),
        _ => "replace or remove it".to_owned(),
    };
    Error::file(path, format!("is not a picture that can be decoded ({error})"), remedy)
}

/// Height and width of the picture at `path`, in pixels, from its header alone.
///
/// # Errors
/// [`Error::File`] where it is no PNG or JPEG or larger than 16384 pixels a side.
pub fn picture_size(path: &Path) -> Result<(usize, usize)> {
    let decoder = open(path)?.into_decoder().map_err(|error| undecodable(path, &error))?;
    let (width, height) = decoder.dimensions();
    Ok((height as usize, width as usize))
}

/// Reads the PNG or JPEG at `path` as RGB, 8 bits a channel, `height x width x 3`, rows from the top. Grey becomes
/// three equal channels, transparency is dropped, 16 bits are rounded to 8. A picture of another size is resized to
/// fill it (Catmull-Rom, which averages when it shrinks), without regard to its aspect.
///
/// # Errors
/// [`Error::File`] where it cannot be read or decoded, or is larger than 16384 pixels a side or 512 MiB.
pub fn read_picture(path: &Path, height: usize, width: usize) -> Result<Vec<u8>> {
    let picture: DynamicImage = open(path)?.decode().map_err(|error| undecodable(path, &error))?;
    let picture = picture.into_rgb8();
    let (Ok(rows), Ok(columns)) = (u32::try_from(height), u32::try_from(width)) else {
        return Err(Error::setting("size", format!("{height} x {width}"), format!("1 to {LONGEST_SIDE}")));
    };
    if picture.dimensions() == (columns, rows) {
        return Ok(picture.into_raw());
    }
    Ok(image::imageops::resize(&picture, columns, rows, FilterType::CatmullRom).into_raw())
}
