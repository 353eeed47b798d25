//! Writes files so that a reader finds the old one or the new one, never half of one; locks; and the user's cache folder.

use crate::error::{Error, Result};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};
use tempfile::TempPath;

/// Our folder in the user's cache folder, for files that can be made again. It may not exist yet; `None` for a user without one.
pub fn cache_folder() -> Option<PathBuf> {
    dirs::cache_dir().map(|folder| folder.join("galaxy-gpu"))
}

/// First bytes of what Git LFS leaves in place of a large file, and the most bytes of such a pointer.
const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";
const LONGEST_POINTER: u64 = 1024;

/// Opens a file to read it. A folder, pipe, socket or device is refused unopened: nobody knows where those end. A pointer of Git LFS
/// is refused, as it is not the file that it stands for.
///
/// # Errors
/// [`Error::File`].
pub fn open_file(path: &Path) -> Result<File> {
    let failed = |error| Error::file(path, format!("cannot be read ({error})"), "check its path and permissions");
    let about = path.metadata().map_err(failed)?;
    match (about.is_dir(), about.is_file()) {
        (true, _) => return Err(Error::file(path, "is a folder", "name a file")),
        (_, false) => return Err(Error::file(path, "is a device, a pipe or a socket", "name a file")),
        _ => {}
    }
    let mut file = File::open(path).map_err(failed)?;
    if about.len() <= LONGEST_POINTER {
        let mut start = Vec::new();
        (&file).take(POINTER.len() as u64).read_to_end(&mut start).map_err(failed)?;
        if start == POINTER {
            return Err(Error::file(
                path,
                "is a pointer of Git LFS, not the file itself",
                "fetch it with `git lfs pull`",
            ));
        }
        file.rewind().map_err(failed)?;
    }
    Ok(file)
}

/// Options that open the file of a name itself: a link in a stranger's folder is refused, not followed.
pub fn unlinked() -> OpenOptions {
    let mut options = File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, rustix::fs::OFlags::NOFOLLOW.bits() as i32);
    options
}

/// Opens a file to read at most `most` bytes: a longer one is refused unread, one that grows meanwhile is cut off.
///
/// # Errors
/// As [`open_file`], and where it is longer.
pub fn open_bounded(path: &Path, most: u64) -> Result<impl Read> {
    let failed = |error| Error::file(path, format!("cannot be read ({error})"), "check its path and permissions");
    let file = open_file(path)?;
    let about = file.metadata().map_err(failed)?;
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

/// The position of a byte in a text, as the beginning of a message: `line 3, column 7: `.
pub fn line_and_column(text: &str, byte: usize) -> String {
    text.get(..byte).map_or(String::new(), |before| {
        let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
        format!("line {}, column {column}: ", before.matches('\n').count() + 1)
    })
}

/// In the names of unfinished files. A process that is killed leaves them behind.
const UNFINISHED: &str = ".unfinished";

/// A file that is being written under another name in the same folder, and takes its place when it is finished. After a crash or
/// a power cut there is the old file or the new one. Dropped before it is finished, it leaves nothing behind.
pub struct Unfinished {
    path: PathBuf,
    temporary: TempPath,
    out: BufWriter<File>,
}

impl Unfinished {
    /// Begins the file at `path`, as readable as any other new file.
    ///
    /// # Errors
    /// What the disk says.
    pub fn new(path: &Path) -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        // Temporary files are private by default.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let (file, temporary) = builder.prefix(UNFINISHED).tempfile_in(folder_of(path))?.into_parts();
        Ok(Self { path: path.to_owned(), temporary, out: BufWriter::new(file) })
    }

    /// Begins the file at `path` as `path.unfinished`, and replaces what a killed process has left there; `None` while another
    /// process writes it.
    ///
    /// # Errors
    /// What the disk says.
    pub fn alone(path: &Path) -> io::Result<Option<Self>> {
        let place = beside(path, UNFINISHED);
        let file = unlinked().write(true).create(true).truncate(false).open(&place)?;
        // Another process may have finished the file before it was locked here: then it has its final name now.
        if claim(&file) == Claim::Taken || !place.exists() {
            return Ok(None);
        }
        let temporary = TempPath::try_from_path(place)?;
        file.set_len(0)?;
        Ok(Some(Self { path: path.to_owned(), temporary, out: BufWriter::with_capacity(1 << 20, file) }))
    }

    /// Its name until it is finished.
    pub fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// Syncs the file and gives it its name.
    ///
    /// # Errors
    /// What the disk says; an earlier file stays then.
    pub fn finish(self) -> io::Result<()> {
        let file = self.out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        self.temporary.persist(&self.path).map_err(|error| error.error)?;
        sync_folder_of(&self.path)
    }
}

impl Write for Unfinished {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Writes a file whole and for good, as an [`Unfinished`].
///
/// # Errors
/// [`Error::File`] when it cannot be written; nothing is left behind and an earlier file stays.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let remedy = "check that its folder exists, may be written to and has space left";
    let write = || {
        let mut file = Unfinished::new(path)?;
        file.write_all(bytes)?;
        file.finish()
    };
    write().map_err(|error: io::Error| Error::file(path, error, remedy))
}

/// The outcome of [`claim`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The file is locked until it is closed.
    Locked,
    /// Another process has locked it.
    Taken,
    /// The file system has no locks.
    NoLocks,
}

/// Locks an open file against other processes.
pub fn claim(file: &File) -> Claim {
    match file.try_lock() {
        Ok(()) => Claim::Locked,
        Err(TryLockError::WouldBlock) => Claim::Taken,
        Err(TryLockError::Error(_)) => Claim::NoLocks,
    }
}

/// The path with `ending` added to its file name.
pub fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes renames in a folder outlast a power cut.
///
/// # Errors
/// What the disk says.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    // Elsewhere folders cannot be opened, and some file systems cannot sync them: renaming is all there is.
    #[cfg(unix)]
    if let Err(error) = File::open(folder)?.sync_all()
        && !matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported)
    {
        return Err(error);
    }
    Ok(())
}

/// [`sync_folder`] of the folder that a file is in.
///
/// # Errors
/// What the disk says.
pub fn sync_folder_of(file: &Path) -> io::Result<()> {
    sync_folder(folder_of(file))
}

/// Removes unfinished files of killed processes from a folder that no other process writes to. Files that cannot be removed do
/// no harm.
pub fn remove_unfinished(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let random = name.to_str().and_then(|name| name.strip_prefix(UNFINISHED));
        if random.is_some_and(|random| random.len() <= 6 && random.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
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
        let novel = folder.path().join(".unfinished-novel.txt");
        std::fs::write(&novel, "the user's own").unwrap();
        remove_unfinished(folder.path());
        std::fs::remove_file(novel).unwrap();
        assert_eq!(names().collect::<Vec<_>>(), ["file"]);
        std::fs::create_dir(folder.path().join("folder")).unwrap();
        assert!(write_whole(&folder.path().join("folder"), b"x").is_err());
        assert_eq!(names().count(), 2, "a failure leaves nothing behind");
        assert!(write_whole(&folder.path().join("none/file"), b"x").is_err());
    }
}
