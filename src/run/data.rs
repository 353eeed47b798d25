//! The data of a recipe: loaded or simulated, and split.

use super::{Note, Recipe};
use crate::data::fits::{BANDS, HduChoice, Stretch};
use crate::data::hdf5::Reader;
use crate::data::{Dataset, FitsOptions, LoadOptions, Split, conflicts, simulate};
use crate::error::{Error, Result};
use std::path::Path;

/// The simulated galaxies that stand in where there is no data.
pub const SIMULATED: simulate::Settings = simulate::Settings { images: 2000, size: 64, seed: 1 };

/// Fraction of each class that is drawn for the test set, as in the notebook.
pub const TEST_FRACTION: f64 = 0.2;

/// How FITS images become pictures, from the texts of `--fits-hdu`, `--fits-bands` and `--fits-stretch`.
///
/// # Errors
/// [`Error::Setting`] for one that means nothing.
pub fn fits_options([hdu, bands, stretch]: [Option<&str>; 3]) -> Result<FitsOptions> {
    let hdu = hdu.map(|text| match text.parse() {
        Ok(number) => HduChoice::Number(number),
        Err(_) => HduChoice::Name(text.to_owned()),
    });
    let stretch = stretch.map_or_else(|| Ok(Stretch::default()), Stretch::parse)?;
    Ok(FitsOptions { hdu, bands: bands.map(letters).transpose()?, stretch })
}

/// Bands as `g,r,z` or `grz`, or the one letter of images of one band.
fn letters(text: &str) -> Result<Vec<char>> {
    let bands: Vec<char> = text.chars().filter(|letter| *letter != ',' && !letter.is_whitespace()).collect();
    let once = BANDS.iter().all(|band| bands.iter().filter(|letter| letter.eq_ignore_ascii_case(band)).count() == 1);
    match once || (bands.len() == 1 && bands[0].is_ascii_alphabetic()) {
        true => Ok(bands),
        false => Err(Error::setting(
            "--fits-bands",
            format!("\"{text}\""),
            "letters with g, r and z once each, or one letter",
        )),
    }
}

/// Loads a data set from a file or folder.
///
/// # Errors
/// As [`Dataset::load`].
pub fn load_dataset(
    path: &Path,
    size: Option<usize>,
    class_names: Option<Vec<String>>,
    fits: FitsOptions,
    note: Note,
) -> Result<Dataset> {
    let options = LoadOptions { size, class_names, cache_dir: None, reader: Reader::own_child(), fits };
    let dataset = Dataset::load(path, &options)?;
    dataset.notes.iter().for_each(|text| note(text.clone()));
    Ok(dataset)
}

impl Recipe {
    /// How FITS images become pictures.
    ///
    /// # Errors
    /// As [`fits_options`].
    pub fn fits(&self) -> Result<FitsOptions> {
        fits_options([&self.fits_hdu, &self.fits_bands, &self.fits_stretch].map(|text| text.as_deref()))
    }

    /// Loads the data set, or draws simulated galaxies.
    ///
    /// # Errors
    /// As [`Dataset::load`] and [`simulate::simulate`]; names of classes without data.
    pub fn dataset(&self, note: Note) -> Result<Dataset> {
        match &self.data {
            Some(path) => load_dataset(path, self.size, self.class_names.clone(), self.fits()?, note),
            None if self.class_names.is_some() => {
                let allowed = "left out, as simulated galaxies have names";
                Err(Error::setting("--class-names", "given without --data", allowed))
            }
            None => {
                let size = self.size.unwrap_or(SIMULATED.size);
                simulate::simulate(&simulate::Settings { images: self.images, size, ..SIMULATED })
            }
        }
    }

    /// The recipe's split, or that of the data, or one that is drawn from a seed: in each class 80 % to train with and 20 % to
    /// test.
    ///
    /// # Errors
    /// As [`Split::from_csv`] and [`Split::of`].
    pub fn split(&self, dataset: &Dataset, seed: u64, note: Note) -> Result<Split> {
        let split = match &self.split {
            Some(path) => Split::from_csv(path, dataset)?,
            None => Split::of(dataset, TEST_FRACTION, seed)?,
        };
        if self.split.is_some() || dataset.given.is_some() {
            [split.note(dataset), split.note_on_copies(dataset)].into_iter().flatten().for_each(note);
        }
        Ok(split)
    }

    /// The data set and its split, with the validation set aside.
    ///
    /// # Errors
    /// As [`Recipe::dataset`], [`Recipe::split`] and [`Split::set_aside`].
    pub fn split_dataset(&self, note: Note) -> Result<(Dataset, Split)> {
        let dataset = self.dataset(note)?;
        let split = self.split(&dataset, self.seed, note)?.set_aside(&dataset, self.validation, self.seed)?;
        Ok((dataset, split))
    }

    /// Says how many galaxies have more than one label, as no training can be right about those.
    pub(super) fn note_conflicts(&self, dataset: &Dataset, note: Note) {
        let found = conflicts(dataset);
        if let (false, Some(data)) = (found.is_empty(), &self.data) {
            let images: usize = found.iter().map(|conflict| conflict.images.len()).sum();
            note(format!(
                "{} galaxies have different labels, in {images} images; `galaxy-gpu data inspect {}` lists them",
                found.len(),
                data.display()
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_fits_options() {
        let options = fits_options([Some("2"), Some("g,R,i,z"), Some("Q=10")]).unwrap();
        assert_eq!(options.hdu, Some(HduChoice::Number(2)));
        assert_eq!((options.bands.unwrap().len(), options.stretch.q), (4, 10.0));
        assert_eq!(fits_options([None; 3]).unwrap(), FitsOptions::default());
        for wrong in ["g,r", "gri", "g,r,z,z", ""] {
            assert!(letters(wrong).unwrap_err().to_string().contains("--fits-bands"), "{wrong}");
        }
    }
}
