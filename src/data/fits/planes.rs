//! The bands g, r and z of a picture, from one cube, three parts of a file or three files, as f32 planes with their place on the
//! sky. An image of one band is grey: the plane stands for all three.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use super::header::{self, Bytes, Coding, Image};
use super::wcs::Wcs;
use super::{BANDS, FitsOptions, HduChoice, image, is_of_band, tiles};
use crate::{Error, Result};

/// Fluxes in g, r and z: `height x width` each, rows from the bottom.
pub(super) struct Planes {
    pub height: usize,
    pub width: usize,
    pub fluxes: [Vec<f32>; 3],
    /// Whether the three are one plane.
    pub is_grey: bool,
    /// Their coordinates, or why they are not known.
    pub wcs: Result<Wcs, String>,
}

/// Planes that have not been read.
pub(super) struct Unread {
    pub height: usize,
    pub width: usize,
    pub wcs: Result<Wcs, String>,
    /// Each file with its image and the planes that are wanted.
    parts: Vec<(PathBuf, Bytes, Image, Vec<u64>)>,
}

/// Opens the files of a picture, one or three, and checks that they are one.
///
/// # Errors
/// [`Error::File`] where one cannot be read or is beyond the limits, lacks a band, or does not fit the others.
pub(super) fn open(files: &[PathBuf], options: &FitsOptions) -> Result<Unread> {
    let mut parts = Vec::new();
    for file in files {
        let (bytes, image) = header::find(file, options)?;
        if files.len() > 1 {
            let wanted = vec![only(file, &image)?];
            parts.push((file.clone(), bytes, image, wanted));
        } else if image.planes > 1 {
            let wanted = places(file, &image, options)?.to_vec();
            parts.push((file.clone(), bytes, image, wanted));
        } else {
            match bands_in_parts(file, options)? {
                None => parts.push((file.clone(), bytes, image, vec![0])),
                Some(numbers) => {
                    for number in numbers {
                        let choice = FitsOptions { hdu: Some(HduChoice::Number(number)), ..options.clone() };
                        let (bytes, image) = header::find(file, &choice)?;
                        let wanted = vec![only(file, &image)?];
                        parts.push((file.clone(), bytes, image, wanted));
                    }
                }
            }
        }
    }
    let Some((_, _, first, _)) = parts.first() else {
        return Err(Error::data("picture", "no file is named", "name one FITS cube, or three files for g, r and z"));
    };
    let (height, width, wcs) = (first.height, first.width, Wcs::of(&first.header));
    for (file, _, image, _) in &parts[1..] {
        let remedy = "give three files of one grid";
        if (image.height, image.width) != (height, width) {
            let problem = format!("is {} x {} pixels, the g band {height} x {width}", image.height, image.width);
            return Err(Error::file(file, problem, remedy));
        }
        let centre = |wcs: &Wcs| wcs.sky(width as f64 / 2.0, height as f64 / 2.0);
        if let (Ok(ours), Ok(theirs)) = (&wcs, Wcs::of(&image.header))
            && let (Some(here), Some(there)) = (centre(ours), centre(&theirs))
            && here.separation_arcsec(there) > ours.pixel_arcsec() / 2.0
        {
            let away = here.separation_arcsec(there);
            return Err(Error::file(file, format!("lies {away:.2} arcseconds from the g band"), remedy));
        }
    }
    Ok(Unread { height, width, wcs, parts })
}

impl Unread {
    /// Bytes of the planes.
    pub fn bytes(&self) -> u64 {
        (self.height * self.width * 12) as u64
    }

    /// Reads the planes.
    ///
    /// # Errors
    /// [`Error::File`] where the pixels cannot be read.
    pub fn read(self) -> Result<Planes> {
        let mut fluxes = Vec::new();
        for (file, mut bytes, image, wanted) in self.parts {
            let read = || match image.coding {
                Coding::Plain => image::read(&mut bytes, &image, &wanted).map_err(|error| error.to_string()),
                Coding::Tiles => tiles::read(&mut bytes, &image, &wanted),
            };
            // A decoder that panics means that the file is damaged.
            let found = catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err("its decoder broke down".into()));
            let damaged = |problem| Error::file(&file, format!("is damaged ({problem})"), "fetch it again");
            fluxes.extend(found.map_err(damaged)?);
        }
        let is_grey = fluxes.len() == 1;
        if is_grey {
            fluxes = vec![fluxes.swap_remove(0); 3];
        }
        let fluxes = fluxes.try_into().unwrap_or_default();
        Ok(Planes { height: self.height, width: self.width, fluxes, is_grey, wcs: self.wcs })
    }
}

