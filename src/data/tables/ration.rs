//! Files of which no row takes more than its share of memory.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::LONGEST_ROW;

/// A file that gives no more than a ration of bytes until it is renewed.
pub(super) struct Rationed {
    file: File,
    ration: Ration,
    /// Why there are no more.
    reason: &'static str,
}

/// Bytes that may still be read.
#[derive(Clone)]
pub(super) struct Ration(Arc<AtomicUsize>);

impl Ration {
    /// As much as a row may take, from here on.
    pub fn renew(&self) {
        self.0.store(LONGEST_ROW, Ordering::Relaxed);
    }
}

impl Rationed {
    /// A file with its first ration; beyond one, `reason` is what went wrong.
    pub fn new(file: File, reason: &'static str) -> (Self, Ration) {
        let ration = Ration(Arc::new(AtomicUsize::new(LONGEST_ROW)));
        (Self { file, ration: ration.clone(), reason }, ration)
    }
}

impl Read for Rationed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let ration = self.ration.0.load(Ordering::Relaxed);
        if ration == 0 {
            return Err(io::Error::other(self.reason));
        }
        let most = buffer.len().min(ration);
        let count = self.file.read(&mut buffer[..most])?;
        self.ration.0.store(ration - count, Ordering::Relaxed);
        Ok(count)
    }
}
