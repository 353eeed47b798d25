//! How a session computes, and the plan that follows from it.

use super::micro_batch::MicroBatch;
use super::stream::images_at_a_time;
use crate::error::{Error, Result};
use crate::graph::{self, Augment, Graph};
use crate::kernels::{Precision, Shaders};
use crate::lowering::lower;
use crate::model::Network;
use crate::plan::{self, Choice, Options, Plan, Profile};

/// How a session computes.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Whether to train; if not, nothing is allocated or compiled for training.
    pub training: bool,
    /// Images in a step.
    pub batch: usize,
    /// Images of a step to compute at a time: fewer take less memory, with the same result within rounding.
    pub micro_batch: MicroBatch,
    /// Random affine maps while training.
    pub augment: Option<Augment>,
    /// Fraction of the target spread over all classes.
    pub label_smoothing: f64,
    /// Weight of each class in the training loss (see [`ClassWeights`](super::ClassWeights)); one each if `None`, and in measuring.
    pub class_weights: Option<Vec<f32>>,
    /// Whether layers are grouped into fused blocks.
    pub fuse: bool,
    /// The precision in which activations and multiplied weights are stored.
    pub precision: Precision,
    /// Implementations the user insists on.
    pub choices: Vec<Choice>,
    /// Whether training keeps an EMA of the weights, see [`Adam::ema`](super::Adam::ema).
    pub ema: bool,
    /// The crate's shaders, some perhaps replaced by a user's.
    pub shaders: Shaders,
    /// Bytes of device memory for images; a larger data set is streamed. If `None`, it is streamed if the device cannot allocate it.
    pub data_memory: Option<u64>,
}

impl Setup {
    /// Inference of batches of this size.
    pub fn inference(batch: usize) -> Self {
        Self {
            training: false,
            batch,
            micro_batch: MicroBatch::Whole,
            augment: None,
            label_smoothing: 0.0,
            class_weights: None,
            fuse: true,
            precision: Precision::F32,
            choices: Vec::new(),
            ema: false,
            shaders: Shaders::default(),
            data_memory: None,
        }
    }
}

/// Refuses a batch without images, or with so many that sizes overflow.
pub(super) fn check_batch(batch: usize) -> Result<()> {
    match batch {
        1..=65_536 => Ok(()),
        _ => Err(Error::setting("--batch", batch, "from 1 to 65536")),
    }
}

/// The plan and its graph.
pub(super) fn plan_with(
    network: &Network,
    images: usize,
    setup: &Setup,
    profile: &Profile,
    streamed: bool,
) -> Result<(Plan, Graph)> {
    check_batch(setup.batch)?;
    let (height, width, channels) = network.image;
    let image_bytes = height * width * channels;
    let at_a_time = images_at_a_time(setup.batch, image_bytes, setup.data_memory);
    let on_device = if streamed { at_a_time.min(images) } else { images };
    let settings = graph::Settings {
        training: setup.training,
        batch: setup.batch,
        micro_batch: setup.micro_batch.images(),
        images,
        rows: images,
        shards: plan::shards(on_device, image_bytes, profile.binding_bytes)?,
        streamed,
        augment: setup.augment,
        label_smoothing: setup.label_smoothing,
        fuse: setup.fuse,
        precision: setup.precision,
        ema: setup.ema,
    };
    let graph = lower(network, &settings)?;
    let options = Options { choices: setup.choices.clone(), guards: false, shaders: setup.shaders.clone() };
    Ok((Plan::new(&graph, profile, &options)?, graph))
}
