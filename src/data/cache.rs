//! Decoded data sets as flat files: unpacked once, mapped into memory from then on.
//!
//! A cache file is named after the hash of its source, so that a changed source never gets an old file. Hashing a large
//! source takes seconds, so a small record for each path keeps the hash while size and time of change stay the same.
//! Whatever is wrong with the cache, the data set loads: the file is built again or the pixels stay in memory, and a
//! note says so. This file knows neither HDF5 nor pictures.
//!
//! Format, little-endian: magic (8 bytes), version (u32), length of the header (u32), BLAKE3 of what follows up to
//! the pixels (32 bytes), header (JSON), labels (u32 each), positions if known (right ascension and declination, f64
//! each), pixels. Pixels are not hashed when they are mapped, since that would read all of them: a file is only ever
//! renamed into place once it is complete.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::source::{self, ImageSource, Loaded, Meta, Stop};
use super::{Pixels, Sky};
use crate::files::{cache_folder, open_file};
use crate::{Error, Result};

const MAGIC: [u8; 8] = *b"GALXGPU\0";
const VERSION: u32 = 1;
/// Bytes before the header.
const PREFIX: usize = 48;
/// Longest header that is read: 256 names fit many times over.
const LONGEST_HEADER: usize = 1 << 20;
/// A file changed more recently than this may change again within the resolution of its clock.
const SETTLED: Duration = Duration::from_secs(2);

/// Opens and checks a source without decoding it.
pub(crate) type Open<'a> = dyn Fn() -> Result<Box<dyn ImageSource + 'a>> + 'a;

/// The first part of a cache file.
#[derive(Serialize, Deserialize)]
struct CacheHeader {
    count: usize,
    height: usize,
    width: usize,
    class_count: usize,
    class_names: Option<Vec<String>>,
    sky: bool,
}

/// Loads a single file at `path` through the cache in `cache_dir`, or in the user's cache folder.
///
/// # Errors
/// Those of `open` and of the source, and [`Error::File`] where the file cannot be read or changes meanwhile.
pub(crate) fn load_file(path: &Path, cache_dir: Option<&Path>, open: &Open) -> Result<Loaded> {
    let folder = match prepare(cache_dir) {
        Ok(folder) => folder,
        Err(note) => return in_memory(path, &*open()?, vec![note]),
    };
    let before = Stamp::of(path)?;
    let record = Record::place(&folder, path, "");
    let key = match Record::read(&record) {
        Some(known) if known.stamp == before => known.hash,
        known => {
            let hash = hash_file(path)?;
            forget(&folder, known, &hash);
            hash
        }
    };
    let loaded = load_keyed(path, &folder, &key, open)?;
    if Stamp::of(path)? != before {
        let _ = std::fs::remove_file(place(&folder, &key));
        return Err(Error::file(path, "changed while it was read", "wait until it is complete and start again"));
    }
    if before.settled() {
        // Without its record the file is hashed again next time; no more than that is lost.
        let _ = Record { stamp: before, hash: key }.write(&folder, &record);
    }
    Ok(loaded)
}

/// Loads a source at `path`. `key` (64 hexadecimal digits) identifies its content, `variant` the way it is decoded.
pub(crate) fn load_with_key(
    path: &Path,
    cache_dir: Option<&Path>,
    key: String,
    variant: &str,
    open: &Open,
) -> Result<Loaded> {
    let folder = match prepare(cache_dir) {
        Ok(folder) => folder,
        Err(note) => return in_memory(path, &*open()?, vec![note]),
    };
    let record = Record::place(&folder, path, variant);
    forget(&folder, Record::read(&record), &key);
    let loaded = load_keyed(path, &folder, &key, open)?;
    // Without its record an old file stays after a change; no more than that is lost.
    let _ = Record { stamp: Stamp { size: 0, changed: 0 }, hash: key }.write(&folder, &record);
    Ok(loaded)
}

/// Removes the pixels of an earlier version of a source.
fn forget(folder: &Path, known: Option<Record>, hash: &str) {
    if let Some(old) = known.filter(|known| known.hash != hash) {
        let _ = std::fs::remove_file(place(folder, &old.hash));
    }
}

fn load_keyed(path: &Path, folder: &Path, key: &str, open: &Open) -> Result<Loaded> {
    let place = place(folder, key);
    let mut notes = Vec::new();
    match read(&place) {
        Ok((meta, pixels)) => return Ok(Loaded { meta, pixels, given: None, notes }),
        Err(Flaw::Missing) => {}
        Err(Flaw::Damaged(problem)) => {
            notes.push(format!("The cache file {} {problem} and was built again.", place.display()));
        }
    }
    let source = open()?;
    notes.extend(source.note());
    match write(folder, &place, &*source) {
        Ok(()) => {}
        Err(Stop::Source(error)) => return Err(error),
        Err(Stop::Receiver(error)) => {
            notes.push(not_kept(&place, &error));
            return in_memory(path, &*source, notes);
        }
    }
    match read(&place) {
        Ok((meta, pixels)) => {
            let size = meta.pixel_bytes().div_ceil(1 << 20);
            notes.push(format!("Decoded pixels are kept in {} ({size} MiB).", place.display()));
            Ok(Loaded { meta, pixels, given: None, notes })
        }
        Err(flaw) => {
            notes.push(not_kept(&place, &flaw));
            in_memory(path, &*source, notes)
        }
    }
}

