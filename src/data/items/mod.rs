//! Things to classify, one after the other: pictures, folders of them, globs, HDF5 files and catalogues.
//!
//! Inputs are listed as they are needed, so that ten million items take no more memory than ten. In memory are the names in a
//! folder and in the folders above it, a few rows of a catalogue ([`tables`]), and of an HDF5 file what [`Dataset::load`] holds:
//! labels and positions (20 bytes an image), with the pixels in the mapped cache file. An input that cannot be read is an item
//! with the reason. This file knows nothing of networks.

mod catalogue;
mod item;

use std::collections::{HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use walkdir::{DirEntry, FilterEntry, WalkDir};

use self::catalogue::Catalogue;
pub use self::item::{FitsReading, Item, ItemInfo, ItemPicture, Origin};
use super::{Dataset, LoadOptions, Sky, fits, tables};
use crate::{Error, Result};

/// Positions of one object in different catalogues are closer than this, in arcseconds.
const SAME_ARCSEC: f64 = 5.0;

/// What a path is, by its ending.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Picture,
    Catalogue,
    Hdf5,
    Fits,
    Other,
}

fn kind(path: &Path) -> Kind {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    match ending.as_deref() {
        Some("png" | "jpg" | "jpeg") => Kind::Picture,
        Some("h5" | "hdf5" | "hdf") => Kind::Hdf5,
        // It may be a table; its content decides when it is opened.
        _ if fits::is_named(path) => Kind::Fits,
        _ if tables::Kind::of(path).is_some() => Kind::Catalogue,
        _ => Kind::Other,
    }
}

/// Whether a file is a table of items. A FITS file is one if it has a table and no image.
fn is_catalogue(path: &Path) -> bool {
    match kind(path) {
        Kind::Catalogue => true,
        Kind::Fits => tables::holds_table(path),
        _ => false,
    }
}

/// Whether a file found in a folder is an item by itself.
fn is_picture(path: &Path) -> bool {
    // The g file of three stands for all; a table is not a picture.
    matches!(kind(path), Kind::Picture | Kind::Fits) && !fits::is_later(path) && !is_catalogue(path)
}

/// Refuses tables that are packed in another way and tables of unknown formats, by their ending.
fn check_ending(input: &Path) -> Result<()> {
    let ending = |path: &Path| path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    let (problem, remedy) = match ending(input).as_deref() {
        Some("gz" | "bz2" | "xz" | "zst" | "zip")
            if kind(input) == Kind::Other && tables::Kind::of(&input.with_extension("")).is_some() =>
        {
            ("is a packed table", "unpack it")
        }
        Some("ecsv" | "tsv" | "txt" | "dat") => {
            ("is no table that can be read", "save it as CSV, FITS, VOTable or Parquet")
        }
        _ => return Ok(()),
    };
    Err(Error::file(input, problem, remedy))
}

/// Whether an input is a pattern of paths.
fn is_glob(input: &Path) -> bool {
    input.to_string_lossy().contains(['*', '?', '[']) && input.symlink_metadata().is_err()
}

/// Whether `path` is one of three files that are one picture, and an earlier one is listed, which stands for all.
fn is_told(path: &Path, listed: impl Fn(&Path) -> bool) -> bool {
    fits::bands_of(path).is_some_and(|(files, place)| files[..place].iter().any(|earlier| listed(earlier)))
}

/// Whether a file's name matches.
fn matches(pattern: &glob::Pattern, path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| pattern.matches(name))
}

type Walk = FilterEntry<walkdir::IntoIter, fn(&DirEntry) -> bool>;

/// An input that is being listed.
enum Open {
    Walk(Walk),
    /// With the pattern of the last part of paths.
    Glob(glob::Paths, glob::Pattern),
    Catalogue(Box<Catalogue>),
    Images {
        dataset: Arc<Dataset>,
        path: String,
        next: usize,
    },
    One(Option<Item>),
}

/// What an open input gives next.
enum Next {
    Item(Item),
    /// Another input.
    Input(PathBuf),
    /// Nothing of use.
    Nothing,
    End,
}

impl Open {
    fn walk(folder: &Path) -> Self {
        let visible: fn(&DirEntry) -> bool =
            |entry| entry.depth() == 0 || !entry.file_name().as_encoded_bytes().starts_with(b".");
        let walk = WalkDir::new(folder).follow_links(true).sort_by_file_name();
        Self::Walk(walk.into_iter().filter_entry(visible))
    }

