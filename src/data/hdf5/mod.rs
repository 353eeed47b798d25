//! HDF5 files in the layout of Galaxy10, read and written through the system's libhdf5.
//!
//! | data set | type | shape |
//! |---|---|---|
//! | `images` | u8 | `[N, H, W, 3]` |
//! | `ans` | any integer, 0 to 255 | `[N]` |
//! | `ra`, `dec` (optional, degrees), `redshift`, `pxscale` (optional, not used) | f32 or f64 | `[N]` |
//!
//! An attribute `class_names` of `ans` or of the root may name the classes: strings, or one string with commas.
//! A file that is cut off or whose pixels are damaged is refused. libhdf5 itself does not survive every damage to a
//! file's own tables (1.10 reads outside its memory), which nothing here can prevent. Pixels in gzip-compressed chunks are
//! unpacked on all cores (`chunks.rs`), all others by libhdf5 in one thread, with the same result. This file knows
//! nothing of the cache's format.

mod chunks;
mod places;

use std::io::Read;
use std::ops::Range;
use std::path::Path;

use ::hdf5 as h5;
use h5::types::{FixedAscii, FixedUnicode, IntSize, TypeDescriptor, VarLenAscii, VarLenUnicode};
use ndarray::Ix4;

use self::chunks::Chunks;
use super::source::{self, Loaded, Meta, Receiver, Source, Stop};
use super::{Dataset, GALAXY10_CLASSES, Sky, cache};
use crate::{Error, Result};

/// First bytes of an HDF5 file.
const SIGNATURE: [u8; 8] = *b"\x89HDF\r\n\x1a\n";
/// What a file must look like, for remedies.
const LAYOUT: &str = "it must hold `images` (u8, N x height x width x 3) and `ans` (integers, N), as Galaxy10 does";
/// Pixels that libhdf5 reads at a time, in bytes; more where a row of chunks is larger.
const SLAB_BYTES: usize = 32 << 20;
/// Size of a written chunk, in bytes: libhdf5's own cache holds one.
const CHUNK_BYTES: usize = 1 << 20;
/// Level of gzip of written images: higher ones cost much time and save little.
const GZIP_LEVEL: u8 = 4;

/// Loads the file at `path` through the cache; see [`Dataset::load`].
///
/// # Errors
/// [`Error::File`] where the file is no HDF5 file or has another layout, [`Error::Data`] where a class has no image.
pub(crate) fn load(path: &Path, cache_dir: Option<&Path>) -> Result<Loaded> {
    // Opened before it is hashed, so that a wrong file is refused at once.
    let (bytes, file) = open(path)?;
    cache::load_file(path, cache_dir, &|| Ok(Box::new(File::check(path, &bytes, &file)?)))
}

/// An opened file whose layout has been checked.
struct File<'a> {
    path: &'a Path,
    images: h5::Dataset,
    /// Where they need no libhdf5.
    chunks: Option<Chunks<'a>>,
    meta: Meta,
}

/// Opens an HDF5 file, by itself and by libhdf5, whose own printing is switched off.
fn open(path: &Path) -> Result<(std::fs::File, h5::File)> {
    h5::silence_errors(true);
    let mut start = [0; 8];
    let readable = std::fs::File::open(path).and_then(|mut file| match file.read_exact(&mut start) {
        Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => Err(error),
        _ => Ok(file),
    });
    let bytes = readable
        .map_err(|error| Error::file(path, format!("cannot be read ({error})"), "check that it is a readable file"))?;
    let file = h5::File::open(path).map_err(|error| {
        let cause = error.to_string();
        if cause.contains("unable to lock file") {
            let problem = format!("cannot be locked ({cause})");
            return Error::file(path, problem, "set HDF5_USE_FILE_LOCKING=FALSE in the environment");
        }
        if start == SIGNATURE {
            let problem = format!("is a damaged or incomplete HDF5 file ({cause})");
            return Error::file(path, problem, "download or copy it again");
        }
        Error::file(path, "is not an HDF5 file", "give an HDF5 file or a folder with a folder of pictures per class")
    })?;
    Ok((bytes, file))
}

