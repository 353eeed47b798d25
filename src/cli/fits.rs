//! A picture that a command names, and in words where on the sky it is.

use super::flags::FitsFlags;
use crate::data::fits::{Footprint, GALAXY10_ARCSEC};
use crate::data::picture::{picture_facts, read_picture_with, resize};
use crate::data::{self, Crop, Sky};
use crate::error::{Error, Result};
use clap::Args;
use std::path::PathBuf;

/// One picture to look at or to classify.
#[derive(Args, Clone, Debug)]
pub struct PictureArgs {
    /// PNG, JPEG or FITS image of any size; or three FITS files for the bands g, r and z
    #[arg(required = true, num_args = 1..=3, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// Cut out what lies around this position, in degrees, and leave the rest of the image
    #[arg(long, value_name = "RA,DEC", allow_hyphen_values = true, value_parser = position, help_heading = "FITS images")]
    at: Option<Sky>,
    /// Side of what is cut out, in arcseconds, to the nearest pixel; 67.072 where absent, as in Galaxy10 DECaLS
    #[arg(long, value_name = "A", requires = "at", value_parser = arcseconds, help_heading = "FITS images")]
    crop_arcsec: Option<f64>,
    #[command(flatten)]
    fits: FitsFlags,
}

/// A picture as a network sees it.
pub struct Seen {
    /// `height x width x 3` bytes.
    pub pixels: Vec<u8>,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Of a FITS image: where it lies, or why that is not known.
    pub place: Option<std::result::Result<Footprint, String>>,
}

impl PictureArgs {
    /// The files, as they were named.
    pub fn names(&self) -> String {
        self.images.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
    }

    /// Reads the picture, at this size, or at its own.
    ///
    /// # Errors
    /// As [`read_picture_with`] and [`data::fits::read`]; two files; a position for what is no FITS image.
    pub fn read(&self, size: Option<(usize, usize)>) -> Result<Seen> {
        let options = self.fits.options()?;
        let files = match &self.images[..] {
            [one] if data::fits::is_fits(one) => data::fits::files_of(one),
            [one] if self.at.is_some() => {
                return Err(Error::file(one, "is no FITS image, so nothing can be cut out", "leave --at out"));
            }
            [one] => {
                let (height, width) = match size {
                    Some(size) => size,
                    None => picture_facts(one, &options).map(|(height, width, _)| (height, width))?,
                };
                return Ok(Seen {
                    pixels: read_picture_with(one, height, width, &options)?,
                    height,
                    width,
                    place: None,
                });
            }
            three if three.len() == 3 => in_order(three),
            other => return Err(Error::setting("IMAGE", format!("{} files", other.len()), "one, or g, r and z")),
        };
        let crop = self.at.map(|at| Crop { at, arcsec: self.crop_arcsec.unwrap_or(GALAXY10_ARCSEC.1) });
        let found = data::fits::read(&files, crop.as_ref(), &options)?;
        let own = (found.height, found.width);
        let (height, width) = size.unwrap_or(own);
        let pixels = resize(&found.pixels, own, (height, width))?;
        Ok(Seen { pixels, height, width, place: Some(found.place) })
    }
}

/// Three files as g, r and z where their names say which is which; else as they are given.
fn in_order(three: &[PathBuf]) -> Vec<PathBuf> {
    let real = |file: &PathBuf| file.canonicalize().ok();
    let given: Vec<_> = three.iter().map(real).collect();
    match data::fits::bands_of(&three[0]) {
        Some((files, _)) if files.iter().all(|file| given.contains(&real(file))) => files.to_vec(),
        _ => three.to_vec(),
    }
}

/// Right ascension and declination, `RA,DEC` in degrees.
pub fn position(text: &str) -> std::result::Result<Sky, String> {
    let number = |text: &str| text.trim().parse::<f64>().ok();
    let found = text.split_once(',').and_then(|(ra, dec)| Some(Sky { ra: number(ra)?, dec: number(dec)? }));
    let found = found.filter(|sky| sky.ra.abs() <= 360.0 && sky.dec.abs() <= 90.0);
    found.ok_or_else(|| "give RA,DEC in decimal degrees, such as 150.1,2.2".into())
}

/// A side in arcseconds.
pub fn arcseconds(text: &str) -> std::result::Result<f64, String> {
    let found = text.parse::<f64>().ok().filter(|side| *side > 0.0 && *side <= 360_000.0);
    found.ok_or_else(|| "give arcseconds, above 0 and at most 360000".into())
}

