//! The child process in which libhdf5 reads a user's file. It speaks the protocol of `wire.rs`.
//!
//! Before it opens the file, it gives up the right to use more than [`MOST_MEMORY`], to write to files and to leave a core file, where
//! the system has such limits. It ends with its parent.

use std::io::{self, BufWriter, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use super::chunks::Packed;
use super::library::Opened;
use super::wire::{DescriptionHeader, END, MOST_FRAME, REFUSAL, Refusal, Request, frame, pieces};
use super::{Description, MOST_ROWS, tree};
use crate::data::source::{MOST_CLASSES, Stop};
use crate::{Error, Result};

/// Largest address space of the child, in bytes.
const MOST_MEMORY: u64 = 4 << 30;

/// Answers one request about the HDF5 file at `path` on standard output. For the child process only: it limits itself, and ends
/// when its standard input does.
pub fn serve(request: Request, path: &Path) -> ExitCode {
    bind();
    std::thread::spawn(|| {
        // Nobody writes there, so it ends when the parent does, for whatever reason.
        let _ = io::stdin().read(&mut [0]);
        std::process::abort();
    });
    match answer(request, path, &mut BufWriter::with_capacity(1 << 18, io::stdout().lock())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Gives up rights that reading does not need, where the system can limit them.
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
            .and_then(|found| send_description(&found, out).map_err(Stop::Receiver)),
        Request::Pixels => match Opened::new(path) {
            Ok(file) => file.stream(&mut |pixels| pieces(out, pixels)),
            Err(error) => Err(error.into()),
        },
        Request::Chunks => Opened::new(path).map_err(Stop::from).and_then(|file| send_chunks(&file, out)),
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

/// Sends a description.
fn send_description(description: &Description, out: &mut dyn Write) -> io::Result<()> {
    let Description { meta, layout, chunked, label_form, floats } = description;
    debug_assert!(meta.labels.len() <= MOST_ROWS && meta.class_count <= MOST_CLASSES);
    let header = DescriptionHeader {
        version: env!("CARGO_PKG_VERSION").into(),
        count: meta.labels.len(),
        height: meta.height,
        width: meta.width,
        class_names: meta.class_names.clone(),
        sky: meta.sky.is_some(),
        chunked: *chunked,
        layout: layout.clone(),
        label_form: *label_form,
        floats: *floats,
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
    Ok(())
}

/// Sends all chunks, many small ones in a frame: a frame each would make both processes wait for each other.
fn send_chunks(file: &Opened, out: &mut dyn Write) -> Result<(), Stop> {
    let mut gathered = Vec::new();
    file.each_chunk(&mut |Packed { bytes, skipped }| {
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        gathered.extend([length, *skipped].map(u32::to_le_bytes).concat());
        gathered.extend(bytes);
        if gathered.len() >= MOST_FRAME {
            pieces(out, &gathered)?;
            gathered.clear();
        }
        Ok(())
    })?;
    pieces(out, &gathered).map_err(Stop::Receiver)
}