/// The error for images whose pixels cannot be read.
fn damaged(path: &Path, images: Range<usize>, problem: impl std::fmt::Display) -> Error {
    let problem = format!("images {} to {} cannot be read ({problem})", images.start, images.end - 1);
    Error::file(path, problem, "the file is damaged: download or copy it again")
}

impl<'a> File<'a> {
    /// Checks names, types, shapes, labels and coordinates.
    fn check(path: &'a Path, bytes: &'a std::fs::File, file: &h5::File) -> Result<Self> {
        let images = member(path, file, "images")?;
        let shape = images.shape();
        let &[count, height, width, 3] = shape.as_slice() else {
            return Err(Error::file(path, format!("`images` has the shape {shape:?}, not [N, H, W, 3]"), LAYOUT));
        };
        let found = type_name(&images);
        if found.0 != Some(TypeDescriptor::Unsigned(IntSize::U1)) {
            return Err(Error::file(path, format!("`images` holds {}, not uint8", found.1), LAYOUT));
        }
        source::check_size(path, count, height, width)?;
        if images.is_chunked() && images.storage_size() == 0 {
            return Err(Error::file(path, "`images` was never filled", "write or download the file again"));
        }
        let answers = member(path, file, "ans")?;
        let labels = read_labels(path, &answers, count)?;
        let class_names = read_class_names(path, file, &answers)?;
        let what = path.display().to_string();
        let class_count = source::class_count(&what, &labels, class_names.as_deref())?;
        if let Some(names) = class_names.as_ref().filter(|names| names.len() < class_count) {
            let problem =
                format!("`class_names` has {} names, but the labels go up to {}", names.len(), class_count - 1);
            return Err(Error::file(path, problem, "give the attribute one name per class"));
        }
        let sky = read_sky(path, file, count)?;
        let chunks = Chunks::locate(path, bytes, file, &images)?;
        Ok(Self { path, images, chunks, meta: Meta { height, width, labels, class_count, class_names, sky } })
    }
}

impl Source for File<'_> {
    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn note(&self) -> Option<String> {
        let slow = self.chunks.is_none() && self.images.is_chunked();
        let note = "`images` is stored in a form that only libhdf5 reads, in one thread; plain gzip in small chunks is read \
                    on all cores.";
        slow.then(|| note.to_owned())
    }

    fn stream(&self, receive: &mut Receiver) -> Result<(), Stop> {
        if let Some(chunks) = &self.chunks {
            return chunks.stream(receive);
        }
        let count = self.meta.labels.len();
        // Whole rows of chunks: otherwise libhdf5 would unpack each chunk twice.
        let chunk = self.images.chunk().and_then(|chunk| chunk.first().copied()).unwrap_or(1).max(1);
        let fitting = SLAB_BYTES / (self.meta.height * self.meta.width * 3);
        let rows = (fitting / chunk).max(1) * chunk;
        for first in (0..count).step_by(rows) {
            let end = (first + rows).min(count);
            let slab = self.images.read_slice::<u8, _, Ix4>(ndarray::s![first..end, .., .., ..]);
            let slab = slab.map_err(|error| damaged(self.path, first..end, error))?;
            receive(slab.as_slice().unwrap_or_default()).map_err(Stop::Receiver)?;
        }
        Ok(())
    }
}

/// Opens the data set `name` of the root.
fn member(path: &Path, file: &h5::File, name: &str) -> Result<h5::Dataset> {
    file.dataset(name).map_err(|_| {
        let names = file.member_names().unwrap_or_default();
        let held = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
        Error::file(path, format!("has no data set `{name}`; it holds {held}"), LAYOUT)
    })
}

/// The type of a data set or attribute, and its name for people.
fn type_name(container: &h5::Container) -> (Option<TypeDescriptor>, String) {
    match container.dtype().and_then(|dtype| dtype.to_descriptor()) {
        Ok(descriptor) => (Some(descriptor.clone()), descriptor.to_string()),
        Err(_) => (None, "an unknown type".to_owned()),
    }
}

