//! A folder with a folder of PNG, JPEG or FITS pictures for each class.
//!
//! Classes are the folders, sorted by name; images are the pictures, sorted by name within their class; three FITS files
//! `NAME-g`, `NAME-r` and `NAME-z` are one picture, and coordinates of FITS images are the pictures' positions. Hidden entries
//! and other files are skipped. Folders `train`, `val` and `test` of class folders are one data set and its split. This file
//! knows nothing of the cache's format.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::cache::{self, Stamp};
use super::sets::{GivenSets, Set};
use super::source::{self, ImageSource, LONGEST_SIDE, Loaded, Meta, Receiver, Stop};
use super::{FitsOptions, LoadOptions, Sky, fits, picture, tables};
use crate::{Error, Result};

/// Side of the images, in pixels, where pictures differ in size and the user gives none: that of Galaxy10 DECaLS.
const DEFAULT_SIDE: usize = 256;
/// Memory for pictures that are decoded at the same time, in bytes.
const BATCH_BYTES: usize = 64 << 20;

/// A position that is not known.
const UNKNOWN: Sky = Sky { ra: f64::NAN, dec: f64::NAN };

/// A listed folder whose pictures have not been decoded.
struct Folder {
    pictures: Vec<PathBuf>,
    options: FitsOptions,
    meta: Meta,
}

/// Loads the folder at `path` through the cache; see [`super::Dataset::load`]. The key is made of the pictures' names,
/// sizes and times of change.
///
/// # Errors
/// [`Error::File`] naming the class or picture at fault, [`Error::Setting`] for a `size` of 0 or above 16384.
pub(crate) fn load(path: &Path, options: &LoadOptions) -> Result<Loaded> {
    read(path, &list(path)?, options)
}

/// Refuses a side that no image has.
///
/// # Errors
/// [`Error::Setting`].
pub(super) fn check_side(size: Option<usize>) -> Result<()> {
    match size.filter(|size| !(1..=LONGEST_SIDE).contains(size)) {
        Some(size) => Err(Error::setting("size", size, format!("1 to {LONGEST_SIDE} pixels"))),
        None => Ok(()),
    }
}

/// Reads listed pictures through the cache; `path` is where the list comes from.
///
/// # Errors
/// As [`load`].
pub(super) fn read(path: &Path, listing: &Listing, options: &LoadOptions) -> Result<Loaded> {
    check_side(options.size)?;
    let key = fingerprint(path, listing, options)?;
    let variant = format!("size {:?}", options.size);
    let cache_dir = options.cache_dir.as_deref();
    let open = || -> Result<Box<dyn ImageSource>> { Ok(Box::new(open(path, listing, options)?)) };
    let loaded = cache::load_with_key(path, cache_dir, key, &variant, &open)?;
    Ok(Loaded { given: listing.given(), ..loaded })
}

/// A picture whose class is known.
pub(super) struct Labelled {
    pub file: PathBuf,
    pub label: u32,
    pub set: Set,
    /// Its position, where something else than the picture says it.
    pub sky: Sky,
}

/// Pictures that have been listed and not read.
pub(super) struct Listing {
    pub pictures: Vec<Labelled>,
    /// Names of the classes, unless they are just 0, 1, 2, ...
    pub class_names: Option<Vec<String>>,
    pub class_count: usize,
    /// What says which set a picture is in; empty where nothing does.
    pub sets: String,
}

impl Listing {
    fn given(&self) -> Option<GivenSets> {
        let sets = self.pictures.iter().map(|picture| picture.set).collect();
        (!self.sets.is_empty()).then(|| GivenSets { sets, source: self.sets.clone() })
    }
}

/// Name and pictures of a class.
struct Class {
    name: String,
    pictures: Vec<PathBuf>,
}

