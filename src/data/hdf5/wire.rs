//! The protocol between the child process in which libhdf5 reads a user's file (`serve.rs`) and its parent (`child.rs`).
//!
//! The child writes frames to its standard output: a tag (1 byte), a length (u32, little-endian, at most [`MOST_FRAME`]), content.
//! `+` is a piece of the answer, `.` its end, `!` a refusal (JSON). The answer to [`Request::Describe`] is the length of a header
//! (u32), the header (JSON), labels (1 byte each) and positions (right ascension and declination, f64 each, where known); to
//! [`Request::Pixels`] the pixels; to [`Request::Chunks`] length (u32, 0 where it was never written), mask of skipped filters (u32)
//! and bytes of each chunk, in the order of the grid; to [`Request::Tree`] the bytes that `tree/` describes.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use super::chunks::Layout;
use super::labels::LabelForm;
use crate::Result;

/// The hidden command of `galaxy-gpu` that calls [`serve`](super::serve).
pub const COMMAND: &str = "__read-hdf5";
/// Longest content of a frame, in bytes.
pub(super) const MOST_FRAME: usize = 1 << 20;
/// A piece of the answer.
pub(super) const PIECE: u8 = b'+';
/// The end of the answer.
pub(super) const END: u8 = b'.';
/// The file is refused.
pub(super) const REFUSAL: u8 = b'!';

/// What the parent asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Request {
    /// Everything but the pixels.
    Describe,
    /// All pixels in order.
    Pixels,
    /// All chunks of the pixels as they are stored.
    Chunks,
    /// Arrays of floats and attributes of text, of any names.
    Tree,
}

impl Request {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Describe => "describe",
            Self::Pixels => "pixels",
            Self::Chunks => "chunks",
            Self::Tree => "tree",
        }
    }
}

impl std::str::FromStr for Request {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known =
            [Self::Describe, Self::Pixels, Self::Chunks, Self::Tree].into_iter().find(|request| request.name() == text);
        known.ok_or_else(|| format!("{text} is no request"))
    }
}

/// The first part of a description.
#[derive(Serialize, Deserialize)]
pub(super) struct DescriptionHeader {
    pub version: String,
    pub count: usize,
    pub height: usize,
    pub width: usize,
    pub class_names: Option<Vec<String>>,
    pub sky: bool,
    pub chunked: bool,
    pub layout: Option<Layout>,
    pub label_form: LabelForm,
    pub floats: bool,
}

/// An [`Error`](crate::Error) without its path, which the parent knows.
#[derive(Serialize, Deserialize)]
pub(super) struct Refusal {
    /// Whether it is an [`Error::Data`](crate::Error::Data) rather than an [`Error::File`](crate::Error::File).
    pub data: bool,
    pub problem: String,
    pub remedy: String,
}

/// Writes one frame.
pub(super) fn frame(out: &mut dyn Write, tag: u8, content: &[u8]) -> io::Result<()> {
    let length = u32::try_from(content.len()).map_err(io::Error::other)?;
    out.write_all(&[&[tag][..], &length.to_le_bytes()].concat())?;
    out.write_all(content)
}

/// Writes any number of bytes as pieces of the answer.
pub(super) fn pieces(out: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
    bytes.chunks(MOST_FRAME).try_for_each(|piece| frame(out, PIECE, piece))
}
