//! The parent of the process in which libhdf5 reads a user's file (`serve.rs`). It returns checked data or one sentence, whatever
//! happens to that process and whatever it says.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver as Queue, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use super::chunks::Packed;
use super::tree::{LONGEST_TREE, Tree, hear};
use super::wire::{COMMAND, DescriptionHeader, END, MOST_FRAME, PIECE, REFUSAL, Refusal, Request};
use super::{Description, MOST_ROWS, checked_meta};
use crate::data::Sky;
use crate::data::source::{Receiver, Stop};
use crate::{Error, Result};

/// Most frames that are read ahead.
const AHEAD: usize = 4;
/// Longest header of a description, in bytes: 256 names of 1024 bytes, each up to 6 bytes of JSON.
const LONGEST_HEADER: usize = 2 << 20;
/// Longest description, in bytes: header, labels and positions.
const LONGEST_DESCRIPTION: usize = LONGEST_HEADER + 17 * MOST_ROWS;
/// Remedy for a file that libhdf5 cannot read.
const AGAIN: &str = "the file is damaged: download or copy it again";

/// Lets a child of `program` describe the file at `path`.
///
/// # Errors
/// Those of the file; and [`Error::File`] where the child crashes, is silent for longer than `patience`, or talks nonsense.
pub(super) fn describe(program: &Path, patience: Duration, path: &Path) -> Result<Description> {
    parse(path, &answered(program, patience, (Request::Describe, LONGEST_DESCRIPTION), path)?)
}

/// Lets a child of `program` read the arrays and attributes of the file at `path`.
pub(super) fn tree(program: &Path, patience: Duration, path: &Path) -> Result<Tree> {
    let bytes = answered(program, patience, (Request::Tree, LONGEST_TREE), path)?;
    hear(path, &bytes)?.ok_or_else(|| nonsense(path))
}

/// The whole answer to a request, of at most so many bytes.
fn answered(program: &Path, patience: Duration, (request, most): (Request, usize), path: &Path) -> Result<Vec<u8>> {
    let mut answer = Answer::new(program, patience, request, path)?;
    let mut bytes = Vec::new();
    while let Some(piece) = answer.piece()? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > most {
            return Err(nonsense(path));
        }
    }
    Ok(bytes)
}

/// Hands on the `wanted` bytes of pixels that a child of `program` reads.
pub(super) fn stream(
    program: &Path,
    patience: Duration,
    path: &Path,
    wanted: usize,
    receive: &mut Receiver,
) -> Result<(), Stop> {
    let mut answer = Answer::new(program, patience, Request::Pixels, path)?;
    let mut left = wanted;
    let wrong = || Error::file(path, "its pixels are not as many as it says", AGAIN);
    while let Some(piece) = answer.piece()? {
        left = left.checked_sub(piece.len()).ok_or_else(wrong)?;
        receive(&piece).map_err(Stop::Receiver)?;
    }
    if left > 0 { Err(wrong().into()) } else { Ok(()) }
}

/// The chunks of `images` in the order of their grid, read by a child of `program`, each of at most `longest` bytes.
pub(super) fn chunks(
    program: &Path,
    patience: Duration,
    path: &Path,
    longest: usize,
) -> Result<impl FnMut() -> Result<Packed> + Send> {
    let mut answer = Answer::new(program, patience, Request::Chunks, path)?;
    Ok(move || {
        let mut head = [0; 8];
        answer.fill(&mut head)?;
        let [length, skipped] =
            [0, 4].map(|at| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]));
        let mut bytes =
            vec![0; Some(length as usize).filter(|&length| length <= longest).ok_or_else(|| nonsense(path))?];
        answer.fill(&mut bytes)?;
        Ok(Packed { bytes, skipped })
    })
}

/// A running child, which is killed when this is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A tag and its content.
type Frame = (u8, Vec<u8>);

/// A child and its answer to one request.
struct Answer<'a> {
    path: &'a Path,
    patience: Duration,
    running: Running,
    frames: Queue<Frame>,
    /// A piece that [`Answer::fill`] has begun to take, and how many bytes of it.
    begun: (Vec<u8>, usize),
}

