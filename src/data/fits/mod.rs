//! FITS images of the bands g, r and z as the RGB pictures that the Legacy Survey's viewer would show of them.
//!
//! One cube, three parts or three files of a plane each, of any BITPIX, packed by gzip or bzip2, or tile-compressed. The stretch is applied to the image's own pixels
//! and the RGB picture is resized, as in the pictures that networks were trained on; rows are turned over, so that north
//! is up where FITS has it up. Limits are those of [`super::picture`]: a plane has at most 2^26 pixels.
//! This room knows nothing of data sets.

mod crop;
mod header;
mod image;
mod names;
mod planes;
mod stretch;
mod tiles;
mod wcs;

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::crop::Cutout;
pub(super) use self::header::{Bytes, data_length, is_image};
pub use self::names::{bands_of, files_of, is_later, is_named, is_of_band};
pub use self::stretch::Stretch;
pub use self::wcs::Footprint;
use self::wcs::Wcs;
use super::{Sky, limits};
use crate::files::open_file;
use crate::{Error, Result};

/// The bands of a picture, from blue to red.
pub const BANDS: [char; 3] = ['g', 'r', 'z'];

/// Pixels of Galaxy10 DECaLS: their side, and that of a picture, in arcseconds.
pub const GALAXY10_ARCSEC: (f64, f64) = (0.262, 256.0 * 0.262);

/// Which part of a file holds the image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HduChoice {
    /// By its number; 0 is the first.
    Number(usize),
    /// By its `EXTNAME`.
    Name(String),
}

impl fmt::Display for HduChoice {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

/// How FITS images become pictures; the default is that of the Legacy Survey's cut-outs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FitsOptions {
    /// Which part of a file; the first image where absent.
    pub hdu: Option<HduChoice>,
    /// Bands of a cube's planes or of a file's images, in order; one letter for images of one band. If absent, those of its card `BANDS`, else grz or griz by their number.
    pub bands: Option<Vec<char>>,
    /// The stretch.
    pub stretch: Stretch,
}

/// A piece of an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crop {
    /// Its centre.
    pub at: Sky,
    /// Its side, arcseconds.
    pub arcsec: f64,
}

/// An RGB picture at the image's own pixels.
pub struct Picture {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// `height x width x 3` bytes, rows from the top.
    pub pixels: Vec<u8>,
    /// Where it lies, or why that is not known.
    pub place: Result<Footprint, String>,
}

/// Whether a file is a FITS file, by its first bytes, or by its name where they do not tell.
pub fn is_fits(path: &Path) -> bool {
    let mut head = Vec::new();
    // The name decides about a file that cannot be read.
    let _ = open_file(path).map(|file| file.take(9).read_to_end(&mut head));
    let other = head.starts_with(b"\x89PNG") || head.starts_with(b"\xff\xd8\xff");
    head == b"SIMPLE  =" || head.starts_with(b"\x1f\x8b") || head.starts_with(b"BZh") || (is_named(path) && !other)
}

/// Rows and columns of the picture of these files, and where it lies, from their headers alone.
///
/// # Errors
/// As [`read`], except for pixels.
pub fn facts(files: &[PathBuf], options: &FitsOptions) -> Result<(usize, usize, Result<Footprint, String>)> {
    let unread = planes::open(files, options)?;
    let (height, width) = (unread.height, unread.width);
    Ok((height, width, place_of(&unread.wcs, &Cutout::whole(height, width))))
}

/// Reads the picture of these files (one cube, or g, r and z), or a crop of it. Pixels outside of the image are black, as are
/// pixels without a value in every band.
///
/// # Errors
/// [`Error::File`] where a file cannot be read or decoded, is beyond the limits, lacks a band, or has nothing at the crop's
/// position.
pub fn read(files: &[PathBuf], crop: Option<&Crop>, options: &FitsOptions) -> Result<Picture> {
    let (planes, cutout, _turn);
    match crop {
        None => {
            let unread = planes::open(files, options)?;
            _turn = limits::turn(unread.bytes());
            planes = Arc::new(unread.read()?);
            cutout = Cutout::whole(planes.height, planes.width);
        }
        Some(crop) => {
            planes = crop::planes(files, options)?;
            cutout = Cutout::of(crop, &planes, &files[0])?;
        }
    }
    let pixels = crop::cut(&planes, &cutout, &options.stretch).ok_or_else(|| {
        Error::file(&files[0], "has no pixel with a value in every band", "name another image or place")
    })?;
    Ok(Picture { height: cutout.height, width: cutout.width, pixels, place: place_of(&planes.wcs, &cutout) })
}

/// Where a cutout of an image lies.
fn place_of(wcs: &Result<Wcs, String>, cutout: &Cutout) -> Result<Footprint, String> {
    let middle = |first: i64, count: usize| first as f64 + (count as f64 + 1.0) / 2.0;
    let centre = (middle(cutout.left, cutout.width), middle(cutout.bottom, cutout.height));
    let place = wcs.as_ref().map_err(Clone::clone)?.place(centre, cutout.height, cutout.width);
    place.ok_or_else(|| "its centre is not on the sky".into())
}
