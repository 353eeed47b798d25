//! The child process in which libhdf5 reads a user's file, and what it says to its parent (`child.rs`).
//!
//! It says frames on its standard output: a tag (1 byte), a length (u32, little-endian, at most [`MOST_FRAME`]), content.
//! `+` is a piece of the answer, `.` its end, `!` a refusal (JSON). To [`Request::Describe`] the answer is the length of a header
//! (u32), the header (JSON), labels (1 byte each), positions (right ascension and declination, f64 each, where known), places of
//! chunks (address u64, length u64, mask u32, where known); to [`Request::Pixels`] it is the pixels, to [`Request::Tree`] what
//! `tree/` says.
//!
//! Before it opens the file it gives up, where the system knows such limits, the right to more than [`MOST_MEMORY`], to writing into
//! any file, and to leaving a core file. It ends when its parent does.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

use super::library::Opened;
use super::{Description, MOST_ROWS, tree};
use crate::data::source::{MOST_CLASSES, Stop};
use crate::{Error, Result};

/// The hidden command of `galaxy-gpu` that calls [`serve`].
pub const COMMAND: &str = "__read-hdf5";
/// Most memory of the child, in bytes of its address space.
const MOST_MEMORY: u64 = 4 << 30;
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
    /// Arrays of floats and attributes of text, of any names.
    Tree,
}

impl Request {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Describe => "describe",
            Self::Pixels => "pixels",
            Self::Tree => "tree",
        }
    }
}

impl std::str::FromStr for Request {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = [Self::Describe, Self::Pixels, Self::Tree].into_iter().find(|request| request.name() == text);
        known.ok_or_else(|| format!("{text} is no request"))
    }
}

/// The first part of a description.
#[derive(Serialize, Deserialize)]
pub(super) struct Header {
    pub version: String,
    pub count: usize,
    pub height: usize,
    pub width: usize,
    pub class_names: Option<Vec<String>>,
    pub sky: bool,
    pub chunked: bool,
    pub layout: Option<LayoutHeader>,
}

/// How pixels are stored, but for the places of their chunks.
#[derive(Serialize, Deserialize)]
pub(super) struct LayoutHeader {
    pub chunk: [usize; 4],
    pub gzip: Option<u32>,
    pub fill: u8,
    pub cells: usize,
}

/// An [`Error`] without its path, which the parent knows.
#[derive(Serialize, Deserialize)]
pub(super) struct Refusal {
    /// Whether the data are at fault, and not the file.
    pub data: bool,
    pub problem: String,
    pub remedy: String,
}

/// Answers one request about the HDF5 file at `path` on standard output. For the child process only: it binds itself and ends
/// with its standard input.
pub fn serve(request: Request, path: &Path) -> ExitCode {
    bind();
    std::thread::spawn(|| {
        // Nothing is ever written there: it ends when the parent does, however that came.
        let _ = io::stdin().read(&mut [0]);
        std::process::abort();
    });
    match answer(request, path, &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Gives up what reading needs not. Limits that the system does not know are left out.
fn bind() {
    #[cfg(unix)]
    for (resource, limit) in [
        (rustix::process::Resource::As, MOST_MEMORY),
        (rustix::process::Resource::Fsize, 0),
        (rustix::process::Resource::Core, 0),
    ] {
        let limit = rustix::process::Rlimit { current: Some(limit), maximum: Some(limit) };
        let _ = rustix::process::setrlimit(resource, limit);
    }
}

fn answer(request: Request, path: &Path, out: &mut dyn Write) -> io::Result<()> {
    let outcome = match request {
        Request::Describe => Opened::new(path)
            .and_then(|file| file.describe())
            .map_err(Stop::from)
            .and_then(|found| describe(&found, out).map_err(Stop::Receiver)),
        Request::Pixels => match Opened::new(path) {
            Ok(file) => file.stream(&mut |pixels| pieces(out, pixels)),
            Err(error) => Err(error.into()),
        },
        Request::Tree => match tree::walk(path) {
            Ok(found) => tree::say(&found, &mut |bytes| pieces(out, bytes)).map_err(Stop::Receiver),
            Err(error) => Err(error.into()),
        },
    };
    match outcome {
        Ok(()) => frame(out, END, &[]),
        Err(Stop::Receiver(error)) => Err(error),
        Err(Stop::Source(error)) => {
            let refusal = match error {
                Error::File { problem, remedy, .. } => Refusal { data: false, problem, remedy },
                Error::Data { problem, remedy, .. } => Refusal { data: true, problem, remedy },
                other => Refusal { data: false, problem: other.to_string(), remedy: "check the file".into() },
            };
            frame(out, REFUSAL, &serde_json::to_vec(&refusal)?)
        }
    }?;
    out.flush()
}

fn frame(out: &mut dyn Write, tag: u8, content: &[u8]) -> io::Result<()> {
    let length = u32::try_from(content.len()).map_err(io::Error::other)?;
    out.write_all(&[&[tag][..], &length.to_le_bytes()].concat())?;
    out.write_all(content)
}

fn pieces(out: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
    bytes.chunks(MOST_FRAME).try_for_each(|piece| frame(out, PIECE, piece))
}

/// Says what a file holds.
fn describe(description: &Description, out: &mut dyn Write) -> io::Result<()> {
    let Description { meta, layout, chunked } = description;
    debug_assert!(meta.labels.len() <= MOST_ROWS && meta.class_count <= MOST_CLASSES);
    let header = Header {
        version: env!("CARGO_PKG_VERSION").into(),
        count: meta.labels.len(),
        height: meta.height,
        width: meta.width,
        class_names: meta.class_names.clone(),
        sky: meta.sky.is_some(),
        chunked: *chunked,
        layout: layout.as_ref().map(|layout| LayoutHeader {
            chunk: layout.chunk,
            gzip: layout.gzip,
            fill: layout.fill,
            cells: layout.places.len(),
        }),
    };
    let header = serde_json::to_vec(&header)?;
    let length = u32::try_from(header.len()).map_err(io::Error::other)?;
    pieces(out, &[&length.to_le_bytes()[..], &header].concat())?;
    let labels: Vec<u8> = meta.labels.iter().map(|&label| label as u8).collect();
    pieces(out, &labels)?;
    for positions in meta.sky.iter().flat_map(|sky| sky.chunks(4096)) {
        let bytes: Vec<u8> = positions.iter().flat_map(|at| [at.ra, at.dec]).flat_map(f64::to_le_bytes).collect();
        pieces(out, &bytes)?;
    }
    for places in layout.iter().flat_map(|layout| layout.places.chunks(4096)) {
        let bytes = places.iter().flat_map(|place| {
            let numbers = [place.address.to_le_bytes(), place.length.to_le_bytes()].concat();
            [numbers, place.skipped.to_le_bytes().to_vec()].concat()
        });
        pieces(out, &bytes.collect::<Vec<u8>>())?;
    }
    Ok(())
}