impl<'a> Answer<'a> {
    /// Starts a child.
    fn new(program: &Path, patience: Duration, request: Request, path: &'a Path) -> Result<Self> {
        let mut command = Command::new(program);
        command.args([COMMAND, request.name(), "--"]).arg(path);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        // An interrupt from the keyboard is for the parent; the child ends with it.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let unable = |problem: String| {
            let remedy = "check that this program may start processes and has memory left";
            Error::file(path, format!("the process that reads it cannot be started ({problem})"), remedy)
        };
        let mut running = Running(command.spawn().map_err(|error| unable(error.to_string()))?);
        let output = running.0.stdout.take().ok_or_else(|| unable("no pipe".into()))?;
        let (sender, frames) = sync_channel(AHEAD);
        // The thread ends with the child, or when the frames are dropped.
        std::thread::spawn(move || read_frames(output, &sender));
        Ok(Self { path, patience, running, frames, begun: (Vec::new(), 0) })
    }

    /// The next piece of the answer; `None` at its end.
    fn piece(&mut self) -> Result<Option<Vec<u8>>> {
        let path = self.path;
        match self.frames.recv_timeout(self.patience) {
            Ok((PIECE, piece)) => Ok(Some(piece)),
            Ok((END, _)) => Ok(None),
            Ok((REFUSAL, text)) => Err(refusal(path, &text)),
            Ok(_) => Err(nonsense(path)),
            Err(RecvTimeoutError::Timeout) => {
                let problem = format!("reading it kept the HDF5 library busy for {:?} without a result", self.patience);
                Err(Error::file(path, problem, AGAIN))
            }
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.running.0.wait().map_or("no exit status".to_owned(), |status| status.to_string());
                let problem = format!("reading it crashed the HDF5 library, or needed more than 4 GiB ({status})");
                Err(Error::file(path, problem, AGAIN))
            }
        }
    }

    /// Takes the next `out.len()` bytes of the answer.
    fn fill(&mut self, mut out: &mut [u8]) -> Result<()> {
        while !out.is_empty() {
            let (piece, taken) = &mut self.begun;
            let count = out.len().min(piece.len() - *taken);
            let (now, later) = out.split_at_mut(count);
            now.copy_from_slice(&piece[*taken..*taken + count]);
            *taken += count;
            out = later;
            if !out.is_empty() {
                self.begun = (self.piece()?.ok_or_else(|| nonsense(self.path))?, 0);
            }
        }
        Ok(())
    }
}

/// Reads frames until the output ends or makes no sense, which tag 0 reports.
fn read_frames(mut output: impl Read, frames: &SyncSender<Frame>) {
    let mut head = [0; 5];
    while output.read_exact(&mut head).is_ok() {
        let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if length > MOST_FRAME {
            let _ = frames.send((0, Vec::new()));
            return;
        }
        let mut content = vec![0; length];
        if output.read_exact(&mut content).is_err() || frames.send((head[0], content)).is_err() {
            return;
        }
    }
}

fn nonsense(path: &Path) -> Error {
    Error::file(path, "reading it confused the HDF5 library", AGAIN)
}

/// The error that the child reports.
fn refusal(path: &Path, text: &[u8]) -> Error {
    match serde_json::from_slice::<Refusal>(text) {
        Ok(Refusal { data: true, problem, remedy }) => Error::data(path.display(), problem, remedy),
        Ok(Refusal { data: false, problem, remedy }) => Error::file(path, problem, remedy),
        Err(_) => nonsense(path),
    }
}

/// Parses and checks a description of exactly this length.
fn parse(path: &Path, bytes: &[u8]) -> Result<Description> {
    let (header, tables) = split(bytes).ok_or_else(|| nonsense(path))?;
    if header.version != env!("CARGO_PKG_VERSION") {
        let problem = format!("it was read by galaxy-gpu {}", header.version);
        return Err(Error::file(path, problem, "name a reader program of this version"));
    }
    let (labels, sky) = tables.split_at(header.count);
    let number = |bytes: &[u8; 8]| f64::from_le_bytes(*bytes);
    let sky = sky.as_chunks::<16>().0.iter().map(|at| {
        let [ra, dec] = [0, 8].map(|first| at[first..].first_chunk().map_or(f64::NAN, number));
        Sky { ra, dec }
    });
    let sky: Vec<Sky> = sky.collect();
    let labels = labels.iter().map(|&label| label.into()).collect();
    let size = (header.height, header.width);
    let meta = checked_meta(path, size, labels, header.class_names, header.sky.then_some(sky))?;
    let DescriptionHeader { layout, chunked, label_form, floats, .. } = header;
    Ok(Description { meta, layout, chunked, label_form, floats })
}

/// Header and tables of a description, where the tables are as long as the header says.
fn split(bytes: &[u8]) -> Option<(DescriptionHeader, &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (header, tables) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let header: DescriptionHeader = serde_json::from_slice(header).ok()?;
    let rows = header.count.checked_mul(if header.sky { 17 } else { 1 })?;
    (rows == tables.len()).then_some((header, tables))
}
