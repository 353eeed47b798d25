//! `.keras` archives: zips of which three members are read, by their exact names, and nothing else is unpacked anywhere.
//!
//! Bounds: [`LARGEST_TABLE`] bytes of the archive to list it; [`LARGEST_TEXT`] bytes of text a member; weights of
//! [`LARGEST_WEIGHTS`] bytes, and of [`MOST_SWELLING`] times what they take in the archive.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::rc::Rc;

use tempfile::NamedTempFile;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::{Refusal, refusal};
use crate::error::{Error, Result};

/// The description of the model.
const CONFIG: &str = "config.json";
/// Who saved it.
const METADATA: &str = "metadata.json";
/// Its weights, an HDF5 file.
const WEIGHTS: &str = "model.weights.h5";

/// Most bytes that are read to list an archive, which has three members, or a few more.
const LARGEST_TABLE: u64 = 4 << 20;
/// Largest text, in bytes.
const LARGEST_TEXT: u64 = 16 << 20;
/// Largest weights, in bytes: with the state of an optimizer, three times what this program reads of them.
const LARGEST_WEIGHTS: u64 = 4 << 30;
/// Most bytes that a compressed byte may become. Trained weights hardly shrink; what swells more is a bomb.
const MOST_SWELLING: u64 = 100;

/// First bytes of an archive.
pub const SIGNATURE: &[u8] = b"PK\x03\x04";
/// What to do about a damaged archive.
const AGAIN: &str = "save it again with Keras's model.save(\"NAME.keras\")";

/// What an archive holds.
pub struct Parts {
    /// Text of `config.json`.
    pub config: String,
    /// Text of `metadata.json`, where it is there.
    pub metadata: Option<String>,
    /// `model.weights.h5`, in a temporary file.
    pub weights: NamedTempFile,
}

/// A file of which only so many bytes may be read.
struct Metered {
    file: File,
    left: Rc<Cell<u64>>,
}

impl Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        match self.left.get().checked_sub(count as u64) {
            Some(left) => self.left.set(left),
            None => return Err(io::Error::other("more of it is read than any model needs")),
        }
        Ok(count)
    }
}

impl Seek for Metered {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// Unpacks an archive.
///
/// # Errors
/// [`Error::File`]: no archive, a damaged one, one without its members, a bomb.
pub fn unpack(path: &Path) -> Result<Parts> {
    let read = catch_unwind(AssertUnwindSafe(|| parts(path)));
    // The library is young and the file may be anybody's.
    let read = read.unwrap_or_else(|_| Err(refusal("unpacking it broke down", AGAIN)));
    read.map_err(|(problem, remedy)| Error::file(path, problem, remedy))
}

fn parts(path: &Path) -> Result<Parts, Refusal> {
    let damaged = |error: &dyn std::fmt::Display| refusal(format!("is a damaged archive ({error})"), AGAIN);
    let left = Rc::new(Cell::new(LARGEST_TABLE));
    let file = File::open(path).map_err(|error| damaged(&error))?;
    let mut archive = ZipArchive::new(Metered { file, left: Rc::clone(&left) }).map_err(|error| damaged(&error))?;
    left.set(LARGEST_WEIGHTS + 3 * LARGEST_TEXT);
    let there = |name: &str| archive.index_for_name(name).is_some();
    if let Some(missing) = [CONFIG, WEIGHTS].into_iter().find(|name| !there(name)) {
        return Err(refusal(format!("is an archive without {missing}"), AGAIN));
    }
    let described = there(METADATA);
    let config = text(&mut archive, CONFIG)?;
    let metadata = described.then(|| text(&mut archive, METADATA)).transpose()?;
    let unwritable = |error: io::Error| {
        refusal(
            format!("its weights cannot be unpacked ({error})"),
            "check the room left in the folder for temporary files",
        )
    };
    let mut weights = NamedTempFile::new().map_err(unwritable)?;
    copy(&mut archive, WEIGHTS, LARGEST_WEIGHTS, &mut weights)?;
    weights.flush().map_err(unwritable)?;
    Ok(Parts { config, metadata, weights })
}

fn text(archive: &mut ZipArchive<Metered>, name: &str) -> Result<String, Refusal> {
    let mut bytes = Vec::new();
    copy(archive, name, LARGEST_TEXT, &mut bytes)?;
    String::from_utf8(bytes).map_err(|_| refusal(format!("its {name} is no text"), AGAIN))
}

/// Copies a member of at most so many bytes.
fn copy(archive: &mut ZipArchive<Metered>, name: &str, most: u64, out: &mut dyn Write) -> Result<(), Refusal> {
    let failed = |error: &dyn std::fmt::Display| refusal(format!("its {name} cannot be unpacked ({error})"), AGAIN);
    let member = archive.by_name(name).map_err(|error| failed(&error))?;
    let (size, packed) = (member.size(), member.compressed_size());
    if size > most {
        return Err(refusal(format!("its {name} claims {size} bytes, more than {most}"), AGAIN));
    }
    if size > MOST_SWELLING.saturating_mul(packed) {
        return Err(refusal(format!("its {name} claims to become {size} bytes from {packed}"), AGAIN));
    }
    let copied = io::copy(&mut member.take(size + 1), out).map_err(|error| failed(&error))?;
    if copied != size {
        return Err(refusal(format!("its {name} is not {size} bytes long, as it says"), AGAIN));
    }
    Ok(())
}

/// Makes an archive. Times are left out, so that equal models are equal files.
///
/// # Errors
/// What the library says.
pub fn pack(config: &str, metadata: &str, weights: &[u8]) -> Result<Vec<u8>, String> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, bytes) in [(METADATA, metadata.as_bytes()), (CONFIG, config.as_bytes()), (WEIGHTS, weights)] {
        let options = options.large_file(bytes.len() > u32::MAX as usize);
        archive.start_file(name, options).map_err(|error| error.to_string())?;
        archive.write_all(bytes).map_err(|error| error.to_string())?;
    }
    archive.finish().map(Cursor::into_inner).map_err(|error| error.to_string())
}