/// A data set of one number per image must have the shape `[count]`.
fn check_rows(path: &Path, name: &str, data: &h5::Dataset, count: usize) -> Result<()> {
    let shape = data.shape();
    if shape != [count] {
        let problem = format!("`{name}` has the shape {shape:?}, but there are {count} images");
        return Err(Error::file(path, problem, format!("it must have the shape [{count}]")));
    }
    Ok(())
}

fn read_labels(path: &Path, answers: &h5::Dataset, count: usize) -> Result<Vec<u32>> {
    check_rows(path, "ans", answers, count)?;
    let (descriptor, found) = type_name(answers);
    if !matches!(descriptor, Some(TypeDescriptor::Integer(_) | TypeDescriptor::Unsigned(_))) {
        return Err(Error::file(path, format!("`ans` holds {found}, not integers"), LAYOUT));
    }
    let labels: Vec<i64> = answers.read_raw().map_err(|error| unreadable(path, "ans", &error))?;
    let check = |(row, &label): (usize, &i64)| match u32::try_from(label) {
        Ok(label) if (label as usize) < source::MOST_CLASSES => Ok(label),
        _ => {
            let problem = format!("`ans` is {label} in row {row}");
            Err(Error::file(path, problem, "labels must be 0 to 255"))
        }
    };
    labels.iter().enumerate().map(check).collect()
}

fn unreadable(path: &Path, name: &str, error: &h5::Error) -> Error {
    Error::file(path, format!("`{name}` cannot be read ({error})"), "the file is damaged: download or copy it again")
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

/// Reads `ra` and `dec`, in degrees; checks the columns that are not used as well. NaN in both stands for an unknown
/// position; a file with no other positions has none.
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
    for row in 0..count {
        if ra[row].is_nan() && dec[row].is_nan() {
            continue;
        }
        for (name, value, limit) in [("ra", ra[row], 360.0), ("dec", dec[row], 90.0)] {
            if !(-limit..=limit).contains(&value) {
                let remedy =
                    format!("it must be -{limit} to {limit} degrees, or NaN in both `ra` and `dec` if unknown");
                return Err(Error::file(path, format!("`{name}` is {value} in row {row}"), remedy));
            }
        }
    }
    let sky: Vec<Sky> = ra.into_iter().zip(dec).map(|(ra, dec)| Sky { ra, dec }).collect();
    Ok(sky.iter().any(|position| position.is_known()).then_some(sky))
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
    let strings = read_strings(&attribute).map_err(wrong)?;
    let names: Vec<String> = match strings.as_slice() {
        [one] if one.contains(',') => one.split(',').map(|name| name.trim().to_owned()).collect(),
        _ => strings,
    };
    source::check_names(&names).map_err(|problem| wrong(format!("has {problem}")))?;
    if names.is_empty() || names.len() > source::MOST_CLASSES {
        return Err(wrong(format!("has {} names", names.len())));
    }
    Ok(Some(names))
}

/// Reads an attribute of strings of any kind.
fn read_strings(attribute: &h5::Attribute) -> Result<Vec<String>, String> {
    /// Longest fixed-size name: libhdf5 pads or cuts strings to the size that is asked for.
    const LONGEST: usize = 1024;
    fn read<T: h5::H5Type + ToString>(attribute: &h5::Attribute) -> Result<Vec<String>, String> {
        let strings: Vec<T> = attribute.read_raw().map_err(|error| format!("cannot be read ({error})"))?;
        Ok(strings.iter().map(ToString::to_string).collect())
    }
    if attribute.size() > source::MOST_CLASSES {
        return Err(format!("has {} names", attribute.size()));
    }
    match type_name(attribute) {
        (Some(TypeDescriptor::VarLenUnicode), _) => read::<VarLenUnicode>(attribute),
        (Some(TypeDescriptor::VarLenAscii), _) => read::<VarLenAscii>(attribute),
        (Some(TypeDescriptor::FixedUnicode(_)), _) => read::<FixedUnicode<LONGEST>>(attribute),
        (Some(TypeDescriptor::FixedAscii(_)), _) => read::<FixedAscii<LONGEST>>(attribute),
        (_, found) => Err(format!("holds {found}, not strings")),
    }
}