fn not_kept(place: &Path, why: &dyn std::fmt::Display) -> String {
    format!("Decoded pixels could not be kept in {} ({why}), so they stay in memory.", place.display())
}

fn in_memory(path: &Path, source: &dyn ImageSource, notes: Vec<String>) -> Result<Loaded> {
    let pixels = Pixels::Owned(source::into_memory(source, path)?);
    Ok(Loaded { meta: source.meta().clone(), pixels, given: None, notes })
}

/// The cache folder, made if need be; the error is a note.
fn prepare(cache_dir: Option<&Path>) -> Result<PathBuf, String> {
    let folder = match cache_dir {
        Some(folder) => folder.to_owned(),
        None => cache_folder().ok_or("This user has no cache folder, so decoded pixels stay in memory.")?,
    };
    std::fs::create_dir_all(&folder).map_err(|error| not_kept(&folder, &error))?;
    Ok(folder)
}

fn place(folder: &Path, key: &str) -> PathBuf {
    folder.join(format!("{key}.u8"))
}

/// Why a cache file cannot be used.
enum Flaw {
    Missing,
    Damaged(String),
}

impl std::fmt::Display for Flaw {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Self::Missing => out.write_str("it is gone"),
            Self::Damaged(problem) => out.write_str(problem),
        }
    }
}

impl From<io::Error> for Flaw {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing,
            io::ErrorKind::UnexpectedEof => Self::Damaged("was cut off".into()),
            _ => Self::Damaged(format!("could not be read ({error})")),
        }
    }
}

/// Checks a cache file and maps its pixels.
fn read(place: &Path) -> Result<(Meta, Pixels), Flaw> {
    let damaged = |problem: &str| Flaw::Damaged(problem.into());
    let mut file = File::open(place)?;
    let length = file.metadata()?.len();
    let mut prefix = [0; PREFIX];
    file.read_exact(&mut prefix)?;
    let number = |at: usize| u32::from_le_bytes([prefix[at], prefix[at + 1], prefix[at + 2], prefix[at + 3]]);
    if prefix[..8] != MAGIC || number(8) != VERSION {
        return Err(damaged("was of another kind"));
    }
    let header_length = number(12) as usize;
    if header_length > LONGEST_HEADER {
        return Err(damaged("had a damaged header"));
    }
    let mut block = vec![0; header_length];
    file.read_exact(&mut block)?;
    let header: CacheHeader = serde_json::from_slice(&block).map_err(|_| damaged("had a damaged header"))?;
    let (table, pixels) = header.sizes().ok_or_else(|| damaged("had a damaged header"))?;
    let start = PREFIX + header_length + table;
    // Before anything is reserved: a damaged count must not ask for terabytes.
    if (start as u64).checked_add(pixels as u64) != Some(length) {
        return Err(damaged("had the wrong length"));
    }
    block.resize(header_length + table, 0);
    file.read_exact(&mut block[header_length..])?;
    if blake3::hash(&block).as_bytes() != &prefix[16..] {
        return Err(damaged("had a wrong checksum"));
    }
    let meta = header.into_meta(&block[header_length..]);
    Ok((meta, Pixels::Mapped(map(&file, start as u64, pixels)?)))
}

/// Maps `length` bytes of `file` from `start` on.
#[allow(unsafe_code, reason = "memory-mapping has no safe interface: another process may change the file")]
fn map(file: &File, start: u64, length: usize) -> io::Result<memmap2::Mmap> {
    // SAFETY: the bytes of a mapping must not change while it is borrowed. Files of the cache are never written in
    // place: `write` renames a complete file over the old one, whose mappings keep the old content. The mapping is
    // only ever read as u8, for which every value is valid.
    unsafe { memmap2::MmapOptions::new().offset(start).len(length).map(file) }
}

impl CacheHeader {
    /// Bytes of labels and positions, and bytes of pixels; none where they make no sense.
    fn sizes(&self) -> Option<(usize, usize)> {
        let table = self.count.checked_mul(if self.sky { 20 } else { 4 })?;
        let pixels = self.count.checked_mul(self.height)?.checked_mul(self.width)?.checked_mul(3)?;
        (pixels > 0 && table <= isize::MAX as usize && pixels <= isize::MAX as usize).then_some((table, pixels))
    }