/// A place as a line of text, or why there is none.
pub fn in_words(place: &std::result::Result<Footprint, String>) -> String {
    let place = match place {
        Ok(place) => place,
        Err(reason) => return format!("place on the sky not known: {reason}"),
    };
    let Footprint { centre, pixel_arcsec, height_arcsec, width_arcsec, north, mirrored } = place;
    let east = if *mirrored { "right" } else { "left" };
    let up = match north.round() {
        0.0 => format!("north up, east {east}"),
        turned => {
            let side = if turned > 0.0 { "left" } else { "right" };
            format!("north {:.0} degrees from up towards the {side}, east to its {east}", turned.abs())
        }
    };
    let (ra, dec) = (centre.ra, centre.dec);
    format!(
        "centre {ra:.5}, {dec:+.5}; {pixel_arcsec:.3} arcsec per pixel, {height_arcsec:.1} x {width_arcsec:.1} arcsec; {up}"
    )
}

/// A place as an object.
pub fn in_json(place: &Footprint) -> serde_json::Value {
    serde_json::json!({
        "ra": place.centre.ra,
        "dec": place.centre.dec,
        "arcsec_per_pixel": place.pixel_arcsec,
        "height_arcsec": place.height_arcsec,
        "width_arcsec": place.width_arcsec,
        "north_degrees": place.north,
        "mirrored": place.mirrored,
    })
}

/// What the user should know of a picture whose scale is not that of Galaxy10 DECaLS: pixels wider or narrower by more than a
/// tenth, or a field larger or smaller by more than a quarter.
pub fn warnings(place: &Footprint) -> Vec<String> {
    let (pixel, field) = GALAXY10_ARCSEC;
    let far = |ratio: f64, most: f64| ratio > most || ratio < 1.0 / most;
    let mut warnings = Vec::new();
    let found = place.pixel_arcsec;
    if far(found / pixel, 1.1) {
        warnings.push(format!(
            "its pixels are {found:.3} arcseconds wide, those of Galaxy10 DECaLS {pixel}: stars and galaxies are blurred otherwise"
        ));
    }
    let found = place.height_arcsec.max(place.width_arcsec);
    if far(found / field, 1.25) {
        let times = field / found;
        let remedy = if times < 1.0 {
            format!("; --at RA,DEC --crop-arcsec {field:.0} cuts such a field out")
        } else {
            String::new()
        };
        warnings.push(format!(
            "it shows {found:.1} arcseconds, a picture of Galaxy10 DECaLS {field:.1}: galaxies appear {times:.2} times as large as there{remedy}"
        ));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_and_sides_are_numbers() {
        assert_eq!(position("150.1, -2"), Ok(Sky { ra: 150.1, dec: -2.0 }));
        for wrong in ["150.1", "1,91", "a,b", "NaN,0", ""] {
            assert!(position(wrong).is_err(), "{wrong}");
        }
        assert!(arcseconds("67").is_ok() && arcseconds("0").is_err() && arcseconds("NaN").is_err());
    }

    #[test]
    fn another_scale_is_told() {
        let centre = Sky { ra: 10.0, dec: -0.5 };
        let galaxy10 = Footprint {
            centre,
            pixel_arcsec: 0.262,
            height_arcsec: 67.072,
            width_arcsec: 67.072,
            north: -0.0,
            mirrored: false,
        };
        assert!(warnings(&galaxy10).is_empty());
        let words = "centre 10.00000, -0.50000; 0.262 arcsec per pixel, 67.1 x 67.1 arcsec; north up, east left";
        assert_eq!(in_words(&Ok(galaxy10)), words);
        let sdss = Footprint {
            pixel_arcsec: 0.396,
            height_arcsec: 101.0,
            width_arcsec: 101.0,
            north: 90.0,
            mirrored: true,
            centre,
        };
        let found = warnings(&sdss);
        assert!(found[0].contains("0.396") && found[1].contains("0.66 times"), "{found:?}");
        assert!(in_words(&Ok(sdss)).ends_with("north 90 degrees from up towards the left, east to its right"));
        let turned = Footprint { north: -20.2, ..sdss };
        assert!(in_words(&Ok(turned)).ends_with("north 20 degrees from up towards the right, east to its right"));
    }
}
