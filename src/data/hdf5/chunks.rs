//! Gzip-compressed chunks, unpacked on all cores.
//!
//! libhdf5 unpacks one chunk at a time, whatever the number of threads that ask. Here it only says how a data set is
//! laid out: its chunks are read from the file itself, unpacked with libdeflate and put together to images by rayon's
//! threads, while the thread that asked hands the images before them on. NOTES.md beside this file has the figures.
//!
//! **Memory**: two bands of images and one of unpacked chunks, each [`BAND_BYTES`] or one row of chunks where that is
//! larger (but not above [`LARGEST_ROW`], else the data set is left to libhdf5), and per thread one packed chunk, at most
//! twice as long as an unpacked one. Nothing that a damaged file says makes it more.

use std::fs::File;
use std::ops::Range;
use std::path::Path;

use h5::filters::Filter;
use libdeflater::Decompressor;
use rayon::prelude::*;

use super::places::{self, Place};
use super::{damaged, h5};
use crate::data::source::{Receiver, Stop};
use crate::{Error, Result};

/// Unpacked chunks and images held at a time, in bytes; more where a row of chunks is larger.
const BAND_BYTES: usize = 32 << 20;
/// Largest row of chunks: the unpacked chunks that the same images are in, with what sticks out of the data set.
const LARGEST_ROW: usize = 256 << 20;
/// Most chunks of a data set: their places take 24 bytes each.
const MOST_CHUNKS: usize = 1 << 20;
/// What a chunk that was never written is entered as.
const NEVER: Place = Place { address: 0, length: 0, skipped: 0 };

/// The chunks of an `images` data set that need no libhdf5. Sizes are of images, rows, columns, colours.
pub(super) struct Chunks<'a> {
    path: &'a Path,
    file: &'a File,
    shape: [usize; 4],
    chunk: [usize; 4],
    /// Chunks along each axis.
    grid: [usize; 4],
    /// The bit of gzip in a chunk's mask of skipped filters.
    gzip: Option<u32>,
    /// One for each cell of the grid, the last axis fastest.
    places: Vec<Place>,
    /// The value of pixels that were never written.
    fill: u8,
}

impl<'a> Chunks<'a> {
    /// The chunks of `images`, u8 and four-dimensional, in the file at `path`, which is open as `file` too; none where
    /// only libhdf5 can read them: other filters than gzip and shuffle, or a layout that is not known for certain.
    ///
    /// # Errors
    /// [`Error::File`] where a chunk lies outside of the file.
    pub fn locate(path: &'a Path, file: &'a File, images: &h5::Dataset) -> Result<Option<Self>> {
        let Some(chunks) = Self::known(path, file, images) else { return Ok(None) };
        let Ok(end) = file.metadata().map(|about| about.len()) else { return Ok(None) };
        for (cell, place) in chunks.places.iter().enumerate() {
            if place.address.checked_add(place.length).is_none_or(|last| last > end) {
                let problem = format!("a chunk of {} bytes at {} lies outside of the file", place.length, place.address);
                return Err(chunks.damaged(cell / chunks.row_chunks(), problem));
            }
        }
        Ok(Some(chunks))
    }