    fn next(&mut self) -> Next {
        match self {
            Self::One(item) => item.take().map_or(Next::End, Next::Item),
            Self::Catalogue(catalogue) => catalogue.next().map_or(Next::End, Next::Item),
            Self::Walk(walk) => match walk.next() {
                None => Next::End,
                Some(Ok(entry)) if entry.file_type().is_dir() || !is_picture(entry.path()) => Next::Nothing,
                Some(Ok(entry)) => Next::Item(Item::picture(entry.into_path())),
                Some(Err(error)) => {
                    let path = error.path().unwrap_or(Path::new("")).to_owned();
                    let reason = Error::file(&path, format!("cannot be read ({error})"), "check it");
                    Next::Item(Item::failed(&path, reason))
                }
            },
            Self::Glob(paths, pattern) => match paths.next() {
                None => Next::End,
                Some(Ok(path)) if is_told(&path, |earlier| matches(pattern, earlier)) => Next::Nothing,
                Some(Ok(path)) if path.is_dir() || kind(&path) != Kind::Other => Next::Input(path),
                Some(Ok(_)) => Next::Nothing,
                Some(Err(error)) => {
                    let reason = Error::file(error.path(), format!("cannot be listed ({error})"), "check it");
                    Next::Item(Item::failed(error.path(), reason))
                }
            },
            Self::Images { dataset, path, next } if *next < dataset.len() => {
                let position = dataset.sky.as_ref().map(|sky| sky[*next]).filter(|position| position.is_known());
                let about = ItemInfo {
                    path: path.clone(),
                    index: Some(*next as u64),
                    ra: position.map(|position| position.ra),
                    dec: position.map(|position| position.dec),
                    ..ItemInfo::default()
                };
                *next += 1;
                Next::Item(Item::new(about, Origin::Image(dataset.clone(), *next - 1)))
            }
            Self::Images { .. } => Next::End,
        }
    }
}

/// The items of some inputs, in order: inputs as they are given, folders and globs sorted by name.
pub struct Items {
    inputs: VecDeque<PathBuf>,
    open: Vec<Open>,
    peeked: Option<Item>,
    options: LoadOptions,
    reading: Arc<FitsReading>,
    notes: Vec<String>,
    /// The item before, and whether the user knows that several positions share one image.
    before: ItemInfo,
    is_shared_told: bool,
    /// Whether items are only counted, so that HDF5 files are not opened.
    counting: bool,
}

impl Items {
    /// The items of `inputs`; HDF5 files are loaded and FITS images read with `options` when their turn comes.
    pub fn new(inputs: &[PathBuf], options: LoadOptions) -> Self {
        // a shell has listed all three files of a picture
        let listed: HashSet<&Path> = inputs.iter().map(PathBuf::as_path).collect();
        let inputs = inputs.iter().filter(|path| !is_told(path, |earlier| listed.contains(earlier))).cloned().collect();
        let reading = Arc::new(FitsReading { options: options.fits.clone(), crop_arcsec: None });
        Self {
            inputs,
            open: Vec::new(),
            peeked: None,
            options,
            reading,
            notes: Vec::new(),
            before: ItemInfo::default(),
            is_shared_told: false,
            counting: false,
        }
    }

    /// Cuts a square of so many arcseconds around the item's position out of each FITS image, where a side is given.
    pub fn cropped(mut self, arcsec: Option<f64>) -> Self {
        self.reading = Arc::new(FitsReading { options: self.options.fits.clone(), crop_arcsec: arcsec });
        self
    }

    /// Refuses inputs that are certainly a mistake, before any work is done.
    ///
    /// # Errors
    /// [`Error::File`] where there is no such file or folder, a folder or glob has nothing to classify, or a catalogue has
    /// no column `path`.
    pub fn check(inputs: &[PathBuf]) -> Result<()> {
        for input in inputs {
            if is_glob(input) || input.is_dir() {
                let mut items =
                    Self { counting: true, ..Self::new(std::slice::from_ref(input), LoadOptions::default()) };
                if let (None, false) = (items.next(), items.saw_hdf5()) {
                    let problem = "has nothing to classify";
                    let remedy = "name PNG, JPEG or FITS pictures, folders of them, HDF5 files or catalogues";
                    return Err(Error::file(input, problem, remedy));
                }
            } else if !input.exists() {
                return Err(Error::file(input, "there is no such file or folder", "check the spelling of the path"));
            } else if is_catalogue(input) {
                Catalogue::open(input)?;
            } else {
                check_ending(input)?;
            }
        }
        Ok(())
    }

