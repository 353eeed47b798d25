//! Reads a user's file with libhdf5. Damaged tables can crash that library, so this runs in a process of its own (`serve.rs`) unless
//! the user of our library chooses otherwise.
//!
//! **Memory**: labels and positions of [`MOST_ROWS`] images, pixels of [`SLAB_BYTES`] or one row of chunks up to
//! [`LARGEST_SLAB`], and what libhdf5 takes for one chunk.

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use h5::filters::Filter;
use h5::types::{FixedAscii, FixedUnicode, IntSize, TypeDescriptor, VarLenAscii, VarLenUnicode};
use ndarray::Ix4;

use super::chunks::{self, Layout, Packed};
use super::data_set::{check_rows, member, type_name, unreadable};
use super::labels;
use super::{Description, LAYOUT, LONGEST_NAME, MOST_ROWS, damaged, h5, raw};
use crate::data::Sky;
use crate::data::source::{self, Receiver, Stop};
use crate::{Error, Result};

/// Bytes of pixels that libhdf5 reads at a time; more where a row of chunks is larger.
const SLAB_BYTES: usize = 32 << 20;
/// Largest row of chunks that is read at a time, in bytes. In larger ones libhdf5 unpacks each chunk many times.
const LARGEST_SLAB: usize = 512 << 20;

/// The most bytes that a byte of a packed file unpacks to: 1032 in gzip.
const MOST_PACKED: u64 = 1100;
/// Bytes of pixels that no file is refused for.
const NEVER_MUCH: u64 = 64 << 20;

/// Longest string of fixed size, in bytes: libhdf5 keeps no larger attribute in a file's tables.
const LARGEST_FIXED: usize = 1 << 16;

/// In libhdf5's message about a file that another process has locked.
const LOCKED: &str = "unable to lock file";
/// How often a locked file is tried, for a second in all.
const LOCK_TRIES: usize = 20;

/// A file that libhdf5 has opened, with its `images`.
pub(super) struct Opened<'a> {
    path: &'a Path,
    file: h5::File,
    images: h5::Dataset,
    /// Images, rows, columns, colours.
    shape: [usize; 4],
    /// Whether pixels are floats from 0 to 1.
    floats: bool,
}

impl<'a> Opened<'a> {
    /// Opens the file at `path` and checks its `images`.
    ///
    /// # Errors
    /// [`Error::File`] where it is no HDF5 file or `images` is missing, or of another type or shape.
    pub fn new(path: &'a Path) -> Result<Self> {
        let file = open_file(path)?;
        let images = member(path, &file, "images")?;
        let shape = images.shape();
        let &[count, height, width, 3] = shape.as_slice() else {
            return Err(Error::file(path, format!("`images` has the shape {shape:?}, not [N, H, W, 3]"), LAYOUT));
        };
        let found = type_name(&images);
        let floats = matches!(found.0, Some(TypeDescriptor::Float(_)));
        if !floats && found.0 != Some(TypeDescriptor::Unsigned(IntSize::U1)) {
            return Err(Error::file(path, format!("`images` holds {}, not uint8", found.1), LAYOUT));
        }
        source::check_size(path, count, height, width)?;
        if count > MOST_ROWS {
            let problem = format!("claims to hold {count} images, more than {MOST_ROWS}");
            return Err(Error::file(path, problem, "check that it is not damaged, or split it"));
        }
        let stored = images.storage_size();
        if images.is_chunked() && stored == 0 {
            return Err(Error::file(path, "`images` was never filled", "write or download the file again"));
        }
        let pixels = shape.iter().map(|&length| length as u64).product::<u64>();
        if pixels > stored.saturating_mul(MOST_PACKED).max(NEVER_MUCH) {
            let length = path.metadata().map_or(0, |about| about.len());
            let problem = format!(
                "claims {pixels} bytes of pixels, which cannot be in a file of {length} bytes, {stored} of them pixels"
            );
            return Err(Error::file(path, problem, "most of it was never written: write or download it again"));
        }
        Ok(Self { path, file, images, shape: [count, height, width, 3], floats })
    }

    /// Checks labels, coordinates and names, and says how the images are stored.
    ///
    /// # Errors
    /// [`Error::File`] naming the data set and row at fault, [`Error::Data`] where a class has no image.
    pub fn describe(&self) -> Result<Description> {
        let Self { path, file, shape: [count, height, width, _], .. } = self;
        let answers = member(path, file, "ans")?;
        let (labels, label_form) = labels::read(path, &answers, *count)?;
        let class_names = read_class_names(path, file, &answers)?;
        let sky = read_sky(path, file, *count)?;
        let meta = super::checked_meta(path, (*height, *width), labels, class_names, sky)?;
        let chunked = self.images.is_chunked();
        Ok(Description { meta, layout: self.layout(), chunked, label_form, floats: self.floats })
    }

