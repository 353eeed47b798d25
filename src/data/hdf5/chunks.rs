//! Unpacks gzip-compressed chunks on all cores.
//!
//! libhdf5 unpacks one chunk at a time, whatever the number of threads. So it only describes a data set (`library.rs`) and reads
//! its chunks as they are stored (`raw.rs`). Threads of rayon unpack them with libdeflate and assemble images, while the calling
//! thread hands on the images before them. NOTES.md beside this file has the figures. Layout and chunks are checked: they may come
//! from a child process that a file has confused.
//!
//! **Memory**: unpacked chunks of [`BAND_BYTES`] or one row of chunks, whichever is larger (above [`LARGEST_ROW`] libhdf5 unpacks
//! the data set); two pieces of images, each of [`BAND_BYTES`] or one image; for each thread one packed chunk, at most twice as
//! long as an unpacked one. A damaged file cannot make it more.

use std::ops::Range;
use std::path::{Path, PathBuf};

use libdeflater::Decompressor;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::damaged;
use crate::data::source::{Receiver, Stop};
use crate::{Error, Result};

/// Bytes of chunks that are unpacked at a time, and of images that are handed on at a time.
const BAND_BYTES: usize = 32 << 20;
/// Largest row of chunks (those that hold the same images), unpacked, in bytes. With h5py's own choice of chunks a row of
/// Galaxy10 DECaLS has 109 MB, and one of 100 000 such images 614 MB.
const LARGEST_ROW: usize = 1 << 30;
/// Most chunks of a data set.
const MOST_CHUNKS: usize = 1 << 20;
/// Most bytes that gzip unpacks from one, rounded up.
const MOST_GROWTH: u64 = 1100;
/// Bytes of pixels that a file need not store, in chunks that were never written.
const UNSTORED: u64 = 64 << 20;

/// How the images of a data set are stored in chunks that we can unpack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Layout {
    /// Images, rows, columns and colours of a chunk.
    pub chunk: [usize; 4],
    /// The bit of gzip in a chunk's mask of skipped filters.
    pub gzip: Option<u32>,
    /// The value of pixels in chunks that were never written.
    pub fill: u8,
}

/// A chunk as it is stored.
pub(super) struct Packed {
    /// Empty where it was never written.
    pub bytes: Vec<u8>,
    /// Bit n is set if filter n of the pipeline was skipped.
    pub skipped: u32,
}

/// Gives the next chunk, in the order of the grid, the last axis fastest.
pub(super) type NextChunk<'a> = dyn FnMut() -> Result<Packed> + Send + 'a;

/// Longest packed chunk that is read, in bytes.
pub(super) fn longest(chunk: [usize; 4]) -> usize {
    2 * chunk.iter().product::<usize>() + 1024
}

/// Chunks along each axis and in all; none where there are too many, or rows are too large.
pub(super) fn grid(shape: [usize; 4], chunk: [usize; 4]) -> Option<([usize; 4], usize)> {
    if chunk.contains(&0) {
        return None;
    }
    let grid: [usize; 4] = std::array::from_fn(|axis| shape[axis].div_ceil(chunk[axis]));
    let product = |sizes: &[usize]| sizes.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
    let cells = product(&grid)?;
    let row_bytes = product(&chunk)?.checked_mul(product(&grid[1..])?)?;
    (cells <= MOST_CHUNKS && row_bytes <= LARGEST_ROW).then_some((grid, cells))
}

/// The chunks of a data set `images`. Sizes are in the order images, rows, columns, colours.
pub(super) struct Chunks {
    path: PathBuf,
    shape: [usize; 4],
    /// Chunks along each axis.
    grid: [usize; 4],
    layout: Layout,
}

impl Chunks {
    /// The chunks of `layout` in the file at `path`; they make images of `shape`, none of whose sizes is 0 and whose bytes fit
    /// into a usize.
    ///
    /// # Errors
    /// [`Error::File`] where the layout makes no sense, or no file of this length can hold so many pixels.
    pub fn new(path: &Path, shape: [usize; 4], layout: Layout) -> Result<Self> {
        let senseless = |problem: String| Error::file(path, problem, "the file is damaged: download or copy it again");
        let (grid, _) = grid(shape, layout.chunk).ok_or_else(|| senseless("its chunks make no sense".into()))?;
        let about = std::fs::metadata(path).map_err(|error| senseless(format!("cannot be read ({error})")))?;
        let (pixels, end) = (shape.iter().product::<usize>() as u64, about.len());
        if pixels > end.saturating_mul(MOST_GROWTH).saturating_add(UNSTORED) {
            return Err(senseless(format!("claims {pixels} bytes of pixels, which cannot be in a file of {end}")));
        }
        Ok(Self { path: path.to_owned(), shape, grid, layout })
    }

    /// Longest packed chunk that is read, in bytes.
    pub fn longest(&self) -> usize {
        longest(self.layout.chunk)
    }

    /// How the chunks are stored.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Bytes of an unpacked chunk.
    fn chunk_bytes(&self) -> usize {
        self.layout.chunk.iter().product()
    }

    /// Bytes of an image.
    fn image_bytes(&self) -> usize {
        self.shape[1..].iter().product()
    }

    /// Number of chunks that hold the same images.
    fn row_chunks(&self) -> usize {
        self.grid[1..].iter().product()
    }

    /// The images in these rows of chunks.
    fn images(&self, rows: &Range<usize>) -> Range<usize> {
        rows.start * self.layout.chunk[0]..(rows.end * self.layout.chunk[0]).min(self.shape[0])
    }

