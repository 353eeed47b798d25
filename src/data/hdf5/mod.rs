//! HDF5 files in the layout of Galaxy10.
//!
//! | data set | type | shape |
//! |---|---|---|
//! | `images` | u8, or floats from 0 to 1 | `[N, H, W, 3]` |
//! | `ans` | whole numbers, 0 to 255; or one-hot | `[N]`; or `[N, classes]` |
//! | `ra`, `dec` (optional, degrees), `redshift`, `pxscale` (optional, not used) | f32 or f64 | `[N]` |
//!
//! An attribute `class_names` of `ans` or of the root may name the classes: strings, or one string with commas.
//!
//! Damaged tables can crash libhdf5 (1.10 reads outside its memory), so only a child process gives it a user's file
//! ([`Reader::Child`]; `serve.rs` is the child, `child.rs` its parent, `wire.rs` their protocol). The child describes the file, and
//! everything it says is checked here. It then hands over gzip-compressed chunks of pixels as they are stored, and the parent
//! unpacks them on all cores (`chunks.rs`). Pixels in any other form are unpacked by libhdf5 in the child, in one thread, with the
//! same result. A file that is damaged, or that crashes, hangs or fills the child, is refused with one sentence. Weights of other
//! programs are read in the same way (`tree/`).
//!
//! **Memory**, whatever the file says: the child 4 GiB, where the system can limit a process; the parent 1.3 GB for labels and
//! positions of `MOST_ROWS` images (20 bytes an image, twice while they arrive), and what `chunks.rs` states.

mod child;
mod chunks;
mod data_set;
mod labels;
mod library;
#[allow(unsafe_code, reason = "two functions of libhdf5 that its crate does not wrap")]
mod raw;
mod serve;
pub mod tree;
mod wire;
mod write;

use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::hdf5 as h5;

use self::chunks::{Chunks, Layout};
use self::labels::LabelForm;
use self::library::Opened;
pub use self::serve::serve;
use self::tree::Tree;
pub use self::wire::{COMMAND, Request};
pub use self::write::write_hdf5;
use super::source::{self, ImageSource, Loaded, Meta, Receiver, Stop};
use super::{Sky, cache};
use crate::files::open_file;
use crate::{Error, Result};

/// First bytes of an HDF5 file, which may follow a user block of 512, 1024, 2048, ... bytes.
const SIGNATURE: [u8; 8] = *b"\x89HDF\r\n\x1a\n";
/// The layout that a file must have, for remedies.
const LAYOUT: &str = "it must hold `images` (u8, N x height x width x 3) and `ans` (integers, N), as Galaxy10 does";
/// The note on pixels that are not unpacked here.
const SLOW: &str = "`images` is stored in a form that only libhdf5 reads, in one thread; plain gzip in small chunks is read \
                    on all cores.";
/// Most images of a file.
const MOST_ROWS: usize = 1 << 25;
/// Longest name of a class, in bytes; libhdf5 pads or cuts strings of fixed size to it.
const LONGEST_NAME: usize = 1024;

/// Who gives a user's file to libhdf5.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Reader {
    /// This process, which a damaged file may crash: for files of known origin.
    #[default]
    InProcess,
    /// A child process, where a damaged file does no harm.
    Child {
        /// A `galaxy-gpu` binary of this version.
        program: PathBuf,
        /// How long to wait for the child's next word.
        patience: Duration,
    },
}

impl Reader {
    /// A child process of the running program, which must be `galaxy-gpu`. It may be silent for two minutes: libhdf5 unpacks up
    /// to 512 MiB at a time.
    pub fn own_child() -> Self {
        // Linux finds the program by this name even after it was replaced or removed.
        let own = Path::new("/proc/self/exe");
        let program = match std::env::current_exe() {
            _ if own.exists() => own.to_owned(),
            Ok(program) => program,
            Err(_) => "galaxy-gpu".into(),
        };
        Self::Child { program, patience: Duration::from_secs(120) }
    }
}

/// Version of the libhdf5 that runs.
pub fn library_version() -> (u8, u8, u8) {
    h5::library_version()
}