    /// Everything but whether the places are in the file.
    fn known(path: &'a Path, file: &'a File, images: &h5::Dataset) -> Option<Self> {
        let shape: [usize; 4] = images.shape().try_into().ok()?;
        let chunk: [usize; 4] = images.chunk()?.try_into().ok()?;
        let owner = images.file().ok()?;
        // Elsewhere: behind a link into another file, or counted from the end of a user block.
        let elsewhere = images.loc_info().ok()?.fileno != owner.loc_info().ok()?.fileno || owner.userblock() != 0;
        let settings = images.dcpl().ok()?;
        let gzip = gzip(&settings.get_filters().ok()?)?;
        // Chunks at the edge may be stored without filters, and their masks do not say so.
        if elsewhere || settings.chunk_opts().is_some_and(|options| !options.is_empty()) || chunk.contains(&0) {
            return None;
        }
        let grid: [usize; 4] = std::array::from_fn(|axis| shape[axis].div_ceil(chunk[axis]));
        let product = |sizes: &[usize]| sizes.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
        let (cells, chunk_bytes) = (product(&grid)?, product(&chunk)?);
        let row_bytes = chunk_bytes.checked_mul(product(&grid[1..])?)?;
        if cells > MOST_CHUNKS || row_bytes > LARGEST_ROW {
            return None;
        }
        let mut places = vec![NEVER; cells];
        let found = places::find(file, images, chunk, cells)?;
        let written = found.len();
        for (offset, place) in found {
            let mut cell = 0;
            for axis in 0..4 {
                let (at, step) = (usize::try_from(offset[axis]).ok()?, chunk[axis]);
                let known = at.is_multiple_of(step) && at / step < grid[axis];
                cell = known.then_some(cell * grid[axis] + at / step)?;
            }
            // Gzip makes nothing twice as long. Two chunks of one cell: one of them is not what it says.
            let sound = (1..=2 * chunk_bytes as u64 + 1024).contains(&place.length) && places[cell] == NEVER;
            places[cell] = sound.then_some(place)?;
        }
        let fill = if written == cells { 0 } else { settings.get_fill_value_as::<u8>().ok()?? };
        Some(Self { path, file, shape, chunk, grid, gzip, places, fill })
    }

    /// Bytes of an unpacked chunk.
    fn chunk_bytes(&self) -> usize {
        self.chunk.iter().product()
    }

    /// Number of chunks that the same images are in.
    fn row_chunks(&self) -> usize {
        self.grid[1..].iter().product()
    }

    /// Images of these rows of chunks.
    fn images(&self, rows: &Range<usize>) -> Range<usize> {
        rows.start * self.chunk[0]..(rows.end * self.chunk[0]).min(self.shape[0])
    }

    /// The error for chunks in row `row` of the grid.
    fn damaged(&self, row: usize, problem: impl std::fmt::Display) -> Error {
        damaged(self.path, self.images(&(row..row + 1)), problem)
    }

    /// Hands on all images in order.
    ///
    /// # Errors
    /// [`Stop::Source`] where a chunk cannot be read or unpacked, [`Stop::Receiver`] where `receive` fails.
    pub fn stream(&self, receive: &mut Receiver) -> Result<(), Stop> {
        let step = (BAND_BYTES / (self.row_chunks() * self.chunk_bytes())).clamp(1, self.grid[0]);
        let bands = (0..self.grid[0]).step_by(step).map(|first| first..(first + step).min(self.grid[0]));
        let mut unpacked = vec![0; step * self.row_chunks() * self.chunk_bytes()];
        let (mut ready, mut next) = (Vec::new(), Vec::new());
        // One turn more than there are bands: in the first nothing is ready, in the last nothing is left.
        for band in bands.map(Some).chain([None]) {
            let mut outcome = Ok(());
            let received = rayon::in_place_scope(|scope| {
                if let Some(band) = &band {
                    scope.spawn(|_| outcome = self.unpack(band, &mut unpacked, &mut next));
                }
                if ready.is_empty() { Ok(()) } else { receive(&ready) }
            });
            received.map_err(Stop::Receiver)?;
            outcome?;
            std::mem::swap(&mut ready, &mut next);
        }
        Ok(())
    }

