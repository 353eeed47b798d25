//! Writing files so that a reader finds the old one or the new one, never half of one, and the user's cache folder.

use crate::error::{Error, Result};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// The folder of what can be made again, in the user's cache folder; it may not exist yet. `None` for a user without one.
pub fn cache_folder() -> Option<PathBuf> {
    dirs::cache_dir().map(|folder| folder.join("galaxy-gpu"))
}

/// Opens a file to be read. No more than `most` bytes of it are believed: a longer one is refused unread, one that grows meanwhile
/// is cut off.
///
/// # Errors
/// [`Error::File`] when it cannot be opened, is a folder, or is longer.
pub fn open_bounded(path: &Path, most: u64) -> Result<impl Read> {
    let failed = |error| Error::file(path, format!("cannot be read ({error})"), "check its path and permissions");
    let file = File::open(path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    if about.is_dir() {
        return Err(Error::file(path, "is a folder", "name a file"));
    }
    if about.len() > most {
        let problem = format!("is {} bytes long, more than {most}", about.len());
        return Err(Error::file(path, problem, "check that it is the right file"));
    }
    Ok(file.take(most))
}

/// Reads the text file at `path`, of at most `most` bytes.
///
/// # Errors
/// As [`open_bounded`], and where it is not UTF-8.
pub fn read_text(path: &Path, most: u64) -> Result<String> {
    let mut text = String::new();
    let read = open_bounded(path, most)?.read_to_string(&mut text);
    read.map_err(|error| {
        Error::file(path, format!("cannot be read as text ({error})"), "check that it is the right file")
    })?;
    Ok(text)
}

/// Writes a file whole: to a temporary file in the same folder, synced, then renamed.
///
/// # Errors
/// [`Error::File`] when it cannot be written; nothing is left behind and an earlier file stays.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let remedy = "check that its folder exists, may be written to and has space left";
    let failed = |error: std::io::Error| Error::file(path, error, remedy);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    // Temporary files are private by default; the result should have the permissions of any other new file.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.prefix(".unfinished").tempfile_in(folder).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    file.persist(path).map(drop).map_err(|error| failed(error.error))
}
