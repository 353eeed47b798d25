//! Host memory that collects a tensor's next contents while the device works; the next run copies them to the device. The
//! memory is mapped once, and used again as soon as the submission that copied from it has ended.

use super::Gpu;
use crate::error::{Error, Result};
use crate::plan::Place;
use rayon::prelude::*;
use wgpu::util::StagingBelt;

/// Extra room in each piece of memory, for the small tensors that are staged along with the first one.
const BESIDE: u64 = 4096;

/// Bytes that one core writes at a time.
const PIECE: usize = 1 << 20;

/// Gathered contents.
#[derive(Default)]
pub(super) struct Staging {
    belt: Option<StagingBelt>,
    /// Gathered for the next run: source buffer and offset, and destination.
    pending: Vec<(wgpu::Buffer, u64, Place)>,
}

impl Staging {
    /// Gathers `parts`, one after the other, for the front of `place`, on all cores. Replaces what was gathered for it before.
    pub fn stage(&mut self, gpu: &Gpu, place: Place, parts: &[&[u8]]) -> Result<()> {
        let bytes: u64 = parts.iter().map(|part| part.len() as u64).sum::<u64>().next_multiple_of(4);
        self.pending.retain(|(.., other)| (other.buffer, other.offset) != (place.buffer, place.offset));
        if bytes == 0 || bytes > place.bytes {
            return Err(Error::setting("the bytes staged for a tensor", bytes, format!("1 to {}", place.bytes)));
        }
        let belt = self.belt.get_or_insert_with(|| StagingBelt::new(gpu.device.clone(), place.bytes + BESIDE));
        // always room for the whole tensor, so that the memory fits any later contents
        let wanted = wgpu::BufferSize::new(place.bytes).unwrap_or(wgpu::BufferSize::MIN);
        let alignment = wgpu::BufferSize::MIN.saturating_add(wgpu::MAP_ALIGNMENT - 1);
        let slice = match gpu.guarded("staging a tensor", || belt.allocate(wanted, alignment)) {
            Ok(slice) => slice,
            Err(error) => {
                // the belt still counts on memory that it did not get
                *self = Self::default();
                return Err(error);
            }
        };
        let (buffer, offset) = (slice.buffer().clone(), slice.offset());
        let failed = |error| Error::device(format!("staging a tensor failed: {error}"), "check the driver");
        gather(&buffer, offset, bytes, parts).map_err(failed)?;
        self.pending.push((buffer, offset, Place { bytes, ..place }));
        Ok(())
    }

    /// Encodes copies of everything gathered, and unmaps the memory. Submit next, then call [`Staging::recall`].
    pub fn copy(&mut self, encoder: &mut wgpu::CommandEncoder, buffers: &[wgpu::Buffer]) {
        if let Some(belt) = &mut self.belt {
            belt.finish();
        }
        for (staged, offset, place) in self.pending.drain(..) {
            encoder.copy_buffer_to_buffer(&staged, offset, &buffers[place.buffer], place.offset, place.bytes);
        }
    }

    /// Asks for the memory back once the newest submission has ended.
    pub fn recall(&mut self) {
        if let Some(belt) = &mut self.belt {
            belt.recall();
        }
    }
}

/// Writes `parts`, one after the other, into mapped memory from `offset` on. Pieces of them are spread over the cores. `bytes` is
/// rounded up to a whole word; the last few bytes stay as they are.
fn gather(buffer: &wgpu::Buffer, offset: u64, bytes: u64, parts: &[&[u8]]) -> Result<(), wgpu::MapRangeError> {
    let end = |total: &mut usize, part: &&[u8]| {
        *total += part.len();
        Some(*total)
    };
    let ends: Vec<usize> = parts.iter().scan(0, end).collect();
    (0..bytes as usize).into_par_iter().step_by(PIECE).try_for_each(|start| {
        let length = PIECE.min(bytes as usize - start);
        let from = offset + start as u64;
        let mut view = buffer.get_mapped_range_mut(from..from + length as u64)?;
        let mut done = 0;
        for (part, end) in parts.iter().zip(&ends).skip(ends.partition_point(|&end| end <= start)) {
            let rest = &part[part.len() - (end - start - done)..];
            let count = rest.len().min(length - done);
            view.slice(done..done + count).copy_from_slice(&rest[..count]);
            done += count;
            if done == length {
                break;
            }
        }
        Ok(())
    })
}