    /// How the images are stored; none where only libhdf5 can unpack them, because of other filters than gzip and shuffle, or of
    /// too many or too large chunks.
    fn layout(&self) -> Option<Layout> {
        if self.floats {
            return None;
        }
        let chunk: [usize; 4] = self.images.chunk()?.try_into().ok()?;
        let settings = self.images.dcpl().ok()?;
        let gzip = gzip(&settings.get_filters().ok()?)?;
        // With options, chunks at the edge may be stored without filters, and their masks do not tell.
        if settings.chunk_opts().is_some_and(|options| !options.is_empty()) {
            return None;
        }
        chunks::grid(self.shape, chunk)?;
        Some(Layout { chunk, gzip, fill: settings.get_fill_value_as::<u8>().ok()?? })
    }

    /// Gives the chunks of `layout` as they are stored, one a call, in the order of their grid.
    pub fn chunks(&self, layout: &Layout) -> impl FnMut() -> Result<Packed> + Send {
        let (chunk, shape) = (layout.chunk, self.shape);
        let (path, images) = (self.path, &self.images);
        let mut at = [0usize; 4];
        move || {
            let found = raw::read_chunk(images, at.map(|first| first as u64), chunks::longest(chunk));
            let first = at[0];
            for axis in (0..4).rev() {
                at[axis] += chunk[axis];
                if at[axis] < shape[axis] || axis == 0 {
                    break;
                }
                at[axis] = 0;
            }
            found.map_err(|problem| damaged(path, first..(first + chunk[0]).min(shape[0]), problem))
        }
    }

    /// Hands on all chunks as they are stored.
    ///
    /// # Errors
    /// [`Stop::Source`] where one cannot be read or only libhdf5 can unpack them, [`Stop::Receiver`] where `receive` fails.
    pub fn each_chunk(&self, receive: &mut dyn FnMut(&Packed) -> std::io::Result<()>) -> Result<(), Stop> {
        let changed =
            || Error::file(self.path, "changed while it was read", "wait until it is complete and start again");
        let layout = self.layout().ok_or_else(changed)?;
        let (_, cells) = chunks::grid(self.shape, layout.chunk).ok_or_else(changed)?;
        let mut next = self.chunks(&layout);
        (0..cells).try_for_each(|_| receive(&next()?).map_err(Stop::Receiver))
    }

    /// Hands on all pixels in order, read by libhdf5 in this thread.
    ///
    /// # Errors
    /// [`Stop::Source`] where they cannot be read, [`Stop::Receiver`] where `receive` fails.
    pub fn stream(&self, receive: &mut Receiver) -> Result<(), Stop> {
        let [count, height, width, colours] = self.shape;
        let image = height * width * colours;
        // Whole rows of chunks: otherwise libhdf5 would unpack each chunk twice.
        let chunk = self.images.chunk().and_then(|chunk| chunk.first().copied()).unwrap_or(1).max(1);
        let fitting = (SLAB_BYTES / image).max(1);
        let row = chunk.checked_mul(image).filter(|&bytes| bytes <= LARGEST_SLAB);
        let rows = row.map_or(fitting, |_| (fitting / chunk).max(1) * chunk);
        for first in (0..count).step_by(rows) {
            let end = (first + rows).min(count);
            if self.floats {
                receive(&self.bytes_of_floats(first..end)?).map_err(Stop::Receiver)?;
                continue;
            }
            let slab = self.images.read_slice::<u8, _, Ix4>(ndarray::s![first..end, .., .., ..]);
            let slab = slab.map_err(|error| damaged(self.path, first..end, error))?;
            receive(slab.as_slice().unwrap_or_default()).map_err(Stop::Receiver)?;
        }
        Ok(())
    }
}

impl Opened<'_> {
    /// Images whose pixels are floats from 0 to 1, as bytes: times 255, rounded.
    fn bytes_of_floats(&self, images: Range<usize>) -> Result<Vec<u8>> {
        let slab = self.images.read_slice::<f32, _, Ix4>(ndarray::s![images.clone(), .., .., ..]);
        let slab = slab.map_err(|error| damaged(self.path, images.clone(), error))?;
        let byte = |&value: &f32| match value {
            0.0..=1.0 => Ok((value * 255.0).round() as u8),
            _ => {
                let problem = format!("`images` holds {value} in images {} to {}", images.start, images.end - 1);
                Err(Error::file(self.path, problem, "floats must be 0 to 1, or store bytes (uint8) from 0 to 255"))
            }
        };
        slab.iter().map(byte).collect()
    }
}

/// Opens a user's file and stops libhdf5 from printing errors.
pub(super) fn open_file(path: &Path) -> Result<h5::File> {
    h5::silence_errors(true);
    open(path, LOCK_TRIES).map_err(|cause| {
        if cause.contains(LOCKED) {
            let problem = format!("cannot be locked ({cause})");
            return Error::file(path, problem, "set HDF5_USE_FILE_LOCKING=FALSE in the environment");
        }
        let problem = format!("is a damaged or incomplete HDF5 file ({cause})");
        Error::file(path, problem, "download or copy it again")
    })
}

/// Opens a file. Tries a locked one again: a process that has just closed it may have passed the lock to a child that is about to
/// end.
fn open(path: &Path, tries: usize) -> Result<h5::File, String> {
    match h5::File::open(path) {
        Err(error) if tries > 1 && error.to_string().contains(LOCKED) => {
            std::thread::sleep(Duration::from_millis(50));
            open(path, tries - 1)
        }
        opened => opened.map_err(|error| error.to_string()),
    }
}

