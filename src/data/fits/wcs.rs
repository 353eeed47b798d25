//! Where on the sky an image lies: positions of pixels, the size of a pixel, and the way to north.
//!
//! After Greisen and Calabretta (A&A 395, 1061 and 1077, 2002); fitskit does the spherical part. Images that it would get wrong
//! (distortions, other poles, other systems than J2000) have no known place.

use std::panic::{AssertUnwindSafe, catch_unwind};

use fitskit::{Header, HeaderValue, Wcs as Projection};

use crate::data::Sky;

/// What a picture covers of the sky.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Footprint {
    /// The picture's centre.
    pub centre: Sky,
    /// Side of a pixel of the file, arcseconds: the square root of its area.
    pub pixel_arcsec: f64,
    /// Height of the picture, arcseconds.
    pub height_arcsec: f64,
    /// Width of the picture, arcseconds.
    pub width_arcsec: f64,
    /// Where north is, in degrees from the picture's top, counted towards its left.
    pub north: f64,
    /// Whether east is to the right where north is up.
    pub mirrored: bool,
}

/// The coordinates of an image.
#[derive(Clone, Debug)]
pub(super) struct Wcs {
    projection: Projection,
    reference: [f64; 4],
    /// Degrees on the plane of projection per pixel: `CD1_1 CD1_2 CD2_1 CD2_2`.
    matrix: [f64; 4],
}

impl Wcs {
    /// The coordinates in a header.
    ///
    /// # Errors
    /// Why it has none that can be used.
    pub fn of(header: &Header) -> Result<Self, String> {
        let text = |name| header.get_string(name).map(str::trim).unwrap_or_default();
        let number = |name: &str| header.get_float(name).filter(|number| number.is_finite());
        let (first, second) = (text("CTYPE1"), text("CTYPE2"));
        if !first.starts_with("RA--") || !second.starts_with("DEC-") {
            return Err("it has no right ascension and declination (CTYPE1, CTYPE2)".into());
        }
        // ICRS and FK5 of 2000 agree within a tenth of a pixel
        let equinox = number("EQUINOX").or(number("EPOCH")).unwrap_or(2000.0);
        if text("RADESYS").starts_with("FK4") || equinox != 2000.0 {
            return Err("its positions are not of the year 2000 (RADESYS, EQUINOX)".into());
        }
        let turned = is_turned(header, first) || header.get_int("PV1_0").is_some();
        if turned || ["PV2_1", "PV2_2", "PV1_1", "PV1_2", "A_ORDER"].iter().any(|name| header.find(name).is_some()) {
            return Err("it has a distortion or a turned pole, which is not supported".into());
        }
        let needed = |name: &str| number(name).ok_or_else(|| format!("{name} is missing"));
        let reference = [needed("CRVAL1")?, needed("CRVAL2")?, needed("CRPIX1")?, needed("CRPIX2")?];
        if reference[0].abs() > 360.0 || reference[1].abs() > 90.0 {
            return Err(format!("its point of reference is {}, {}", reference[0], reference[1]));
        }
        // The standard turns such an image by 180 degrees, fitskit does not.
        if reference[1] >= 90.0 && (!is_zenithal(first) || number("LONPOLE").is_none()) {
            return Err("its point of reference is the pole".into());
        }
        let matrix = matrix(header)?;
        let scale = (matrix[0] * matrix[3] - matrix[1] * matrix[2]).abs().sqrt();
        // from a thousandth of an arcsecond to ten degrees
        if !(1e-7..10.0).contains(&scale) {
            return Err(format!("its pixels are {scale} degrees wide"));
        }
        let mut cards = Header::new();
        for name in ["CTYPE1", "CTYPE2", "CUNIT1", "CUNIT2"] {
            if let Some(text) = header.get_string(name) {
                cards.set(name, HeaderValue::String(text.to_owned()), None);
            }
        }
        let names = ["CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2", "CD1_1", "CD1_2", "CD2_1", "CD2_2"];
        for (name, value) in names.into_iter().zip(reference.into_iter().chain(matrix)) {
            cards.set(name, HeaderValue::Float(value), None);
        }
        let projection = cards.wcs().map_err(|error| error.to_string())?;
        Ok(Self { projection, reference, matrix })
    }

