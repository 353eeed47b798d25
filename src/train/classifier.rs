//! A trained network that classifies any images, one submission after the other, for `predict` and `classify`.
//!
//! The device holds the images of one submission. Those of the next are gathered while it works, as in a streamed session.

use super::fit::first_that_fits;
use super::loaded::Loaded;
use super::setup::{Setup, check_batch, plan_with};
use super::stream::images_at_a_time;
use super::{Weights, default_per_submit};
use crate::engine::{Engine, read_floats};
use crate::error::{Error, Result};
use crate::kernels::StepParams;
use crate::plan::{Plan, Profile, Program};

/// Refuses scores of an image that are no probabilities: a network whose numbers overflow has no answer.
///
/// # Errors
/// [`Error::Device`].
pub fn check_answer(probabilities: &[f32]) -> Result<()> {
    match probabilities.iter().all(|p| (0.0..=1.0).contains(p)) {
        true => Ok(()),
        false => Err(Error::device(
            "its scores are not finite numbers",
            "try --precision f32, other weights, or train with a smaller rate",
        )),
    }
}

/// A network on an engine, with room for the images of one submission.
pub struct Classifier {
    loaded: Loaded,
    classes: usize,
    image_bytes: usize,
    batch: usize,
    capacity: usize,
    /// Images of the submission whose scores have not been read.
    queued: usize,
}

impl Classifier {
    /// Plans the network for batches of `setup.batch` images, makes the engine and writes the weights. A submission is as
    /// many batches as a streamed session would take, one on a software adapter, or where there is no memory for more.
    ///
    /// # Errors
    /// The batch is not from 1 to 65536, something does not fit on the adapter, or the device is lost.
    pub fn new(
        weights: &Weights,
        setup: &Setup,
        profile: &Profile,
        make_engine: impl Fn(Plan) -> Result<Box<dyn Engine>>,
    ) -> Result<Self> {
        check_batch(setup.batch)?;
        let network = weights.network()?;
        let (height, width, channels) = network.image;
        let most = images_at_a_time(setup.batch, height * width * channels, setup.data_memory);
        let capacity = most.min(setup.batch * default_per_submit(profile.kind));
        let attempts = [Some(capacity), (capacity > setup.batch).then_some(setup.batch)];
        let loaded = first_that_fits(attempts.into_iter().flatten(), |capacity| {
            let (plan, graph) = plan_with(&network, capacity, setup, profile, false)?;
            let mut loaded = Loaded::new(plan, &graph, &make_engine)?;
            loaded.fill(&vec![0; capacity], None, setup.precision)?;
            let order: Vec<u32> = (0..capacity as u32).collect();
            loaded.engine.write(loaded.persistent.order, bytemuck::cast_slice(&order))?;
            loaded.write_parameters(&weights.tensors)?;
            loaded.ready()?;
            Ok(loaded)
        })?;
        let capacity = loaded.persistent.shards.iter().map(|shard| shard.images.count).sum();
        let image_bytes = height * width * channels;
        Ok(Self { loaded, classes: network.classes, image_bytes, batch: setup.batch, capacity, queued: 0 })
    }

    /// The engine.
    pub fn engine(&self) -> &dyn Engine {
        &*self.loaded.engine
    }

    /// The most images in a submission.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Queues these images (each `height x width x 3`) and returns the softmax scores of those queued before: `images x classes`. The
    /// device works while the caller makes the next images.
    ///
    /// # Errors
    /// There are more images than [`Classifier::capacity`], one has another size, or the device is lost.
    pub fn next(&mut self, images: &[&[u8]]) -> Result<Vec<f32>> {
        if images.len() > self.capacity {
            return Err(Error::setting(
                "the images of a submission",
                images.len(),
                format!("at most {}", self.capacity),
            ));
        }
        if let Some(other) = images.iter().find(|image| image.len() != self.image_bytes) {
            return Err(Error::setting("the bytes of an image", other.len(), self.image_bytes));
        }
        for shard in &self.loaded.persistent.shards {
            let here = shard.images.of(images);
            if !here.is_empty() {
                self.loaded.engine.stage(shard.pixels, here)?;
            }
        }
        let scores = self.finish()?;
        let starts = (0..images.len()).step_by(self.batch);
        let steps = starts.enumerate().map(|(slot, first)| StepParams {
            first: first as u32,
            count: self.batch.min(images.len() - first) as u32,
            slot: slot as u32,
            ..StepParams::default()
        });
        let steps: Vec<StepParams> = steps.collect();
        if !steps.is_empty() {
            self.loaded.engine.run(Program::Infer, &steps)?;
            self.queued = images.len();
        }
        Ok(scores)
    }

    /// Waits for the queued images and returns their scores.
    ///
    /// # Errors
    /// A lost device.
    pub fn finish(&mut self) -> Result<Vec<f32>> {
        let queued = std::mem::take(&mut self.queued);
        if queued == 0 {
            return Ok(Vec::new());
        }
        let mut scores = read_floats(&mut *self.loaded.engine, self.loaded.persistent.probabilities)?;
        scores.truncate(queued * self.classes);
        // drop the metrics, which nobody asks for
        self.loaded.engine.finished()?;
        Ok(scores)
    }
}
