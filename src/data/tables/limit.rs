//! Files of which no row takes more than so much memory.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::LONGEST_ROW;

/// A file that gives no more bytes than its limit until that is reset.
pub(super) struct LimitedFile {
    file: File,
    limit: RowLimit,
    /// Why there are no more.
    reason: &'static str,
}

/// Bytes that may still be read.
#[derive(Clone)]
pub(super) struct RowLimit(Arc<AtomicUsize>);

impl RowLimit {
    /// Lets the next row begin.
    pub fn reset(&self) {
        self.0.store(LONGEST_ROW, Ordering::Relaxed);
    }
}

impl LimitedFile {
    /// A file and its limit; `reason` is the error of a longer row.
    pub fn new(file: File, reason: &'static str) -> (Self, RowLimit) {
        let limit = RowLimit(Arc::new(AtomicUsize::new(LONGEST_ROW)));
        (Self { file, limit: limit.clone(), reason }, limit)
    }
}

impl Read for LimitedFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let limit = self.limit.0.load(Ordering::Relaxed);
        if limit == 0 {
            return Err(io::Error::other(self.reason));
        }
        let most = buffer.len().min(limit);
        let count = self.file.read(&mut buffer[..most])?;
        self.limit.0.store(limit - count, Ordering::Relaxed);
        Ok(count)
    }
}
