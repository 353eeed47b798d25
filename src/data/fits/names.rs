//! Names of FITS files, and of the three that are one picture.

use std::path::{Path, PathBuf};

use super::BANDS;

/// Endings of FITS files; the longest match counts.
const ENDINGS: &[&str] = &[
    ".fits.gz",
    ".fits.bz2",
    ".fits.fz",
    ".fit.gz",
    ".fit.bz2",
    ".fit.fz",
    ".fts.gz",
    ".fts.bz2",
    ".fits",
    ".fit",
    ".fts",
    ".fz",
];

/// A file's name before its ending, and the ending as it is written.
fn split(name: &str) -> Option<(&str, &str)> {
    let ends = |ending: &&&str| {
        let at = name.len().checked_sub(ending.len());
        at.is_some_and(|at| name.get(at..).is_some_and(|found| found.eq_ignore_ascii_case(ending)))
    };
    let ending = ENDINGS.iter().find(ends)?;
    Some(name.split_at(name.len() - ending.len()))
}

/// Whether a file has the name of a FITS file: `.fits`, `.fit` or `.fts`, also packed (`.gz`, `.bz2`) or tile-compressed (`.fz`).
pub fn is_named(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| split(name).is_some())
}

/// The files `NAME-g`, `NAME-r` and `NAME-z` (or with `_`) that `path` is one of, in this order, where all three are there;
/// and the place of `path` among them.
pub fn bands_of(path: &Path) -> Option<([PathBuf; 3], usize)> {
    let name = path.file_name()?.to_str()?;
    let (stem, ending) = split(name)?;
    let place = band_of(stem)?;
    let stem = &stem[..stem.len() - 1];
    let files = BANDS.map(|band| path.with_file_name(format!("{stem}{band}{ending}")));
    files.iter().all(|file| file.is_file()).then_some((files, place))
}

/// The place of the band that a name ends with.
fn band_of(stem: &str) -> Option<usize> {
    BANDS.iter().position(|band| stem.ends_with(&format!("-{band}")) || stem.ends_with(&format!("_{band}")))
}

/// Whether the name of `path` is that of one of three files, be the others there or not.
pub fn is_of_band(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.and_then(split).is_some_and(|(stem, _)| band_of(stem).is_some())
}

/// The files of the picture that `path` stands for: three where it is one of [`bands_of`], else itself.
pub fn files_of(path: &Path) -> Vec<PathBuf> {
    bands_of(path).map_or_else(|| vec![path.to_owned()], |(files, _)| files.to_vec())
}

/// Whether `path` belongs to the picture that its g file stands for.
pub fn is_later(path: &Path) -> bool {
    bands_of(path).is_some_and(|(_, place)| place > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fits_files_are_known_by_their_endings() {
        for name in ["a.fits", "a.FITS", "a.fits.gz", "a.fits.fz", "a.fit", "a.fts.bz2", "a.fts", "b-g.fz"] {
            assert!(is_named(Path::new(name)), "{name}");
        }
        for name in ["fits", "a.png", "a.gz", "a.fits.png", "é", "a.csv.gz"] {
            assert!(!is_named(Path::new(name)), "{name}");
        }
    }

    #[test]
    fn three_files_are_one_picture_only_together() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let make = |name: &str| std::fs::write(path(name), "").unwrap();
        ["a-g.fits", "a-r.fits", "b_g.fits.gz", "b_r.fits.gz", "b_z.fits.gz", "g.fits"].into_iter().for_each(make);
        assert_eq!(files_of(&path("a-g.fits")), [path("a-g.fits")], "z is missing");
        make("a-z.fits");
        assert_eq!(files_of(&path("a-r.fits")), ["a-g.fits", "a-r.fits", "a-z.fits"].map(path));
        assert_eq!(
            ["a-g.fits", "a-r.fits", "a-z.fits", "g.fits"].map(|name| is_later(&path(name))),
            [false, true, true, false]
        );
        assert_eq!(bands_of(&path("b_z.fits.gz")).unwrap().1, 2);
    }
}
