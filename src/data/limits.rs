//! Bounds on pictures, whatever their format: they come from strangers.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most pixels of a picture.
pub(super) const MOST_PIXELS: u64 = 1 << 26;
/// Largest file of a picture, in bytes.
pub(super) const LARGEST_FILE: u64 = 512 << 20;
/// Pictures whose decoded form is larger than this, in bytes, are decoded one at a time.
const LARGE: u64 = 32 << 20;
/// Held while a large picture is decoded.
static TURN: Mutex<()> = Mutex::new(());

/// Waits until a picture of so many bytes may be decoded; the caller holds the guard meanwhile.
pub(super) fn turn(bytes: u64) -> Option<MutexGuard<'static, ()>> {
    // A poisoned lock means that a decoder panicked, which spoils nothing that is kept.
    (bytes > LARGE).then(|| TURN.lock().unwrap_or_else(PoisonError::into_inner))
}
