//! Tables that say the class of each picture: a CSV file (or Parquet, VOTable, FITS) beside a folder of pictures, and Parquet
//! files with the pictures in them.
//!
//! Columns are found by name (`rows.rs`): `path` and `label`, and perhaps `split`, `ra` and `dec`. Paths are relative to
//! the table's folder, or to a folder in that; a name without an ending stands for the picture of that name.

mod packed;
mod rows;

use std::path::{Path, PathBuf};

pub(super) use self::packed::shards_of;
use self::rows::Rows;
use super::folder::{self, Labelled, Listing};
use super::source::Loaded;
use super::tables::{self, Kind};
use super::{LoadOptions, fits};
use crate::{Error, Result};

/// Endings of the pictures that a name without an ending may stand for.
const ENDINGS: [&str; 5] = ["", ".png", ".jpg", ".jpeg", ".fits"];

/// The form of a table of pictures, by its name, and of a FITS file by its content; none for another file.
pub(super) fn kind_of(path: &Path) -> Option<Kind> {
    match Kind::of(path) {
        None | Some(Kind::Fits) => (fits::is_named(path) && tables::holds_table(path)).then_some(Kind::Fits),
        other => other,
    }
}

/// Loads the pictures of a table through the cache; see [`super::Dataset::load`].
///
/// # Errors
/// [`Error::File`] naming the column, row or picture at fault; as [`folder::load`].
pub(super) fn load(path: &Path, kind: Kind, options: &LoadOptions) -> Result<Loaded> {
    if kind == Kind::Parquet && packed::holds_pictures(path) {
        return packed::load(path, &[path.to_owned()], options);
    }
    let rows = rows::read(&[path.to_owned()], kind, true, |_| None)?;
    let (listing, base) = list(path, rows)?;
    let mut loaded = folder::read(path, &listing, options)?;
    loaded.notes.extend(base);
    Ok(loaded)
}

/// Loads the pictures of all Parquet files in a folder ([`shards_of`]).
///
/// # Errors
/// As [`load`].
pub(super) fn load_shards(folder: &Path, shards: &[PathBuf], options: &LoadOptions) -> Result<Loaded> {
    packed::load(folder, shards, options)
}

/// Finds the pictures of the rows; also what the user should know of it.
fn list(table: &Path, rows: Rows) -> Result<(Listing, Option<String>)> {
    let name = table.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let beside = table.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let base = rows.paths.first().map_or_else(|| beside.to_owned(), |(first, _)| base(beside, first));
    let (mut pictures, mut missing) = (Vec::new(), Vec::new());
    for (index, (path, place)) in rows.paths.iter().enumerate() {
        match picture(&base, path) {
            Some(file) => {
                let (label, set, sky) = (rows.labels[index], rows.sets[index], rows.sky[index]);
                pictures.push(Labelled { file, label, set, sky });
            }
            None => missing.push(format!("{path} ({place})")),
        }
    }
    if let Some(first) = missing.first() {
        let (count, all) = (missing.len(), rows.paths.len());
        let problem = format!("{count} of its {all} pictures are not in {}, the first {first}", base.display());
        return Err(Error::file(table, problem, "give paths from the table's folder, or from a folder in it"));
    }
    let [path, label, set] = rows.columns.map(Option::unwrap_or_default);
    let has_sets = rows.sets.iter().any(|set| *set != super::Set::Neither);
    let sets = if has_sets { format!("column {set} of {name}") } else { String::new() };
    let note = (path != "path" || label != "label" || base != beside).then(|| {
        format!(
            "Pictures are those that {name} names in the column {path}, in {}; classes are of {label}.",
            base.display()
        )
    });
    let class_count = rows.class_count;
    Ok((Listing { pictures, class_names: rows.class_names, class_count, sets }, note))
}

/// The folder that paths are relative to: that of the table, or else the first of the folders in it with this picture.
fn base(beside: &Path, first: &str) -> PathBuf {
    if picture(beside, first).is_some() {
        return beside.to_owned();
    }
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(beside).into_iter().flatten().flatten().map(|e| e.path()).collect();
    folders.sort();
    folders.into_iter().find(|folder| picture(folder, first).is_some()).unwrap_or_else(|| beside.to_owned())
}

/// The picture of this name in a folder.
fn picture(folder: &Path, name: &str) -> Option<PathBuf> {
    ENDINGS.iter().map(|ending| folder.join(format!("{name}{ending}"))).find(|file| file.is_file())
}
