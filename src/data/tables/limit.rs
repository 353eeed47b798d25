//! Files of text of which no row takes more than so much memory, inflated where they are packed by gzip or bzip2.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;

use super::LONGEST_ROW;

/// A file that gives no more bytes than its limit until that is reset.
pub(super) struct LimitedFile {
    bytes: Box<dyn Read + Send>,
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
    /// Opens a file; also its limit. `reason` is the error of a longer row.
    pub fn open(path: &Path, reason: &'static str) -> io::Result<(Self, RowLimit)> {
        let mut file = BufReader::new(File::open(path)?);
        let bytes: Box<dyn Read + Send> = match file.fill_buf()? {
            [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(file)),
            [b'B', b'Z', b'h', ..] => Box::new(MultiBzDecoder::new(file)),
            _ => Box::new(file),
        };
        let limit = RowLimit(Arc::new(AtomicUsize::new(LONGEST_ROW)));
        Ok((Self { bytes, limit: limit.clone(), reason }, limit))
    }
}

impl Read for LimitedFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let limit = self.limit.0.load(Ordering::Relaxed);
        if limit == 0 {
            return Err(io::Error::other(self.reason));
        }
        let most = buffer.len().min(limit);
        let count = self.bytes.read(&mut buffer[..most])?;
        self.limit.0.store(limit - count, Ordering::Relaxed);
        Ok(count)
    }
}
