//! Locks on a job's files, and the errors of files that cannot be written.

use crate::error::{Error, Result};
use crate::files::{Claim, claim};
use std::fs::{File, OpenOptions};
use std::path::Path;

pub(super) fn unwritable(path: &Path, error: impl std::fmt::Display) -> Error {
    let remedy = "check that its folder may be written to and has space left, then run it again with --continue";
    Error::file(path, format!("cannot be written ({error})"), remedy)
}

pub(super) fn another_process(path: &Path) -> Error {
    Error::file(path, "another process is writing it", "wait for its end, or name another --out")
}

/// Opens a file to append to it, and locks it.
pub(super) fn open_locked(path: &Path, options: &mut OpenOptions) -> Result<File> {
    let file = options.append(true).open(path).map_err(|error| unwritable(path, error))?;
    match claim(&file) {
        Claim::Taken => Err(another_process(path)),
        Claim::Locked | Claim::NoLocks => Ok(file),
    }
}