/// Writes `dataset` to `path` in the layout above: images in gzip-compressed chunks, `ans` as u8, `ra` and `dec` where
/// known, and the class names where they are not Galaxy10's. The file appears complete or not at all; one that was
/// there is replaced.
///
/// # Errors
/// [`Error::Data`] where the data set is inconsistent, [`Error::File`] where the file cannot be written.
pub fn write_hdf5(path: &Path, dataset: &Dataset) -> Result<()> {
    h5::silence_errors(true);
    let labels = check_writable(dataset)?;
    let failed = |error: &dyn std::fmt::Display| {
        Error::file(path, format!("cannot be written ({error})"), "check that its folder exists and has room")
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".galaxy-gpu-").suffix(".part");
    // A temporary file is private by default; the finished one shall be as readable as any other.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let temporary = builder.tempfile_in(folder).map_err(|error| failed(&error))?.into_temp_path();
    fill(&temporary, dataset, &labels).map_err(|error| failed(&error))?;
    std::fs::File::open(&temporary).and_then(|file| file.sync_all()).map_err(|error| failed(&error))?;
    temporary.persist(path).map_err(|error| failed(&error))
}

/// The labels as bytes, where the parts of `dataset` fit each other.
fn check_writable(dataset: &Dataset) -> Result<Vec<u8>> {
    let wrong = |problem: String| Error::data(&dataset.name, problem, "build the data set again");
    if dataset.is_empty() || dataset.pixels.len() != dataset.len() * dataset.image_bytes() {
        return Err(wrong(format!("{} bytes of pixels do not make {} images", dataset.pixels.len(), dataset.len())));
    }
    if let Some(sky) = dataset.sky.as_ref().filter(|sky| sky.len() != dataset.len()) {
        return Err(wrong(format!("{} positions do not fit {} images", sky.len(), dataset.len())));
    }
    let outside = |label: u32| wrong(format!("label {label} is not one of {} classes", dataset.classes.len()));
    let byte = |&label: &u32| match u8::try_from(label) {
        Ok(byte) if usize::from(byte) < dataset.classes.len() => Ok(byte),
        _ => Err(outside(label)),
    };
    dataset.labels.iter().map(byte).collect()
}

/// Writes all members of a new file at `path`.
fn fill(path: &Path, dataset: &Dataset, labels: &[u8]) -> Result<(), h5::Error> {
    let file = h5::File::create(path)?;
    let (count, height, width) = (dataset.len(), dataset.height, dataset.width);
    // One colour per chunk: planes compress better than interleaved colours.
    let rows = (CHUNK_BYTES / (height * width)).clamp(1, count);
    let images = file
        .new_dataset::<u8>()
        .chunk((rows, height, width, 1))
        .deflate(GZIP_LEVEL)
        .shape((count, height, width, 3))
        .create("images")?;
    images.write_raw(&dataset.pixels[..])?;
    let answers = file.new_dataset_builder().with_data(labels).create("ans")?;
    if let Some(sky) = &dataset.sky {
        let ra: Vec<f64> = sky.iter().map(|position| position.ra).collect();
        let dec: Vec<f64> = sky.iter().map(|position| position.dec).collect();
        file.new_dataset_builder().with_data(&ra).create("ra")?;
        file.new_dataset_builder().with_data(&dec).create("dec")?;
    }
    if dataset.classes != GALAXY10_CLASSES {
        let names: Result<Vec<VarLenUnicode>, _> = dataset.classes.iter().map(|name| name.parse()).collect();
        let names = names.map_err(|_| h5::Error::from("a class name holds a zero byte"))?;
        answers.new_attr_builder().with_data(&names).create("class_names")?;
    }
    file.close()
}