    /// Reads labels and positions from `table`, which has the length that [`CacheHeader::sizes`] gave.
    fn into_meta(self, table: &[u8]) -> Meta {
        let (labels, sky) = table.split_at(self.count * 4);
        let labels = labels.as_chunks().0.iter().map(|&bytes| u32::from_le_bytes(bytes)).collect();
        let numbers: Vec<f64> = sky.as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect();
        let sky = numbers.as_chunks().0.iter().map(|&[ra, dec]| Sky { ra, dec }).collect();
        let (height, width, class_count) = (self.height, self.width, self.class_count);
        Meta { height, width, labels, class_count, class_names: self.class_names, sky: self.sky.then_some(sky) }
    }

    /// Header, labels and positions of `meta` as they are stored, and the length of the header.
    fn block(meta: &Meta) -> io::Result<(Vec<u8>, u32)> {
        let header = Self {
            count: meta.labels.len(),
            height: meta.height,
            width: meta.width,
            class_count: meta.class_count,
            class_names: meta.class_names.clone(),
            sky: meta.sky.is_some(),
        };
        let mut block = serde_json::to_vec(&header)?;
        let length = u32::try_from(block.len()).map_err(io::Error::other)?;
        block.extend(meta.labels.iter().flat_map(|label| label.to_le_bytes()));
        for position in meta.sky.iter().flatten() {
            block.extend(position.ra.to_le_bytes());
            block.extend(position.dec.to_le_bytes());
        }
        Ok((block, length))
    }
}

/// Decodes `source` into a new cache file at `place`, which appears complete or not at all.
fn write(folder: &Path, place: &Path, source: &dyn ImageSource) -> Result<(), Stop> {
    let temporary = tempfile::Builder::new().prefix(".building-").tempfile_in(folder).map_err(Stop::Receiver)?;
    let mut out = BufWriter::with_capacity(1 << 20, temporary);
    let (block, header_length) = CacheHeader::block(source.meta()).map_err(Stop::Receiver)?;
    let mut start = || -> io::Result<()> {
        out.write_all(&MAGIC)?;
        out.write_all(&VERSION.to_le_bytes())?;
        out.write_all(&header_length.to_le_bytes())?;
        out.write_all(blake3::hash(&block).as_bytes())?;
        out.write_all(&block)
    };
    start().map_err(Stop::Receiver)?;
    source.stream(&mut |piece| out.write_all(piece))?;
    let temporary = out.into_inner().map_err(|error| Stop::Receiver(error.into_error()))?;
    // Before the rename: after a power cut the name must not stand for blocks that were never written.
    temporary.as_file().sync_all().map_err(Stop::Receiver)?;
    temporary.persist(place).map_err(|error| Stop::Receiver(error.error))?;
    Ok(())
}

/// Size and time of change of a file.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    /// Bytes.
    pub size: u64,
    /// Time of the last change, in nanoseconds since 1970.
    pub changed: u64,
}

impl Stamp {
    /// The stamp of the file at `path`.
    ///
    /// # Errors
    /// [`Error::File`] where its metadata cannot be read.
    pub fn of(path: &Path) -> Result<Self> {
        let failed = |error| Error::file(path, format!("cannot be read ({error})"), "check its permissions");
        let about = std::fs::metadata(path).map_err(failed)?;
        let changed = about.modified().map_err(failed)?.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Self { size: about.len(), changed: u64::try_from(changed.as_nanos()).unwrap_or(u64::MAX) })
    }

    /// Whether another change would show in the stamp, because the last one is old enough.
    fn settled(self) -> bool {
        let changed = UNIX_EPOCH + Duration::from_nanos(self.changed);
        SystemTime::now().duration_since(changed).is_ok_and(|age| age > SETTLED)
    }
}

/// The hash of a source file, valid for as long as its stamp stays the same.
#[derive(Serialize, Deserialize)]
struct Record {
    stamp: Stamp,
    hash: String,
}

impl Record {
    /// Where the record of the source at `path` is kept.
    fn place(folder: &Path, path: &Path, variant: &str) -> PathBuf {
        let full = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let mut name = full.as_os_str().as_encoded_bytes().to_vec();
        // No path holds a zero byte.
        name.push(0);
        name.extend(variant.as_bytes());
        folder.join(format!("{}.json", blake3::hash(&name).to_hex()))
    }

    fn read(place: &Path) -> Option<Self> {
        let record: Self = serde_json::from_slice(&std::fs::read(place).ok()?).ok()?;
        // The hash becomes a file name.
        let valid = record.hash.len() == 64 && record.hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        valid.then_some(record)
    }

    fn write(&self, folder: &Path, place: &Path) -> io::Result<()> {
        let mut temporary = tempfile::Builder::new().prefix(".record-").tempfile_in(folder)?;
        temporary.write_all(&serde_json::to_vec(self)?)?;
        temporary.persist(place)?;
        Ok(())
    }
}

/// BLAKE3 of a file's content, as hexadecimal digits.
fn hash_file(path: &Path) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    let mut file = open_file(path)?;
    let mut buffer = vec![0; 4 << 20];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finalize().to_hex().to_string()),
            Ok(length) => hasher.update_rayon(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::file(path, format!("cannot be read ({error})"), "check the disk")),
        };
    }
}
