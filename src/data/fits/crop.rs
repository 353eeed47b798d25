//! Cuts a square around a position out of a larger image. Images stay in memory, as many squares may come from one.
//!
//! **Memory**: the planes of the images used last, at most 1 GiB, and one image that is read (12 bytes a pixel).

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::planes::{self, Planes};
use super::{Crop, FitsOptions, Stretch};
use crate::data::cache::Stamp;
use crate::{Error, Result};

/// Most bytes of planes that are kept.
const MOST_BYTES: u64 = 1 << 30;

/// The files and options that an image in memory was read with.
#[derive(PartialEq)]
struct CacheKey {
    files: Vec<PathBuf>,
    stamps: Vec<(u64, u64)>,
    options: FitsOptions,
}

/// Images in memory, the one used last at the end.
static KEPT: Mutex<Vec<(CacheKey, Arc<Planes>)>> = Mutex::new(Vec::new());

fn bytes(planes: &Planes) -> u64 {
    (planes.height * planes.width * 12) as u64
}

/// The planes of these files, from memory or from the files. One thread reads while the others wait: most of them want the
/// same image, and there is memory for one.
pub(super) fn planes(files: &[PathBuf], options: &FitsOptions) -> Result<Arc<Planes>> {
    let stamp = |file: &PathBuf| Stamp::of(file).map(|stamp| (stamp.size, stamp.changed));
    let stamps = files.iter().map(stamp).collect::<Result<_>>()?;
    let source = CacheKey { files: files.to_vec(), stamps, options: options.clone() };
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(place) = kept.iter().position(|(other, _)| *other == source) {
        let found = kept.remove(place);
        let planes = found.1.clone();
        kept.push(found);
        return Ok(planes);
    }
    let unread = planes::open(files, options)?;
    let mut total = unread.bytes() + kept.iter().map(|(_, planes)| bytes(planes)).sum::<u64>();
    while total > MOST_BYTES && !kept.is_empty() {
        total -= bytes(&kept.remove(0).1);
    }
    let planes = Arc::new(unread.read()?);
    kept.push((source, planes.clone()));
    Ok(planes)
}

/// A cutout of an image in whole pixels; parts of it may lie outside.
pub(super) struct Cutout {
    /// Its first column and row, counted from 0 at the lower left.
    pub left: i64,
    pub bottom: i64,
    pub height: usize,
    pub width: usize,
}

impl Cutout {
    /// All of an image.
    pub fn whole(height: usize, width: usize) -> Self {
        Self { left: 0, bottom: 0, height, width }
    }

    /// The cutout of a crop. Its centre is at most half a pixel from the position, its side the wanted one rounded to pixels.
    ///
    /// # Errors
    /// [`Error::File`] where the image has no known place, the position is not on it, or the crop is not of 1 to 8192 pixels.
    pub fn of(crop: &Crop, planes: &Planes, file: &std::path::Path) -> Result<Self> {
        let place = format!("{:.6}, {:.6}", crop.at.ra, crop.at.dec);
        let wcs = planes.wcs.as_ref().map_err(|reason| {
            let problem =
                format!("does not say where on the sky it lies ({reason}), so nothing can be cut out at {place}");
            Error::file(file, problem, "give an image with coordinates, or leave the crop out")
        })?;
        let (x, y) =
            wcs.pixel(crop.at).filter(|(x, y)| on(*x, planes.width) && on(*y, planes.height)).ok_or_else(|| {
                Error::file(file, format!("does not show the position {place}"), "name the image that shows it")
            })?;
        let side = (crop.arcsec / wcs.pixel_arcsec()).round();
        if !(1.0..=8192.0).contains(&side) {
            let problem = format!("{} arcseconds are {side} of its pixels", crop.arcsec);
            return Err(Error::file(file, problem, "choose a --crop-arcsec of 1 to 8192 pixels"));
        }
        // pixel n (from 0) covers n + 0.5 to n + 1.5 of the file's coordinates
        let first = |centre: f64| (centre - 0.5 - side / 2.0).round() as i64;
        Ok(Self { left: first(x), bottom: first(y), height: side as usize, width: side as usize })
    }
}

/// Whether a coordinate of the file is on an axis of so many pixels.
fn on(coordinate: f64, pixels: usize) -> bool {
    (0.5..=pixels as f64 + 0.5).contains(&coordinate)
}

/// The picture of a cutout, rows from the top; none where no pixel has a value in every band.
pub(super) fn cut(planes: &Planes, cutout: &Cutout, stretch: &Stretch) -> Option<Vec<u8>> {
    // equal factors, so that one plane is grey: those of r, the middle one
    let stretch = &if planes.is_grey { Stretch { scales: [stretch.scales[1]; 3], ..*stretch } } else { *stretch };
    let mut pixels = Vec::with_capacity(cutout.height * cutout.width * 3);
    let mut seen = false;
    let within = |place: i64, end: usize| usize::try_from(place).ok().filter(|place| *place < end);
    for row in (0..cutout.height as i64).rev() {
        let row = within(cutout.bottom + row, planes.height);
        for column in 0..cutout.width as i64 {
            let column = within(cutout.left + column, planes.width);
            let place = row.zip(column).map(|(row, column)| row * planes.width + column);
            let fluxes = place.map(|place| std::array::from_fn(|band| planes.fluxes[band][place]));
            let fluxes = fluxes.unwrap_or([f32::NAN; 3]);
            seen |= fluxes.iter().all(|flux| flux.is_finite());
            pixels.extend(stretch.rgb(fluxes));
        }
    }
    seen.then_some(pixels)
}
