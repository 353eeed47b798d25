//! What a training needs from the system: libhdf5, writable folders with enough room, and locks.

use super::{Finding, Findings};
use crate::data::simulate::{Settings, simulate};
use crate::data::{Dataset, LoadOptions, hdf5, write_hdf5};
use crate::error::{Error, Result};
use crate::files::{cache_folder, write_whole};
use crate::plan::bytes_in_words;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// Size of Galaxy10 DECaLS, unpacked in the cache.
const CACHE_BYTES: u64 = 3_500_000_000;
/// Size of a run of `conv4`: two files of weights and two checkpoints with both moments, while a third is written.
const RUN_BYTES: u64 = 400_000_000;

/// Whether libhdf5 reads a file of galaxies in a child process, as `train --data` does.
pub fn hdf5() -> Finding {
    let (major, minor, patch) = hdf5::library_version();
    let version = format!("{major}.{minor}.{patch}");
    match read_back() {
        Ok(true) => Finding::ok("libhdf5", format!("{version}; its child process reads what was written")),
        Ok(false) => {
            let found = format!("{version}; its child process read other galaxies than were written");
            Finding::fail(
                "libhdf5",
                found,
                "install libhdf5 again (on Debian: scripts/setup), or build --features static",
            )
        }
        Err(error) => Finding::error("libhdf5", &error),
    }
}

/// Writes a small file, reads it again, and returns whether the two agree.
fn read_back() -> Result<bool> {
    let folder = std::env::temp_dir();
    let refused =
        |error| Error::file(&folder, format!("cannot be written to ({error})"), "set TMPDIR to another folder");
    let folder = tempfile::tempdir().map_err(refused)?;
    let path = folder.path().join("galaxies.h5");
    let written = simulate(&Settings { images: 10, size: 16, seed: 1 })?;
    write_hdf5(&path, &written)?;
    let cache_dir = Some(folder.path().to_owned());
    let read =
        Dataset::load(&path, &LoadOptions { cache_dir, reader: hdf5::Reader::own_child(), ..Default::default() })?;
    Ok(read.pixels[..] == written.pixels[..] && read.labels == written.labels)
}

/// Whether the folders can be written to, have room, and keep two processes apart.
pub fn folders(findings: &mut Findings) -> anyhow::Result<()> {
    let remedy = "set XDG_CACHE_HOME to a folder that can be written to; without one, each run unpacks its data and compiles \
                  its kernels again";
    findings.add(match cache_folder() {
        Some(folder) => folder_finding("cache folder", &folder, CACHE_BYTES, "Galaxy10 DECaLS unpacked", remedy),
        None => Finding::fail("cache folder", "this user has none", remedy),
    })?;
    let remedy = "work in another folder, or name one for runs with --out";
    match std::env::current_dir() {
        Ok(folder) => {
            findings.add(folder_finding("this folder", &folder, RUN_BYTES, "a run of conv4", remedy))?;
            findings.add(locks(&folder))
        }
        Err(error) => findings.add(Finding::fail("this folder", format!("it cannot be found ({error})"), remedy)),
    }
}

/// Whether files can be written durably to a folder, or where it would be created, and whether `need` bytes fit.
fn folder_finding(check: &str, folder: &Path, need: u64, of: &str, remedy: &str) -> Finding {
    let there = existing(folder);
    let shown = folder.display();
    if let Err(error) = probe(&there) {
        return Finding::fail(check, format!("{shown}: {} cannot be written to ({error})", there.display()), remedy);
    }
    match free_bytes(&there) {
        Some(free) if free < need => {
            let (free, need) = (bytes_in_words(free), bytes_in_words(need));
            Finding::note(
                check,
                format!("{shown}: {free} free, but {of} takes {need}"),
                "make room, or ".to_owned() + remedy,
            )
        }
        Some(free) => Finding::ok(check, format!("{shown}: can be written to, {} free", bytes_in_words(free))),
        None => Finding::ok(check, format!("{shown}: can be written to; how much is free is not known")),
    }
}

/// The folder, or the nearest one above it that exists. A broken link exists, too.
fn existing(folder: &Path) -> PathBuf {
    let there = folder.ancestors().find(|path| path.symlink_metadata().is_ok());
    there.filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

/// Writes, syncs and renames a file in a temporary folder.
fn probe(folder: &Path) -> Result<(), String> {
    let own = tempfile::tempdir_in(folder).map_err(|error| error.to_string())?;
    write_whole(&own.path().join("probe"), &[1; 4096]).map_err(|error| error.to_string())
}

#[cfg(unix)]
fn free_bytes(folder: &Path) -> Option<u64> {
    let about = rustix::fs::statvfs(folder).ok()?;
    about.f_bavail.checked_mul(about.f_frsize)
}

#[cfg(not(unix))]
fn free_bytes(_: &Path) -> Option<u64> {
    None
}

/// Whether a second process would be kept out of a run folder in this folder.
fn locks(folder: &Path) -> Finding {
    let remedy = "never train into one run folder from two processes; or name a folder on a local disk with --out";
    let note = |found: String| Finding::note("file locks", found, remedy);
    match second_lock(folder) {
        Ok(Err(TryLockError::WouldBlock)) => Finding::ok("file locks", "a second process is kept out of a run folder"),
        Ok(Ok(())) => note("they do not work here: two processes could train into one run folder".into()),
        Ok(Err(TryLockError::Error(error))) | Err(error) => {
            note(format!("this folder does not support them ({error})"))
        }
    }
}

/// The result of locking a file a second time.
fn second_lock(folder: &Path) -> std::io::Result<Result<(), TryLockError>> {
    let own = tempfile::tempdir_in(folder)?;
    let path = own.path().join("lock");
    let first = File::create(&path)?;
    first.try_lock().map_err(|error| match error {
        TryLockError::Error(error) => error,
        TryLockError::WouldBlock => std::io::ErrorKind::WouldBlock.into(),
    })?;
    Ok(File::options().append(true).open(&path)?.try_lock())
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_folder_that_is_too_small_is_noted_and_one_that_is_none_fails() {
        let folder = tempfile::tempdir().unwrap();
        let find = |path: &Path, need| folder_finding("folder", path, need, "much", "do this");
        let missing = folder.path().join("a/b");
        assert_eq!(find(&missing, 0).verdict, Verdict::Ok);
        assert!(!folder.path().join("a").exists(), "nothing is left behind");
        #[cfg(unix)]
        {
            let full = find(&missing, u64::MAX);
            assert_eq!((full.verdict, full.remedy.as_deref()), (Verdict::Note, Some("make room, or do this")));
        }
        std::fs::write(folder.path().join("file"), "").unwrap();
        let failed = find(&folder.path().join("file/cache"), 0);
        assert_eq!((failed.verdict, failed.remedy.as_deref()), (Verdict::Fail, Some("do this")));
    }

    #[test]
    fn libhdf5_reads_its_own_files_and_locks_hold() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(locks(folder.path()).verdict, Verdict::Ok);
        assert_eq!(locks(&folder.path().join("none")).verdict, Verdict::Note);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
    }
}