/// Lists the pictures of a folder, set by set where it has folders for those, and class by class.
fn list(path: &Path) -> Result<Listing> {
    let roots = roots(path)?;
    let names = roots.iter().filter(|(set, _)| *set != Set::Neither).filter_map(|(_, root)| root.file_name());
    let names: Vec<_> = names.map(|name| name.to_string_lossy()).collect();
    let sets = if names.is_empty() { String::new() } else { format!("folders {}", names.join(", ")) };
    let mut found = Vec::new();
    for (set, root) in roots {
        found.extend(classes(&root, set)?.into_iter().map(|class| (set, class)));
    }
    let class_names: BTreeSet<String> = found.iter().map(|(_, class)| class.name.clone()).collect();
    let class_names: Vec<String> = class_names.into_iter().collect();
    let mut pictures = Vec::new();
    for (set, Class { name, pictures: files }) in found {
        let label = class_names.partition_point(|other| *other < name) as u32;
        pictures.extend(files.into_iter().map(|file| Labelled { file, label, set, sky: UNKNOWN }));
    }
    Ok(Listing { pictures, class_count: class_names.len(), class_names: Some(class_names), sets })
}

/// The folders `train`, `val` and `test` where these hold class folders, else the folder itself.
fn roots(path: &Path) -> Result<Vec<(Set, PathBuf)>> {
    let folders = entries(path)?.into_iter().filter(|(_, folder)| folder.is_dir());
    let mut found: Vec<_> = folders.filter_map(|(name, folder)| Some((Set::named(&name)?, folder))).collect();
    found.sort();
    // a class may be called `test`: its folder holds pictures
    let holds_folders = |folder: &Path| Ok(entries(folder)?.iter().any(|(_, entry)| entry.is_dir()));
    match &found[..] {
        [(Set::Train, folder), .., (Set::Test | Set::Validation, _)] if holds_folders(folder)? => Ok(found),
        _ => Ok(vec![(Set::Neither, path.to_owned())]),
    }
}

/// Lists the classes of a folder; each has a picture. Only a set to measure may have a single class.
fn classes(path: &Path, set: Set) -> Result<Vec<Class>> {
    let mut classes = Vec::new();
    for (name, folder) in entries(path)? {
        if !folder.is_dir() {
            continue;
        }
        let pictures = entries(&folder)?.into_iter().map(|(_, file)| file);
        let pictures: Vec<PathBuf> = pictures.filter(|file| is_picture(file)).collect();
        if pictures.is_empty() {
            let problem = "this class has no PNG, JPEG or FITS pictures";
            return Err(Error::file(&folder, problem, "fill or remove its folder"));
        }
        classes.push(Class { name, pictures });
    }
    let remedy = "give it one folder of PNG, JPEG or FITS pictures per class";
    match classes.len() {
        0 => Err(Error::file(path, "has no class folders", remedy)),
        1 if matches!(set, Set::Neither | Set::Train) => {
            Err(Error::file(path, format!("has only one class folder, {}", classes[0].name), remedy))
        }
        1..=source::MOST_CLASSES => {
            let names: Vec<String> = classes.iter().map(|class| class.name.clone()).collect();
            source::check_names(&names)
                .map_err(|problem| Error::file(path, format!("has {problem}"), "rename the class's folder"))?;
            Ok(classes)
        }
        count => Err(Error::file(path, format!("has {count} class folders"), "give it at most 256")),
    }
}

/// What a folder holds, sorted by name, without hidden entries.
fn entries(path: &Path) -> Result<Vec<(String, PathBuf)>> {
    let failed = |error| Error::file(path, format!("cannot be listed ({error})"), "check its permissions");
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            entries.push((name, entry.path()));
        }
    }
    entries.sort();
    Ok(entries)
}

fn is_picture(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    let picture = matches!(ending.as_deref(), Some("png" | "jpg" | "jpeg"));
    // a table among pictures is none
    let fits = || fits::is_named(path) && !fits::is_later(path) && !tables::holds_table(path);
    path.is_file() && (picture || fits())
}