    /// Number of items; `None` if there are HDF5 files among them, which would have to be opened.
    pub fn count_all(inputs: &[PathBuf]) -> Option<u64> {
        let mut items = Self { counting: true, ..Self::new(inputs, LoadOptions::default()) };
        let count = items.by_ref().count() as u64;
        (!items.saw_hdf5()).then_some(count)
    }

    fn saw_hdf5(&self) -> bool {
        self.counting && !self.notes.is_empty()
    }

    /// Number of items that are left, where known.
    pub fn left(&self) -> Option<u64> {
        let of = |open: &Open| match open {
            Open::Images { dataset, next, .. } => Some((dataset.len() - next) as u64),
            _ => None,
        };
        let rest: Option<u64> = self.inputs.is_empty().then(|| self.open.iter().map(of).sum())?;
        rest.map(|rest| rest + u64::from(self.peeked.is_some()))
    }

    /// The next item, without taking it.
    pub fn peek(&mut self) -> Option<&Item> {
        if self.peeked.is_none() {
            self.peeked = self.next();
        }
        self.peeked.as_ref()
    }

    /// Takes the notes on files that were opened since the last call.
    pub fn notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    fn open(&mut self, input: &Path) -> Open {
        if is_glob(input) {
            let last = input.file_name().unwrap_or_default().to_string_lossy();
            return match glob::glob(&input.to_string_lossy()).and_then(|paths| Ok((paths, glob::Pattern::new(&last)?)))
            {
                Ok((paths, pattern)) => Open::Glob(paths, pattern),
                Err(error) => {
                    let reason = Error::file(input, format!("is no glob ({error})"), "check its brackets and stars");
                    Open::One(Some(Item::failed(input, reason)))
                }
            };
        }
        if input.is_dir() {
            return Open::walk(input);
        }
        match kind(input) {
            _ if is_catalogue(input) => match Catalogue::open(input) {
                Ok(catalogue) => Open::Catalogue(Box::new(catalogue)),
                Err(error) => self.unopened(input, &error),
            },
            Kind::Picture | Kind::Other | Kind::Fits | Kind::Catalogue => {
                Open::One(Some(Item::picture(input.to_owned())))
            }
            Kind::Hdf5 if self.counting => {
                self.notes.push("an HDF5 file".into());
                Open::One(None)
            }
            Kind::Hdf5 => match Dataset::load(input, &self.options) {
                Ok(dataset) => {
                    self.notes.extend(dataset.notes.iter().cloned());
                    Open::Images { dataset: Arc::new(dataset), path: input.display().to_string(), next: 0 }
                }
                Err(error) => self.unopened(input, &error),
            },
        }
    }

    /// Notes once that a whole FITS image is the picture of rows with different positions.
    fn tell_shared(&mut self, about: &ItemInfo) {
        if self.counting || self.is_shared_told || self.reading.crop_arcsec.is_some() {
            return;
        }
        let position = |about: &ItemInfo| Some(Sky { ra: about.ra?, dec: about.dec? });
        let apart = position(&self.before).zip(position(about)).map(|(one, other)| one.separation_arcsec(other));
        let is_shared = about.path == self.before.path && fits::is_named(Path::new(&about.path));
        if is_shared && apart.is_some_and(|apart| apart > SAME_ARCSEC) {
            let path = &about.path;
            self.notes.push(format!(
                "{path} is the picture of rows with different positions, all of it for each; --crop-arcsec cuts out what lies around each"
            ));
            self.is_shared_told = true;
        }
        self.before = about.clone();
    }

    /// A file that cannot be opened becomes one item and a note.
    fn unopened(&mut self, input: &Path, error: &Error) -> Open {
        self.notes.push(error.to_string());
        Open::One(Some(Item::failed(input, error)))
    }
}

impl Iterator for Items {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        if self.peeked.is_some() {
            return self.peeked.take();
        }
        loop {
            let input = match self.open.last_mut().map(Open::next) {
                Some(Next::Item(item)) => {
                    self.tell_shared(&item.about);
                    return Some(item.read_as(&self.reading));
                }
                Some(Next::Nothing) => continue,
                Some(Next::End) => {
                    self.open.pop();
                    continue;
                }
                Some(Next::Input(path)) => path,
                None => self.inputs.pop_front()?,
            };
            let open = self.open(&input);
            self.open.push(open);
        }
    }
}