    /// The error for chunks in row `row` of the grid.
    fn damaged(&self, row: usize, problem: impl std::fmt::Display) -> Error {
        damaged(&self.path, self.images(&(row..row + 1)), problem)
    }

    /// Hands on all images in order, made of the chunks that `next_chunk` gives.
    ///
    /// # Errors
    /// [`Stop::Source`] where a chunk cannot be read or unpacked, [`Stop::Receiver`] where `receive` fails.
    pub fn stream(&self, next_chunk: &mut NextChunk, receive: &mut Receiver) -> Result<(), Stop> {
        let row_bytes = self.row_chunks() * self.chunk_bytes();
        let step = (BAND_BYTES / row_bytes).clamp(1, self.grid[0]);
        let piece = (BAND_BYTES / self.image_bytes()).max(1);
        let bands = (0..self.grid[0]).step_by(step).map(|first| first..(first + step).min(self.grid[0]));
        let pieces = bands.flat_map(|rows| {
            let Range { start, end } = self.images(&rows);
            (start..end).step_by(piece).map(move |first| (rows.clone(), first..(first + piece).min(end)))
        });
        let mut unpacked = self.reserve(step * row_bytes)?;
        let (mut ready, mut next) = (Vec::new(), Vec::new());
        // One turn more than there are pieces: the first has nothing ready, the last nothing to prepare.
        for turn in pieces.map(Some).chain([None]) {
            let mut outcome = Ok(());
            let received = rayon::in_place_scope(|scope| {
                if let Some((rows, images)) = &turn {
                    scope.spawn(|_| outcome = self.prepare((rows, images), next_chunk, &mut unpacked, &mut next));
                }
                if ready.is_empty() { Ok(()) } else { receive(&ready) }
            });
            received.map_err(Stop::Receiver)?;
            outcome?;
            std::mem::swap(&mut ready, &mut next);
        }
        Ok(())
    }

    fn reserve(&self, bytes: usize) -> Result<Vec<u8>> {
        let mut unpacked = Vec::new();
        unpacked.try_reserve_exact(bytes).map_err(|_| {
            let problem = format!("its chunks need {bytes} bytes of memory to be unpacked in, which are not there");
            Error::file(&self.path, problem, "store it in smaller chunks")
        })?;
        unpacked.resize(bytes, 0);
        Ok(unpacked)
    }

    /// Assembles these images of a band in `pixels`. The first ones unpack the chunks of the band.
    fn prepare(
        &self,
        (rows, images): (&Range<usize>, &Range<usize>),
        next_chunk: &mut NextChunk,
        unpacked: &mut [u8],
        pixels: &mut Vec<u8>,
    ) -> Result<()> {
        let first = rows.start * self.layout.chunk[0];
        if images.start == first {
            self.unpack(rows, next_chunk, unpacked)?;
        }
        let row_bytes = self.row_chunks() * self.chunk_bytes();
        pixels.resize(images.len() * self.image_bytes(), 0);
        pixels.par_chunks_mut(self.image_bytes()).zip(images.clone()).for_each(|(image, index)| {
            let (row, index) = ((index - first) / self.layout.chunk[0], (index - first) % self.layout.chunk[0]);
            self.assemble(&unpacked[row * row_bytes..][..row_bytes], index, image);
        });
        Ok(())
    }

    /// Unpacks the chunks of these rows.
    fn unpack(&self, rows: &Range<usize>, next_chunk: &mut NextChunk, unpacked: &mut [u8]) -> Result<()> {
        let count = rows.len() * self.row_chunks();
        let chunks = unpacked.chunks_exact_mut(self.chunk_bytes()).take(count).enumerate();
        let mut failed = false;
        let chunks = chunks.map_while(|(cell, out)| {
            let packed = (!failed).then(&mut *next_chunk)?;
            failed = packed.is_err();
            Some((cell, out, packed))
        });
        // One thread at a time takes the next chunk while the others unpack theirs.
        chunks.par_bridge().try_for_each_init(Decompressor::new, |inflate, (cell, out, packed)| {
            let row = rows.start + cell / self.row_chunks();
            self.unpack_chunk(&packed?, inflate, out).map_err(|problem| self.damaged(row, problem))
        })
    }

    /// Unpacks one chunk into `out`. The shuffle filter needs no undoing: it does not move elements of one byte.
    fn unpack_chunk(&self, packed: &Packed, inflate: &mut Decompressor, out: &mut [u8]) -> Result<(), String> {
        let (Packed { bytes, skipped }, wanted) = (packed, out.len());
        let wrong_length = |length| format!("a chunk has {length} bytes, not {wanted}");
        if bytes.is_empty() {
            out.fill(self.layout.fill);
            return Ok(());
        }
        if self.layout.gzip.is_none_or(|bit| skipped & bit != 0) {
            if bytes.len() != wanted {
                return Err(wrong_length(bytes.len()));
            }
            out.copy_from_slice(bytes);
            return Ok(());
        }
        match inflate.zlib_decompress(bytes, out) {
            Ok(unpacked) if unpacked == wanted => Ok(()),
            Ok(unpacked) => Err(wrong_length(unpacked)),
            Err(error) => Err(format!("a chunk is no sound gzip stream: {error}")),
        }
    }

    /// Assembles image `index` of a row of unpacked chunks.
    fn assemble(&self, chunks: &[u8], index: usize, image: &mut [u8]) {
        let ([_, high, wide, deep], [_, height, width, colours]) = (self.layout.chunk, self.shape);
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