/// Loads the file at `path` through the cache; see [`super::Dataset::load`].
///
/// # Errors
/// [`Error::File`] where the file is no HDF5 file or has another layout, [`Error::Data`] where a class has no image.
pub(crate) fn load(path: &Path, reader: &Reader, cache_dir: Option<&Path>) -> Result<Loaded> {
    // Before the file is hashed, to refuse a wrong one at once.
    check_signature(path, "give an HDF5 file or a folder with a folder of pictures per class")?;
    cache::load_file(path, cache_dir, &|| Ok(Box::new(Images::open(path, reader)?)))
}

impl Tree {
    /// Reads the file at `path`, without attributes of other names and without the state of an optimizer.
    ///
    /// # Errors
    /// [`Error::File`] where it is no HDF5 file, damaged, or larger than `tree` allows.
    pub fn read(path: &Path, reader: &Reader) -> Result<Self> {
        check_signature(path, "give a model or weights that Keras has saved (.keras, .h5, .weights.h5)")?;
        match reader {
            Reader::InProcess => tree::walk(path),
            Reader::Child { program, patience } => child::tree(program, *patience, path),
        }
    }
}

/// Refuses a file that is not HDF5, without libhdf5.
fn check_signature(path: &Path, remedy: &str) -> Result<()> {
    let failed = |error| Error::file(path, format!("cannot be read ({error})"), "check that it is a readable file");
    let mut file = open_file(path)?;
    let length = file.metadata().map_err(failed)?.len();
    for at in std::iter::once(0).chain((9..).map(|power| 1u64 << power)).take_while(|at| at + 8 <= length) {
        let mut start = [0; 8];
        file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(&mut start)).map_err(failed)?;
        if start == SIGNATURE {
            return Ok(());
        }
    }
    Err(Error::file(path, "is not an HDF5 file", remedy))
}

/// Everything about a file but its pixels.
struct Description {
    meta: Meta,
    /// How its pixels are stored, if we can unpack them.
    layout: Option<Layout>,
    /// Whether they are stored in chunks.
    chunked: bool,
    label_form: LabelForm,
    /// Whether pixels are floats from 0 to 1.
    floats: bool,
}

/// A described file whose pixels have not been read.
struct Images<'a> {
    path: &'a Path,
    reader: &'a Reader,
    meta: Meta,
    /// Its chunks, if we can unpack them.
    chunks: Option<Chunks>,
    /// What the user is told of it.
    note: Option<String>,
}

impl<'a> Images<'a> {
    fn open(path: &'a Path, reader: &'a Reader) -> Result<Self> {
        let Description { meta, layout, chunked, label_form, floats } = match reader {
            Reader::InProcess => Opened::new(path)?.describe()?,
            Reader::Child { program, patience } => child::describe(program, *patience, path)?,
        };
        let shape = [meta.labels.len(), meta.height, meta.width, 3];
        let chunks = layout.map(|layout| Chunks::new(path, shape, layout)).transpose()?;
        let slow = (chunks.is_none() && chunked).then_some(SLOW);
        let floats = floats.then_some("`images` holds floats; they are taken as 0 to 1 and rounded to bytes.");
        let notes: Vec<&str> = [floats, label_form.note(), slow].into_iter().flatten().collect();
        let note = (!notes.is_empty()).then(|| notes.join(" "));
        Ok(Self { path, reader, meta, chunks, note })
    }
}

impl ImageSource for Images<'_> {
    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn note(&self) -> Option<String> {
        self.note.clone()
    }

    fn stream(&self, receive: &mut Receiver) -> Result<(), Stop> {
        match (&self.chunks, self.reader) {
            (Some(chunks), Reader::InProcess) => {
                chunks.stream(&mut Opened::new(self.path)?.chunks(chunks.layout()), receive)
            }
            (Some(chunks), Reader::Child { program, patience }) => {
                chunks.stream(&mut child::chunks(program, *patience, self.path, chunks.longest())?, receive)
            }
            (None, Reader::InProcess) => Opened::new(self.path)?.stream(receive),
            (None, Reader::Child { program, patience }) => {
                child::stream(program, *patience, self.path, self.meta.pixel_bytes(), receive)
            }
        }
    }
}

