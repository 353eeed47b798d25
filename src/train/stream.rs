//! Streams a data set that the device does not hold: gathers the images of the next submission from the (mapped) data set while the
//! device runs the one before, so that it never waits for images unless reading is slower than computing.

use crate::data::Dataset;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::graph::ShardTensors;
use std::collections::VecDeque;
use std::ops::Range;

/// A submission holds at most this many bytes of images, unless a single batch is larger.
const SUBMISSION_BYTES: usize = 128 << 20;
/// Batches in a submission that are enough to keep a device busy in the meantime.
const MOST_BATCHES: usize = 8;

/// Images that the device holds at a time: as many batches as fit into `room` bytes, at least one.
pub(super) fn images_at_a_time(batch: usize, image_bytes: usize, room: Option<u64>) -> usize {
    let room = room.map_or(SUBMISSION_BYTES, |room| SUBMISSION_BYTES.min(usize::try_from(room).unwrap_or(usize::MAX)));
    batch * (room / (batch * image_bytes).max(1)).clamp(1, MOST_BATCHES)
}

/// The stream of images, one submission after the other.
pub(super) struct Stream<'a> {
    dataset: &'a Dataset,
    /// Room for the images of a submission.
    shards: Vec<ShardTensors>,
    order: Vec<u32>,
    /// Positions of the submissions to come.
    expected: VecDeque<Range<usize>>,
    /// Positions whose images are staged for the next run.
    staged: Option<Range<usize>>,
}

impl<'a> Stream<'a> {
    pub fn new(dataset: &'a Dataset, shards: Vec<ShardTensors>) -> Self {
        Self { dataset, shards, order: Vec::new(), expected: VecDeque::new(), staged: None }
    }

    /// The most images in a submission.
    pub fn capacity(&self) -> usize {
        self.shards.iter().map(|shard| shard.images.count).sum()
    }

    /// Sets another order; what was gathered or expected before is dropped.
    pub fn set_order(&mut self, order: &[u32]) {
        self.order = order.to_vec();
        self.expected.clear();
        self.staged = None;
    }

    /// Announces the submission that will come after those announced before.
    pub fn expect(&mut self, positions: Range<usize>) {
        self.expected.push_back(positions);
    }

    /// Stages the images of these positions for the next run.
    pub fn provide(&mut self, engine: &mut dyn Engine, positions: Range<usize>) -> Result<()> {
        if positions.len() > self.capacity() || positions.end > self.order.len() {
            let allowed = format!("at most {}, of {} in order", self.capacity(), self.order.len());
            return Err(Error::setting("the images of a submission", format!("{positions:?}"), allowed));
        }
        if self.staged.take() != Some(positions.clone()) {
            self.stage(engine, &positions)?;
        }
        if let Some(place) = self.expected.iter().position(|other| *other == positions) {
            self.expected.drain(..=place);
        }
        Ok(())
    }

    /// Gathers the images of the next announced submission.
    pub fn look_ahead(&mut self, engine: &mut dyn Engine) -> Result<()> {
        if let Some(positions) = self.expected.front().cloned() {
            self.stage(engine, &positions)?;
            self.staged = Some(positions);
        }
        Ok(())
    }

    fn stage(&self, engine: &mut dyn Engine, positions: &Range<usize>) -> Result<()> {
        let all = self.order.get(positions.clone()).unwrap_or_default();
        for shard in &self.shards {
            let here = shard.images.of(all);
            let images: Vec<&[u8]> = here.iter().map(|&image| self.dataset.image(image as usize)).collect();
            if !images.is_empty() {
                engine.stage(shard.pixels, &images)?;
            }
            // an unused shard says so, since it still holds images of these positions in an earlier order
            let held = [(positions.start + shard.images.first) as u32, images.len() as u32];
            engine.stage(shard.range, &[bytemuck::cast_slice(&held)])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::images_at_a_time;

    #[test]
    fn a_submission_is_whole_batches_within_its_bytes() {
        let image = 256 * 256 * 3;
        assert_eq!(images_at_a_time(50, image, None), 400);
        assert_eq!(images_at_a_time(50, image, Some(u64::MAX)), 400);
        assert_eq!(images_at_a_time(50, image, Some(3 * 50 * image as u64 + 1)), 150);
        assert_eq!(images_at_a_time(50, image, Some(0)), 50, "one batch must fit");
        assert_eq!(images_at_a_time(512, image, None), 512);
        assert_eq!(images_at_a_time(200, image, None), 600);
    }
}