/// The bit of gzip in the masks of chunks, if the pipeline has it; none where there are other filters, or gzip twice.
fn gzip(filters: &[Filter]) -> Option<Option<u32>> {
    let mut gzip = None;
    for (index, filter) in filters.iter().enumerate() {
        match filter {
            Filter::Deflate(_) if gzip.is_none() => gzip = Some(1u32.checked_shl(index as u32)?),
            Filter::Shuffle => {}
            _ => return None,
        }
    }
    Some(gzip)
}

/// Reads a column of floating-point numbers, if there is one.
fn open_column(path: &Path, file: &h5::File, name: &str, count: usize) -> Result<Option<h5::Dataset>> {
    if !file.link_exists(name) {
        return Ok(None);
    }
    let data = member(path, file, name)?;
    check_rows(path, name, &data, count)?;
    let (descriptor, found) = type_name(&data);
    if !matches!(descriptor, Some(TypeDescriptor::Float(_))) {
        let problem = format!("`{name}` holds {found}, not floating-point numbers");
        return Err(Error::file(path, problem, "store it as f32 or f64, or leave it out"));
    }
    Ok(Some(data))
}

/// Reads `ra` and `dec`, in degrees, and checks the columns that are not used. None where all positions are unknown.
fn read_sky(path: &Path, file: &h5::File, count: usize) -> Result<Option<Vec<Sky>>> {
    for name in ["redshift", "pxscale"] {
        open_column(path, file, name, count)?;
    }
    let read = |name: &str| -> Result<Option<Vec<f64>>> {
        let Some(data) = open_column(path, file, name, count)? else { return Ok(None) };
        data.read_raw().map(Some).map_err(|error| unreadable(path, name, &error))
    };
    let (ra, dec) = match (read("ra")?, read("dec")?) {
        (Some(ra), Some(dec)) => (ra, dec),
        (None, None) => return Ok(None),
        (Some(_), None) => return Err(Error::file(path, "has `ra` but no `dec`", "store both or neither")),
        (None, Some(_)) => return Err(Error::file(path, "has `dec` but no `ra`", "store both or neither")),
    };
    let sky: Vec<Sky> = ra.into_iter().zip(dec).map(|(ra, dec)| Sky { ra, dec }).collect();
    let none = sky.iter().all(|position| position.ra.is_nan() && position.dec.is_nan());
    Ok((!none).then_some(sky))
}

/// Reads the attribute `class_names` of `ans`, else of the root.
fn read_class_names(path: &Path, file: &h5::File, answers: &h5::Dataset) -> Result<Option<Vec<String>>> {
    let has =
        |place: &h5::Location| place.attr_names().is_ok_and(|names| names.iter().any(|name| name == "class_names"));
    let place: &h5::Location = if has(answers) {
        answers
    } else if has(file) {
        file
    } else {
        return Ok(None);
    };
    let wrong = |problem: String| {
        Error::file(path, format!("`class_names` {problem}"), "store one string per class, or one string with commas")
    };
    let attribute = place.attr("class_names").map_err(|error| wrong(format!("cannot be read ({error})")))?;
    let strings = read_strings(&attribute, source::MOST_CLASSES).map_err(wrong)?;
    let names: Vec<String> = match strings.as_slice() {
        [one] if one.contains(',') => one.split(',').map(|name| name.trim().to_owned()).collect(),
        _ => strings,
    };
    Ok(Some(names))
}

/// Reads an attribute of strings of any kind: several of up to [`LONGEST_NAME`] bytes, or one of any length.
pub(super) fn read_strings(attribute: &h5::Attribute, most: usize) -> Result<Vec<String>, String> {
    fn read<T: h5::H5Type + ToString>(attribute: &h5::Attribute) -> Result<Vec<String>, String> {
        let strings: Vec<T> = attribute.read_raw().map_err(|error| format!("cannot be read ({error})"))?;
        Ok(strings.iter().map(ToString::to_string).collect())
    }
    let count = attribute.size();
    if count > most {
        return Err(format!("has {count} names"));
    }
    match type_name(attribute) {
        (Some(TypeDescriptor::VarLenUnicode), _) => read::<VarLenUnicode>(attribute),
        (Some(TypeDescriptor::VarLenAscii), _) => read::<VarLenAscii>(attribute),
        (Some(TypeDescriptor::FixedUnicode(_)), _) if count == 1 => read::<FixedUnicode<LARGEST_FIXED>>(attribute),
        (Some(TypeDescriptor::FixedAscii(_)), _) if count == 1 => read::<FixedAscii<LARGEST_FIXED>>(attribute),
        (Some(TypeDescriptor::FixedUnicode(_)), _) => read::<FixedUnicode<LONGEST_NAME>>(attribute),
        (Some(TypeDescriptor::FixedAscii(_)), _) => read::<FixedAscii<LONGEST_NAME>>(attribute),
        (_, found) => Err(format!("holds {found}, not strings")),
    }
}