/// The error for images whose pixels cannot be read.
fn damaged(path: &Path, images: Range<usize>, problem: impl std::fmt::Display) -> Error {
    let problem = format!("images {} to {} cannot be read ({problem})", images.start, images.end - 1);
    Error::file(path, problem, "the file is damaged: download or copy it again")
}

/// Checks what a file says about its images.
fn checked_meta(
    path: &Path,
    (height, width): (usize, usize),
    labels: Vec<u32>,
    class_names: Option<Vec<String>>,
    sky: Option<Vec<Sky>>,
) -> Result<Meta> {
    source::check_size(path, labels.len(), height, width)?;
    if let Some(names) = &class_names {
        check_names(names).map_err(|problem| {
            let remedy = "store one string per class, or one string with commas";
            Error::file(path, format!("`class_names` has {problem}"), remedy)
        })?;
    }
    if let Some(row) = labels.iter().position(|&label| label as usize >= source::MOST_CLASSES) {
        let problem = format!("`ans` is {} in row {row}", labels[row]);
        return Err(Error::file(path, problem, "labels must be 0 to 255"));
    }
    let what = path.display().to_string();
    let class_count = source::class_count(&what, &labels, class_names.as_deref())?;
    if let Some(names) = class_names.as_ref().filter(|names| names.len() < class_count) {
        let problem = format!("`class_names` has {} names, but the labels go up to {}", names.len(), class_count - 1);
        return Err(Error::file(path, problem, "give the attribute one name per class"));
    }
    check_sky(path, sky.as_deref().unwrap_or_default())?;
    Ok(Meta { height, width, labels, class_count, class_names, sky })
}

/// Says what is wrong with the names of a file's classes, if anything.
fn check_names(names: &[String]) -> Result<(), String> {
    if names.is_empty() || names.len() > source::MOST_CLASSES {
        return Err(format!("{} names", names.len()));
    }
    if let Some(index) = names.iter().position(|name| name.len() > LONGEST_NAME) {
        return Err(format!("a name of {} bytes for class {index}", names[index].len()));
    }
    source::check_names(names)
}

/// Positions must be finite and in range; NaN in both coordinates stands for an unknown one.
fn check_sky(path: &Path, sky: &[Sky]) -> Result<()> {
    for (row, position) in sky.iter().enumerate() {
        if position.ra.is_nan() && position.dec.is_nan() {
            continue;
        }
        for (name, value, limit) in [("ra", position.ra, 360.0), ("dec", position.dec, 90.0)] {
            if !(-limit..=limit).contains(&value) {
                let remedy =
                    format!("it must be -{limit} to {limit} degrees, or NaN in both `ra` and `dec` if unknown");
                return Err(Error::file(path, format!("`{name}` is {value} in row {row}"), remedy));
            }
        }
    }
    Ok(())
}

/// For `fuzz/`: puts images of `shape` together from chunks of `chunk` that hold `bytes`, as if a child had read them. None where
/// there are no such chunks.
///
/// # Errors
/// Those of damaged chunks.
#[cfg(fuzzing)]
pub fn unpack(path: &Path, bytes: &[u8], shape: [usize; 4], chunk: [usize; 4]) -> Result<Option<usize>> {
    if chunks::grid(shape, chunk).is_none() {
        return Ok(None);
    }
    let chunks = Chunks::new(path, shape, Layout { chunk, gzip: Some(1), fill: 0 })?;
    let mut rest = bytes;
    let mut next = || {
        let (head, after) = rest.split_first_chunk::<2>().unwrap_or((&[0, 0], &[]));
        let (own, after) = after.split_at(usize::from(head[0]).min(after.len()));
        rest = after;
        Ok(chunks::Packed { bytes: own.to_vec(), skipped: head[1].into() })
    };
    let mut count = 0;
    let outcome = chunks.stream(&mut next, &mut |piece| {
        count += piece.len();
        Ok(())
    });
    match outcome {
        Err(Stop::Source(error)) => Err(error),
        _ => Ok(Some(count)),
    }
}