/// A hash that stands for the content of the folder, made without reading the pictures.
fn fingerprint(path: &Path, listing: &Listing, options: &LoadOptions) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    let mut add = |bytes: &[u8]| {
        // The length first: otherwise "a" + "bc" and "ab" + "c" would be the same.
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    add(std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()).as_os_str().as_encoded_bytes());
    add(&options.size.unwrap_or(0).to_le_bytes());
    for name in listing.class_names.iter().flatten() {
        add(name.as_bytes());
    }
    let mut fits = false;
    for Labelled { file, label, sky, .. } in &listing.pictures {
        add(&label.to_le_bytes());
        add(&[sky.ra.to_le_bytes(), sky.dec.to_le_bytes()].concat());
        fits |= fits::is_named(file);
        for file in fits::files_of(file) {
            let stamp = Stamp::of(&file)?;
            add(file.strip_prefix(path).unwrap_or(&file).as_os_str().as_encoded_bytes());
            add(&stamp.size.to_le_bytes());
            add(&stamp.changed.to_le_bytes());
        }
    }
    if fits {
        add(format!("{:?}", options.fits).as_bytes());
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// Chooses the size of the images and collects labels and positions.
fn open(path: &Path, listing: &Listing, options: &LoadOptions) -> Result<Folder> {
    let pictures: Vec<PathBuf> = listing.pictures.iter().map(|picture| picture.file.clone()).collect();
    let fits = pictures.iter().any(|file| fits::is_named(file));
    // headers are read where something depends on them
    let facts = if fits || options.size.is_none() { facts(&pictures, &options.fits)? } else { Vec::new() };
    let sizes: Vec<(usize, usize)> = facts.iter().map(|&(height, width, _)| (height, width)).collect();
    let (height, width) = options.size.map_or_else(|| common_size(&sizes), |size| (size, size));
    source::check_size(path, pictures.len(), height, width)?;
    let labels = listing.pictures.iter().map(|picture| picture.label).collect();
    let place = |(index, picture): (usize, &Labelled)| match facts.get(index) {
        Some((.., sky)) if !picture.sky.is_known() => *sky,
        _ => picture.sky,
    };
    let sky: Vec<Sky> = listing.pictures.iter().enumerate().map(place).collect();
    let sky = sky.iter().any(|sky| sky.is_known()).then_some(sky);
    let (class_count, class_names) = (listing.class_count, listing.class_names.clone());
    let meta = Meta { height, width, labels, class_count, class_names, sky };
    Ok(Folder { pictures, options: options.fits.clone(), meta })
}

/// What headers say of a picture: height, width and position.
type Facts = (usize, usize, Sky);

fn facts(pictures: &[PathBuf], options: &FitsOptions) -> Result<Vec<Facts>> {
    let read = |file: &PathBuf| {
        let (height, width, place) = picture::picture_facts(file, options)?;
        Ok((height, width, place.map_or(UNKNOWN, |place| place.centre)))
    };
    // Collected as results in order, so that the first picture at fault is named on every run.
    let facts: Vec<Result<Facts>> = pictures.par_iter().map(read).collect();
    facts.into_iter().collect()
}

/// Height and width of all pictures, or the default where they differ.
pub(super) fn common_size(sizes: &[(usize, usize)]) -> (usize, usize) {
    match sizes.first() {
        Some(first) if sizes.iter().all(|other| other == first) => *first,
        _ => (DEFAULT_SIDE, DEFAULT_SIDE),
    }
}

impl ImageSource for Folder {
    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn stream(&self, receive: &mut Receiver) -> Result<(), Stop> {
        let (height, width) = (self.meta.height, self.meta.width);
        let batch = (BATCH_BYTES / (height * width * 3)).clamp(1, self.pictures.len().max(1));
        for files in self.pictures.chunks(batch) {
            let read = |file: &PathBuf| picture::read_picture_with(file, height, width, &self.options);
            let images: Vec<Result<Vec<u8>>> = files.par_iter().map(read).collect();
            for image in images {
                receive(&image?).map_err(Stop::Receiver)?;
            }
        }
        Ok(())
    }
}
