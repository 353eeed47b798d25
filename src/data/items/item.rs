//! One thing to classify: what identifies it, where its pixels are, and how they are read.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::data::fits::Footprint;
use crate::data::{Crop, Dataset, FitsOptions, Sky, fits, picture};
use crate::{Error, Result};

/// What identifies an item.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ItemInfo {
    /// Its name in the catalogue; empty where there is none.
    pub id: String,
    /// Its file: as found, or as the catalogue writes it.
    pub path: String,
    /// Its number in an HDF5 file, or a Parquet file with pictures in it, from 0.
    pub index: Option<u64>,
    /// Right ascension, degrees.
    pub ra: Option<f64>,
    /// Declination, degrees.
    pub dec: Option<f64>,
}

impl ItemInfo {
    /// Whether this is the same item as `other`. A position that is not known before the item is read matches any.
    pub fn stands_for(&self, other: &Self) -> bool {
        let same = |ours: Option<f64>, theirs| ours.is_none() || ours == theirs;
        let named = (&self.id, &self.path, self.index) == (&other.id, &other.path, other.index);
        named && same(self.ra, other.ra) && same(self.dec, other.dec)
    }
}

/// How FITS images among the items are read.
#[derive(Clone, Debug, Default)]
pub struct FitsReading {
    /// How they become pictures.
    pub options: FitsOptions,
    /// Side of the square that is cut out around an item's position, arcseconds; the whole image where absent.
    pub crop_arcsec: Option<f64>,
}

/// An item's picture.
pub struct ItemPicture {
    /// `height x width x 3` bytes.
    pub pixels: Vec<u8>,
    /// Its centre, where the file says so.
    pub sky: Option<Sky>,
}

/// Where an item's pixels are.
#[derive(Clone)]
pub enum Origin {
    /// In a PNG, JPEG or FITS file; one of three FITS files that are one picture stands for all.
    Picture(PathBuf),
    /// In three FITS files, for the bands g, r and z.
    Bands([PathBuf; 3]),
    /// In a data set, as image of this number.
    Image(Arc<Dataset>, usize),
    /// In memory, as a PNG or JPEG file.
    Packed(Arc<[u8]>),
    /// It has none, for this reason.
    Nowhere(String),
}

/// Something to classify.
#[derive(Clone)]
pub struct Item {
    /// What identifies it.
    pub about: ItemInfo,
    /// Its pixels.
    pub origin: Origin,
    reading: Arc<FitsReading>,
}

impl Item {
    /// An item. One whose name has control characters gets no pixels, since rows are lines.
    pub(super) fn new(mut about: ItemInfo, origin: Origin) -> Self {
        let hostile = |text: &str| text.contains(char::is_control);
        if !hostile(&about.id) && !hostile(&about.path) {
            return Self { about, origin, reading: Arc::default() };
        }
        for text in [&mut about.id, &mut about.path] {
            *text = text.replace(char::is_control, "\u{fffd}");
        }
        let reason = "its id or path holds control characters, which no row can carry; rename it";
        Self { about, origin: Origin::Nowhere(reason.into()), reading: Arc::default() }
    }

    pub(super) fn picture(path: PathBuf) -> Self {
        let about = ItemInfo { path: path.display().to_string(), ..ItemInfo::default() };
        Self::new(about, Origin::Picture(path))
    }

    pub(super) fn failed(path: &Path, reason: impl ToString) -> Self {
        let about = ItemInfo { path: path.display().to_string(), ..ItemInfo::default() };
        Self::new(about, Origin::Nowhere(reason.to_string()))
    }

    /// Sets how the item is read if it is a FITS image.
    pub(super) fn read_as(self, reading: &Arc<FitsReading>) -> Self {
        Self { reading: reading.clone(), ..self }
    }