    /// Reads the chunks of these rows into `unpacked`, and puts them together to `images`.
    fn unpack(&self, rows: &Range<usize>, unpacked: &mut [u8], images: &mut Vec<u8>) -> Result<()> {
        let [_, height, width, colours] = self.shape;
        let places = &self.places[rows.start * self.row_chunks()..rows.end * self.row_chunks()];
        let tools = || (Decompressor::new(), Vec::new());
        let chunks = unpacked.par_chunks_mut(self.chunk_bytes()).zip(places).enumerate();
        chunks.try_for_each_init(tools, |(inflate, packed), (cell, (out, place))| {
            let row = rows.start + cell / self.row_chunks();
            self.unpack_chunk(*place, inflate, packed, out).map_err(|problem| self.damaged(row, problem))
        })?;
        images.resize(self.images(rows).len() * height * width * colours, 0);
        let row_bytes = self.row_chunks() * self.chunk_bytes();
        images.par_chunks_mut(height * width * colours).enumerate().for_each(|(index, image)| {
            let (row, index) = (index / self.chunk[0], index % self.chunk[0]);
            self.assemble(&unpacked[row * row_bytes..][..row_bytes], index, image);
        });
        Ok(())
    }

    /// Reads one chunk into `out`; `packed` is scratch. Shuffling is not undone: it sorts the bytes of elements by their
    /// places, and elements of one byte stay as they are.
    fn unpack_chunk(
        &self,
        place: Place,
        inflate: &mut Decompressor,
        packed: &mut Vec<u8>,
        out: &mut [u8],
    ) -> Result<(), String> {
        let unreadable = |error| format!("a chunk at {} cannot be read: {error}", place.address);
        let wanted = out.len();
        let wrong_length = |length| format!("a chunk at {} has {length} bytes, not {wanted}", place.address);
        if place.length == 0 {
            out.fill(self.fill);
            return Ok(());
        }
        let length = place.length as usize;
        if self.gzip.is_none_or(|bit| place.skipped & bit != 0) {
            if length != wanted {
                return Err(wrong_length(length));
            }
            return places::read_at(self.file, out, place.address).map_err(unreadable);
        }
        packed.resize(length, 0);
        places::read_at(self.file, packed, place.address).map_err(unreadable)?;
        match inflate.zlib_decompress(packed, out) {
            Ok(unpacked) if unpacked == wanted => Ok(()),
            Ok(unpacked) => Err(wrong_length(unpacked)),
            Err(error) => Err(format!("a chunk at {} is no sound gzip stream: {error}", place.address)),
        }
    }

    /// Puts image `index` of a row of unpacked chunks together.
    fn assemble(&self, chunks: &[u8], index: usize, image: &mut [u8]) {
        let ([_, high, wide, deep], [_, height, width, colours]) = (self.chunk, self.shape);
        let block_bytes = high * wide * deep;
        for (cell, chunk) in chunks.chunks_exact(self.chunk_bytes()).enumerate() {
            let across = cell / self.grid[3];
            let (top, left) = (across / self.grid[2] * high, across % self.grid[2] * wide);
            let colour = cell % self.grid[3] * deep;
            let (columns, depth) = (wide.min(width - left), deep.min(colours - colour));
            let block = &chunk[index * block_bytes..][..block_bytes];
            for (row, line) in block.chunks_exact(wide * deep).take(height - top).enumerate() {
                let out = &mut image[((top + row) * width + left) * colours..][..columns * colours];
                if deep == colours {
                    out.copy_from_slice(&line[..out.len()]);
                } else if deep == 1 {
                    let pixels = out.chunks_exact_mut(colours);
                    pixels.zip(line).for_each(|(pixel, &value)| pixel[colour] = value);
                } else {
                    let pixels = out.chunks_exact_mut(colours).zip(line.chunks_exact(deep));
                    pixels.for_each(|(pixel, from)| pixel[colour..colour + depth].copy_from_slice(&from[..depth]));
                }
            }
        }
    }
}

/// The bit of gzip in the masks of a pipeline's chunks, if it is there at all; none where other filters are, or two of it.
fn gzip(filters: &[Filter]) -> Option<Option<u32>> {
    let mut gzip = None;
    for (index, filter) in filters.iter().enumerate() {
        match filter {
            Filter::Deflate(_) if gzip.is_none() => gzip = Some(1u32.checked_shl(index as u32)?),
            Filter::Shuffle => {}
            _ => return None,
        }
    }
    Some(gzip)
}