/// The numbers of g, r and z in a cube, from the options, else from its card `BANDS`, else from the number of planes.
fn places(file: &Path, image: &Image, options: &FitsOptions) -> Result<[u64; 3]> {
    let count = image.planes;
    let said = image.header.get_string("BANDS").map(|bands| bands.trim().chars().collect::<Vec<char>>());
    let of_cube = |bands: &Vec<char>| bands.len() as u64 == count;
    let bands = match (&options.bands, said.filter(of_cube), count) {
        (Some(bands), ..) if of_cube(bands) => bands.clone(),
        (Some(bands), ..) => {
            let problem = format!("has {count} planes, but --fits-bands names {}", bands.len());
            return Err(Error::file(file, problem, "name the band of each plane"));
        }
        (None, Some(bands), _) => bands,
        (None, None, 3) => "grz".chars().collect(),
        (None, None, 4) => "griz".chars().collect(),
        (None, None, _) => {
            let problem = format!("has {count} {}", if count == 1 { "plane" } else { "planes" });
            let remedy =
                "give a cube of g, r and z (--fits-bands names other planes) or three files NAME-g, NAME-r, NAME-z";
            return Err(Error::file(file, problem, remedy));
        }
    };
    let mut found = [0; 3];
    for (place, band) in found.iter_mut().zip(BANDS) {
        let Some(number) = bands.iter().position(|name| name.eq_ignore_ascii_case(&band)) else {
            let bands: String = bands.iter().collect();
            let problem = format!("has the bands {bands}, and {band} is not among them");
            return Err(Error::file(file, problem, "give g, r and z; --fits-bands says which planes to take for them"));
        };
        *place = number as u64;
    }
    Ok(found)
}

/// The parts of a file of single planes that are g, r and z: as the parts say it, or as the options count them. None where there
/// is one image, which is grey.
///
/// # Errors
/// [`Error::File`] where nothing says which of several images is which band, or where the only one is that of one band among the
/// files of a picture.
fn bands_in_parts(file: &Path, options: &FitsOptions) -> Result<Option<[usize; 3]>> {
    let parts = if options.hdu.is_some() { Vec::new() } else { header::parts(file)? };
    let named: Vec<Option<char>> = match &options.bands {
        Some(bands) if bands.len() == parts.len().max(1) => {
            bands.iter().map(|band| Some(band.to_ascii_lowercase())).collect()
        }
        Some(bands) => {
            let problem =
                format!("has {} images of one plane, but --fits-bands names {}", parts.len().max(1), bands.len());
            return Err(Error::file(file, problem, "name the band of each, or one letter for an image of one band"));
        }
        None => parts.iter().map(|part| part.band).collect(),
    };
    if parts.len() < 2 {
        let is_of_set = options.bands.is_none() && is_of_band(file);
        let remedy =
            "fetch the other two of NAME-g, NAME-r and NAME-z, or take it for grey with --fits-bands and its letter";
        return if is_of_set {
            Err(Error::file(file, "has 1 plane, of one band by its name", remedy))
        } else {
            Ok(None)
        };
    }
    let number = |band: char| {
        let mut found = parts.iter().zip(&named).filter(|(_, name)| **name == Some(band));
        found.next().filter(|_| found.next().is_none()).map(|(part, _)| part.number)
    };
    match BANDS.map(number) {
        [Some(g), Some(r), Some(z)] => Ok(Some([g, r, z])),
        _ => {
            let numbers: Vec<String> = parts.iter().map(|part| part.number.to_string()).collect();
            let problem = format!(
                "has images in its parts {}, of which not one each says that it is g, r or z",
                numbers.join(", ")
            );
            let remedy =
                "name the bands in order with --fits-bands (other letters are left out), or one part with --fits-hdu";
            Err(Error::file(file, problem, remedy))
        }
    }
}

/// The one plane of a file or part for one band.
fn only(file: &Path, image: &Image) -> Result<u64> {
    if image.planes == 1 {
        return Ok(0);
    }
    Err(Error::file(file, format!("has {} planes", image.planes), "give one plane for each band"))
}