    /// Its picture, resized to `height x width x 3` as [`picture::read_picture_with`] does it, or one sentence that says why there
    /// is none.
    pub fn read(&self, height: usize, width: usize) -> Result<ItemPicture, String> {
        let size = (height, width);
        let read = || match &self.origin {
            Origin::Nowhere(reason) => Err(reason.clone()),
            Origin::Image(dataset, index) => {
                let found = (dataset.height, dataset.width);
                let pixels = picture::resize(dataset.image(*index), found, size);
                pixels.map(|pixels| ItemPicture { pixels, sky: None }).map_err(|error| error.to_string())
            }
            Origin::Packed(bytes) => self.packed_picture(bytes, size).map_err(|error| error.to_string()),
            Origin::Picture(path) => self.picture_of(path, size).map_err(|error| error.to_string()),
            Origin::Bands(files) => self.planes_of(files, size).map_err(|error| error.to_string()),
        };
        // A decoder's mistake costs one item, not the job.
        let broken = |_| Err(format!("{}: its decoder broke down; convert it to PNG or JPEG anew", self.about.path));
        catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(broken)
    }

    fn picture_of(&self, path: &Path, (height, width): (usize, usize)) -> Result<ItemPicture> {
        // a pipe would be waited for without end
        if path.metadata().is_ok_and(|about| !about.is_file()) {
            return Err(Error::file(path, "is no file", "name a PNG, JPEG or FITS picture"));
        }
        if fits::is_fits(path) {
            return self.planes_of(&fits::files_of(path), (height, width));
        }
        self.check_uncropped(path)?;
        Ok(ItemPicture { pixels: picture::read_picture(path, height, width)?, sky: None })
    }

    fn packed_picture(&self, bytes: &[u8], (height, width): (usize, usize)) -> Result<ItemPicture> {
        let place = PathBuf::from(format!("{}, image {}", self.about.path, self.about.index.unwrap_or(0)));
        self.check_uncropped(&place)?;
        Ok(ItemPicture { pixels: picture::read_packed(&place, bytes, height, width)?, sky: None })
    }

    /// Refuses to cut a piece out of a picture that is no FITS image.
    fn check_uncropped(&self, path: &Path) -> Result<()> {
        match self.reading.crop_arcsec {
            None => Ok(()),
            Some(_) => Err(Error::file(path, "is no FITS image, so nothing can be cut out", "leave --crop-arcsec out")),
        }
    }

    /// Refuses a whole image as the picture of an object far from its centre.
    fn check_place(&self, file: &Path, place: &Footprint) -> Result<()> {
        let (Some(ra), Some(dec)) = (self.about.ra, self.about.dec) else { return Ok(()) };
        let away = place.centre.separation_arcsec(Sky { ra, dec });
        if away <= place.height_arcsec.max(place.width_arcsec) / 2.0 {
            return Ok(());
        }
        let problem = format!("has its centre {away:.0} arcseconds from the position {ra:.6}, {dec:.6}");
        Err(Error::file(
            file,
            problem,
            "cut the piece around it out with --crop-arcsec, or mend the position or the path",
        ))
    }

    fn planes_of(&self, files: &[PathBuf], size: (usize, usize)) -> Result<ItemPicture> {
        if let Some(file) = files.iter().find(|file| file.metadata().is_ok_and(|about| !about.is_file())) {
            return Err(Error::file(file, "is no file", "name a FITS image"));
        }
        let crop = match (self.reading.crop_arcsec, self.about.ra, self.about.dec) {
            (None, ..) => None,
            (Some(arcsec), Some(ra), Some(dec)) => Some(Crop { at: Sky { ra, dec }, arcsec }),
            (Some(_), ..) => {
                let remedy = "give its ra and dec in a catalogue, or leave --crop-arcsec out";
                return Err(Error::file(&files[0], "has no position to cut out", remedy));
            }
        };
        let found = fits::read(files, crop.as_ref(), &self.reading.options)?;
        if let (None, Ok(place)) = (&crop, &found.place) {
            self.check_place(&files[0], place)?;
        }
        let sky = found.place.ok().map(|place| place.centre);
        Ok(ItemPicture { pixels: picture::fit(found.pixels, (found.height, found.width), size)?, sky })
    }
}
