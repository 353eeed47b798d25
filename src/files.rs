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

/// Where in a text a byte stands, to begin a message with: `line 3, column 7: `.
pub fn line_and_column(text: &str, byte: usize) -> String {
    text.get(..byte).map_or(String::new(), |before| {
        let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
        format!("line {}, column {column}: ", before.matches('\n').count() + 1)
    })
}

/// How the names of files begin that are being written; a process that was killed leaves them behind.
const UNFINISHED: &str = ".unfinished";

/// Writes a file whole and for good: to a temporary file in the same folder, synced, then renamed, then the folder is
/// synced. After a crash or a power cut there is the old file or the new one.
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
    let mut file = builder.prefix(UNFINISHED).tempfile_in(folder).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    sync_folder(folder).map_err(failed)
}

/// Makes what was renamed in a folder outlast a power cut.
///
/// # Errors
/// What the disk says.
pub fn sync_folder(folder: &Path) -> std::io::Result<()> {
    // Elsewhere folders cannot be opened, and some file systems cannot sync them: renaming is all there is.
    #[cfg(unix)]
    if let Err(error) = std::fs::File::open(folder)?.sync_all()
        && !matches!(error.kind(), std::io::ErrorKind::InvalidInput | std::io::ErrorKind::Unsupported)
    {
        return Err(error);
    }
    Ok(())
}

/// [`sync_folder`] of the folder that a file is in.
///
/// # Errors
/// What the disk says.
pub fn sync_folder_of(file: &Path) -> std::io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    sync_folder(folder.unwrap_or(Path::new(".")))
}

/// Removes what killed processes left unfinished in a folder that no other process writes to. What cannot be removed stays
/// and does no harm.
pub fn remove_unfinished(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_replaced_whole_and_leftovers_go() {
        let folder = tempfile::tempdir().unwrap();
        let names = || std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let path = folder.path().join("file");
        for text in ["first, which is longer", "second"] {
            write_whole(&path, text.as_bytes()).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(names().count(), 1);
        std::fs::write(folder.path().join(".unfinishedX1"), "hal").unwrap();
        remove_unfinished(folder.path());
        assert_eq!(names().collect::<Vec<_>>(), ["file"]);
        std::fs::create_dir(folder.path().join("folder")).unwrap();
        assert!(write_whole(&folder.path().join("folder"), b"x").is_err());
        assert_eq!(names().count(), 2, "a failure leaves nothing behind");
        assert!(write_whole(&folder.path().join("none/file"), b"x").is_err());
    }
}
