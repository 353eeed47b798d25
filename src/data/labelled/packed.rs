//! Parquet files with the pictures in them: a column `image` of structures whose `bytes` are a PNG or JPEG file, as Hugging
//! Face's `datasets` writes them, and a column of labels. The description in such a file names the classes.
//!
//! **Memory**: labels, sets and positions; pictures of [`BATCH_BYTES`] and one more, and what [`super::tables`] states.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::rows::{self, Rows};
use crate::data::cache::{self, Stamp};
use crate::data::source::{self, ImageSource, Loaded, Meta, Receiver, Stop};
use crate::data::tables::{Cell, Kind, PICTURES, TableReader, Wanted, class_names, column_of};
use crate::data::{GivenSets, LoadOptions, Set, folder, picture};
use crate::{Error, Result};

/// Bytes of pictures that are decoded at the same time, and their number.
const BATCH_BYTES: usize = 64 << 20;
const BATCH: usize = 256;

/// Whether a Parquet file has pictures in it.
pub(super) fn holds_pictures(path: &Path) -> bool {
    column_of(path, Kind::Parquet, &PICTURES).is_ok()
}

/// The Parquet files with pictures in a folder, or in its folder `data`, sorted by name; empty where there are none.
pub(in crate::data) fn shards_of(folder: &Path) -> Vec<PathBuf> {
    let in_folder = |folder: &Path| -> Vec<PathBuf> {
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut files: Vec<PathBuf> =
            files.filter(|file| file.is_file() && Kind::of(file) == Some(Kind::Parquet)).collect();
        files.sort();
        files
    };
    let found = [folder.to_owned(), folder.join("data")].map(|folder| in_folder(&folder));
    found.into_iter().find(|files| files.first().is_some_and(|file| holds_pictures(file))).unwrap_or_default()
}

/// Loads the pictures of these files through the cache.
///
/// # Errors
/// [`Error::File`] naming the row at fault, [`Error::Setting`] for a size that no picture has.
pub(super) fn load(path: &Path, files: &[PathBuf], options: &LoadOptions) -> Result<Loaded> {
    folder::check_side(options.size)?;
    let (rows, given) = read(files)?;
    let variant = format!("size {:?}", options.size);
    let key = fingerprint(path, files, &variant)?;
    let open = || -> Result<Box<dyn ImageSource>> { Ok(Box::new(open(path, files, &rows, options)?)) };
    let loaded = cache::load_with_key(path, options.cache_dir.as_deref(), key, &variant, &open)?;
    Ok(Loaded { given, ..loaded })
}

/// The rows of all files, and the split that a column or the names of the files say.
fn read(files: &[PathBuf]) -> Result<(Rows, Option<GivenSets>)> {
    let Some(first) = files.first() else { return Ok((Rows::default(), None)) };
    let mut rows = rows::read(files, Kind::Parquet, false, |label| class_names(first, label))?;
    let mut source = format!("column {} of the table", rows.columns[2].unwrap_or_default());
    if files.len() > 1 && rows.columns[2].is_none() {
        let named = files.iter().zip(&rows.counts).flat_map(|(file, &count)| vec![set_of(file); count]);
        rows.sets = named.collect();
        source = "names of the Parquet files".into();
    }
    let has = |set| rows.sets.contains(&set);
    let is_split = has(Set::Train) && (has(Set::Test) || has(Set::Validation));
    let given = is_split.then(|| GivenSets { sets: rows.sets.clone(), source });
    Ok((rows, given))
}

/// The set that the name of a file begins with: `train-00000-of-00002.parquet`.
fn set_of(file: &Path) -> Set {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    stem.split(['-', '_', '.']).next().and_then(Set::named).unwrap_or_default()
}

/// A hash that stands for the content of the files, made of their names, sizes and times of change.
fn fingerprint(path: &Path, files: &[PathBuf], variant: &str) -> Result<String> {
    let mut text = format!("{:?} {variant}", std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()));
    for file in files {
        let stamp = Stamp::of(file)?;
        text += &format!(" {:?} {} {}", file.file_name(), stamp.size, stamp.changed);
    }
    Ok(blake3::hash(text.as_bytes()).to_hex().to_string())
}

/// Files whose pictures have not been decoded.
struct Packed {
    files: Vec<PathBuf>,
    meta: Meta,
}

/// A picture as it is stored, and where, for messages.
type Stored = (PathBuf, Vec<u8>);

/// Chooses the size of the images.
fn open(path: &Path, files: &[PathBuf], rows: &Rows, options: &LoadOptions) -> Result<Packed> {
    let known = rows.sky.iter().any(|position| position.is_known());
    let meta = Meta {
        height: 0,
        width: 0,
        labels: rows.labels.clone(),
        class_count: rows.class_count,
        class_names: rows.class_names.clone(),
        sky: known.then(|| rows.sky.clone()),
    };
    let mut packed = Packed { files: files.to_vec(), meta };
    let mut sizes = Vec::new();
    if options.size.is_none() {
        let outcome = packed.each_batch(&mut |batch| {
            let found: Vec<Result<(usize, usize)>> =
                batch.par_iter().map(|(place, bytes)| picture::packed_size(place, bytes)).collect();
            sizes.extend(found.into_iter().collect::<Result<Vec<_>>>()?);
            Ok(())
        });
        if let Err(Stop::Source(error)) = outcome {
            return Err(error);
        }
    }
    (packed.meta.height, packed.meta.width) =
        options.size.map_or_else(|| folder::common_size(&sizes), |size| (size, size));
    source::check_size(path, packed.meta.labels.len(), packed.meta.height, packed.meta.width)?;
    Ok(packed)
}

impl Packed {
    /// Reads the pictures of all files, some at a time.
    fn each_batch(&self, take: &mut dyn FnMut(&[Stored]) -> Result<(), Stop>) -> Result<(), Stop> {
        let (mut batch, mut bytes, mut left) = (Vec::new(), 0, self.meta.labels.len());
        for file in &self.files {
            let column = column_of(file, Kind::Parquet, &PICTURES)?;
            let wanted = Wanted { name: column.into(), ucd: None, needed: true };
            let mut table = TableReader::open(file, Kind::Parquet, &[wanted])?;
            while let Some(cells) = table.next() {
                let place = PathBuf::from(format!("{}, {}", file.display(), table.place()));
                let Cell::Text(stored) = cells?.swap_remove(0) else {
                    return Err(Error::file(&place, "has no picture", "leave the row out").into());
                };
                bytes += stored.len();
                batch.push((place, stored));
                // more rows than there were labels: the file has changed meanwhile
                left = left.checked_sub(1).ok_or_else(|| changed(file))?;
                if batch.len() == BATCH || bytes > BATCH_BYTES {
                    take(&batch)?;
                    (bytes, batch) = (0, Vec::new());
                }
            }
        }
        take(&batch)?;
        match (left, self.files.first()) {
            (1.., Some(file)) => Err(changed(file).into()),
            _ => Ok(()),
        }
    }
}

fn changed(file: &Path) -> Error {
    Error::file(file, "changed while it was read", "wait until it is complete and start again")
}

impl ImageSource for Packed {
    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn stream(&self, receive: &mut Receiver) -> Result<(), Stop> {
        let (height, width) = (self.meta.height, self.meta.width);
        self.each_batch(&mut |batch| {
            let read = |(place, bytes): &Stored| picture::read_packed(place, bytes, height, width);
            let images: Vec<Result<Vec<u8>>> = batch.par_iter().map(read).collect();
            images.into_iter().try_for_each(|image| receive(&image?).map_err(Stop::Receiver))
        })
    }
}