    /// Side of a pixel, arcseconds.
    pub fn pixel_arcsec(&self) -> f64 {
        let [a, b, c, d] = self.matrix;
        (a * d - b * c).abs().sqrt() * 3600.0
    }

    /// The position of a pixel; the centre of the first is (1, 1).
    pub fn sky(&self, x: f64, y: f64) -> Option<Sky> {
        let (ra, dec) = careful(|| self.projection.pixel_to_world(x, y))?;
        Some(Sky { ra, dec }).filter(|sky| sky.is_known())
    }

    /// The pixel at a position, which must be on the image's side of the sky.
    pub fn pixel(&self, at: Sky) -> Option<(f64, f64)> {
        let [ra, dec, x, y] = self.reference;
        // fitskit's debug checks refuse the point of reference itself.
        if at.separation_arcsec(Sky { ra, dec }) < 1e-6 {
            return Some((x, y));
        }
        let found = careful(|| self.projection.world_to_pixel(at.ra, at.dec))?;
        Some(found).filter(|(x, y)| x.is_finite() && y.is_finite())
    }

    /// The place of a picture of so many rows and columns whose centre is this pixel.
    pub fn place(&self, centre: (f64, f64), height: usize, width: usize) -> Option<Footprint> {
        let [a, b, c, d] = self.matrix;
        let side = self.pixel_arcsec();
        let middle = self.sky(centre.0, centre.1)?;
        // a step to the north, in pixels: the matrix's inverse on (0, 1); rows of the picture run up
        let determinant = a * d - b * c;
        let (x, y) = (-b / determinant, a / determinant);
        Some(Footprint {
            centre: middle,
            pixel_arcsec: side,
            height_arcsec: side * height as f64,
            width_arcsec: side * width as f64,
            north: (-x).atan2(y).to_degrees() + 0.0,
            mirrored: determinant > 0.0,
        })
    }
}

/// Whether a projection's point of reference is its pole (Calabretta and Greisen, section 5.1), and not on its equator.
fn is_zenithal(kind: &str) -> bool {
    ["TAN", "SIN", "ARC", "STG", "ZEA", "AZP", "SZP", "AIR", "NCP", "FEYE"].iter().any(|code| kind.ends_with(code))
}

/// Whether the header has another pole than fitskit assumes: 180 degrees, or 0 where the point of
/// reference lies on the equator of the projection and in the north (section 2.2).
fn is_turned(header: &Header, kind: &str) -> bool {
    let north = header.get_float("CRVAL2").is_some_and(|dec| dec >= 0.0);
    let assumed = if !is_zenithal(kind) && north { 0.0 } else { 180.0 };
    header.get_float("LONPOLE").is_some_and(|pole| pole != assumed)
}

/// The result of a projection. In debug builds fitskit panics where coordinates make no sense.
fn careful<T>(project: impl FnOnce() -> Option<T>) -> Option<T> {
    catch_unwind(AssertUnwindSafe(project)).ok().flatten()
}

/// The matrix from `CDi_j`, or `CDELTi` with `PCi_j` or with the older `CROTA2`.
fn matrix(header: &Header) -> Result<[f64; 4], String> {
    let number = |name: &str| header.get_float(name).filter(|number| number.is_finite());
    let of = |kind: &str| ["1_1", "1_2", "2_1", "2_2"].map(|place| number(&format!("{kind}{place}")));
    let cd = of("CD");
    if cd.iter().any(Option::is_some) {
        return Ok(cd.map(|value| value.unwrap_or(0.0)));
    }
    let (Some(first), Some(second)) = (number("CDELT1"), number("CDELT2")) else {
        return Err("it has neither CD nor CDELT".into());
    };
    let pc = of("PC");
    let turn = number("CROTA2").filter(|_| pc.iter().all(Option::is_none)).unwrap_or(0.0).to_radians();
    if turn != 0.0 {
        let (sin, cos) = turn.sin_cos();
        return Ok([first * cos, -second * sin, first * sin, second * cos]);
    }
    let or = |place: usize, default: f64| pc[place].unwrap_or(default);
    Ok([first * or(0, 1.0), first * or(1, 0.0), second * or(2, 0.0), second * or(3, 1.0)])
}
