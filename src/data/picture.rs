//! One picture file to RGB bytes of a given size: PNG, JPEG, or FITS (see [`super::fits`]).
//!
//! Pictures come from strangers, so sizes and memory are bounded before anything is decoded: a picture has at most 2^26 pixels
//! (8192 x 8192), and its file and its decoded form at most 512 MiB. Pictures above 32 MiB are decoded one at a time, whatever
//! the number of threads. **Memory**: 2 GiB for that one (file, coefficients of the decoder, two forms of the pixels), 256 MiB a
//! thread for all others. FITS images have the same bound and take turns as well. This file knows nothing of data sets.

use std::io::{BufRead, Cursor, Seek};
use std::path::Path;

use image::imageops::FilterType;
use image::{DynamicImage, ImageDecoder, ImageReader, Limits, RgbImage};

use super::fits::{self, FitsOptions, Footprint};
use super::limits::{LARGEST_FILE, MOST_PIXELS, turn};
use super::source::LONGEST_SIDE;
use crate::files::open_file;
use crate::{Error, Result};

/// Most memory that decoding one picture may take, in bytes.
const MOST_MEMORY: u64 = 512 << 20;

/// Opens a picture by its content, whatever the name of the file.
fn open(path: &Path) -> Result<impl ImageDecoder> {
    let failed = |error| Error::file(path, format!("cannot be read ({error})"), "check that it is a readable file");
    let length = open_file(path)?.metadata().map_err(failed)?.len();
    if length > LARGEST_FILE {
        return Err(Error::file(path, format!("is {length} bytes long"), "make it smaller than 512 MiB"));
    }
    decoder_of(path, ImageReader::open(path).map_err(failed)?)
}

/// The decoder of a picture, by its content; `path` is for messages.
fn decoder_of<'a, R: BufRead + Seek + 'a>(path: &Path, reader: ImageReader<R>) -> Result<impl ImageDecoder + 'a> {
    let failed = |error| Error::file(path, format!("cannot be read ({error})"), "check that it is a readable file");
    let mut reader = reader.with_guessed_format().map_err(failed)?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(LONGEST_SIDE as u32);
    limits.max_image_height = Some(LONGEST_SIDE as u32);
    limits.max_alloc = Some(MOST_MEMORY);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(|error| undecodable(path, &error))?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(Error::file(path, format!("is a picture of {width} x {height} pixels"), "replace or remove it"));
    }
    if u64::from(width) * u64::from(height) > MOST_PIXELS || decoder.total_bytes() > MOST_MEMORY {
        let problem = format!("is a picture of {width} x {height} pixels");
        return Err(Error::file(path, problem, format!("make it smaller than {MOST_PIXELS} pixels and 512 MiB")));
    }
    Ok(decoder)
}

fn undecodable(path: &Path, error: &image::ImageError) -> Error {
    let remedy = match error {
        image::ImageError::Limits(_) => format!("make it smaller than {LONGEST_SIDE} pixels a side and 512 MiB"),
        image::ImageError::Unsupported(_) => "convert it to PNG or JPEG".to_owned(),
        _ => "replace or remove it".to_owned(),
    };
    Error::file(path, format!("is not a picture that can be decoded ({error})"), remedy)
}

/// Height and width of the picture at `path`, in pixels, and its place on the sky where it says so, from its header alone.
///
/// # Errors
/// [`Error::File`] where it is no PNG, JPEG or FITS image, has no pixels, or more than 16384 a side or 2^26 in all.
pub fn picture_facts(path: &Path, options: &FitsOptions) -> Result<(usize, usize, Option<Footprint>)> {
    if fits::is_fits(path) {
        let (height, width, place) = fits::facts(&fits::files_of(path), options)?;
        return Ok((height, width, place.ok()));
    }
    let (width, height) = open(path)?.dimensions();
    Ok((height as usize, width as usize, None))
}

/// [`read_picture_with`] of the default options.
///
/// # Errors
/// As [`read_picture_with`].
pub fn read_picture(path: &Path, height: usize, width: usize) -> Result<Vec<u8>> {
    read_picture_with(path, height, width, &FitsOptions::default())
}

/// Reads the PNG, JPEG or FITS image at `path` as RGB, 8 bits a channel, `height x width x 3`, rows from the top. Grey becomes
/// three equal channels, transparency is dropped, 16 bits are rounded to 8; FITS images are stretched with `options`, and one
/// of three files that are one picture ([`fits::bands_of`]) stands for all. A picture of another size is resized to
/// fill it (Catmull-Rom, which averages when it shrinks), which may change its aspect ratio.
///
/// # Errors
/// [`Error::File`] where it cannot be read or decoded, has no pixels, or more than 16384 a side, 2^26 in all or 512 MiB.
pub fn read_picture_with(path: &Path, height: usize, width: usize, options: &FitsOptions) -> Result<Vec<u8>> {
    if fits::is_fits(path) {
        let picture = fits::read(&fits::files_of(path), None, options)?;
        return fit(picture.pixels, (picture.height, picture.width), (height, width));
    }
    decode(path, open(path)?, (height, width))
}

/// Height and width of a picture in memory, from its header; `place` is for messages.
///
/// # Errors
/// As [`picture_facts`].
pub(super) fn packed_size(place: &Path, bytes: &[u8]) -> Result<(usize, usize)> {
    let (width, height) = decoder_of(place, ImageReader::new(Cursor::new(bytes)))?.dimensions();
    Ok((height as usize, width as usize))
}

/// [`read_picture`] of a PNG or JPEG file in memory; `place` is for messages.
///
/// # Errors
/// As [`read_picture`].
pub(super) fn read_packed(place: &Path, bytes: &[u8], height: usize, width: usize) -> Result<Vec<u8>> {
    decode(place, decoder_of(place, ImageReader::new(Cursor::new(bytes)))?, (height, width))
}

fn decode(path: &Path, decoder: impl ImageDecoder, size: (usize, usize)) -> Result<Vec<u8>> {
    let _turn = turn(decoder.total_bytes());
    let picture = DynamicImage::from_decoder(decoder).map_err(|error| undecodable(path, &error))?;
    let picture = picture.into_rgb8();
    let found = (picture.height() as usize, picture.width() as usize);
    fit(picture.into_raw(), found, size)
}

/// An RGB image of `found` rows and columns, resized to `wanted` ones as [`read_picture`] does it.
///
/// # Errors
/// [`Error::Setting`] for sizes that are not those of the pixels, or beyond any picture.
pub fn resize(pixels: &[u8], found: (usize, usize), wanted: (usize, usize)) -> Result<Vec<u8>> {
    fit(pixels.to_vec(), found, wanted)
}

/// [`resize`] that takes the pixels.
pub(crate) fn fit(pixels: Vec<u8>, found: (usize, usize), wanted: (usize, usize)) -> Result<Vec<u8>> {
    if found == wanted {
        return Ok(pixels);
    }
    let refuse = || Error::setting("size", format!("{} x {}", wanted.0, wanted.1), format!("1 to {LONGEST_SIDE}"));
    let side = |pixels: usize| u32::try_from(pixels).ok().filter(|&side| side as usize <= LONGEST_SIDE);
    let [Some(height), Some(width), Some(rows), Some(columns)] = [found.0, found.1, wanted.0, wanted.1].map(side)
    else {
        return Err(refuse());
    };
    let picture = RgbImage::from_raw(width, height, pixels).ok_or_else(refuse)?;
    Ok(image::imageops::resize(&picture, columns, rows, FilterType::CatmullRom).into_raw())
}
