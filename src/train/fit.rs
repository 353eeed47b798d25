//! What fits: plans before anything is allocated, and how many images of a step are computed at a time.

use super::Setup;
use super::setup::plan_with;
use super::stream::images_at_a_time;
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::model::Network;
use crate::plan::{Plan, Profile};
use serde::{Deserialize, Serialize};

/// How many images of a step are computed at a time. Their gradients are added up, so that the result is the whole batch's
/// within rounding, and memory is what a micro-batch needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum MicroBatch {
    /// All of them.
    #[default]
    Whole,
    /// As many as fit, in the fewest micro-batches of nearly one size.
    Auto,
    /// So many, from 1.
    Images(usize),
}

impl MicroBatch {
    /// What a plan does.
    pub fn of(plan: &Plan) -> Self {
        plan.micro_batches.map_or(Self::Whole, |micro| Self::Images(micro.images))
    }

    /// Images at a time, where that is decided.
    pub(super) fn images(self) -> Option<usize> {
        match self {
            Self::Images(images) => Some(images),
            Self::Whole | Self::Auto => None,
        }
    }
}

impl std::str::FromStr for MicroBatch {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match (text, text.parse()) {
            ("off", _) => Ok(Self::Whole),
            ("auto", _) => Ok(Self::Auto),
            (_, Ok(images)) if images > 0 => Ok(Self::Images(images)),
            _ => Err(Error::setting("--micro-batch", format!("\"{text}\""), "off, auto, or a number of images from 1")),
        }
    }
}

impl TryFrom<String> for MicroBatch {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<MicroBatch> for String {
    fn from(micro_batch: MicroBatch) -> Self {
        match micro_batch {
            MicroBatch::Whole => "off".into(),
            MicroBatch::Auto => "auto".into(),
            MicroBatch::Images(images) => images.to_string(),
        }
    }
}

/// Plans a network for a data set of `images` images, all of them on the device unless `setup.data_memory` or the
/// device's memory is too small: what [`Session::new`](super::Session::new) would allocate.
///
/// # Errors
/// Whatever is larger than the adapter can hold.
pub fn plan_for(network: &Network, images: usize, setup: &Setup, profile: &Profile) -> Result<(Plan, Graph)> {
    if setup.micro_batch == MicroBatch::Auto {
        let micro_batch = MicroBatch::Images(micro_batch_that_fits(network, images, setup, profile)?);
        return plan_for(network, images, &Setup { micro_batch, ..setup.clone() }, profile);
    }
    let (height, width, channels) = network.image;
    let image_bytes = height * width * channels;
    let plan = |streamed| plan_with(network, images, setup, profile, streamed).map(|(plan, graph, _)| (plan, graph));
    match setup.data_memory {
        Some(room) => plan((images * image_bytes) as u64 > room),
        None => match plan(false) {
            Err(Error::Memory { .. }) if images_at_a_time(setup.batch, image_bytes, None) < images => plan(true),
            other => other,
        },
    }
}

/// The whole batch where its plan fits, else the size of the fewest micro-batches that do, as even as can be.
///
/// # Errors
/// Not even one image fits; whatever else is wrong with the plan.
pub(super) fn micro_batch_that_fits(
    network: &Network,
    images: usize,
    setup: &Setup,
    profile: &Profile,
) -> Result<usize> {
    let plan = |at_a_time| {
        let setup = Setup { micro_batch: MicroBatch::Images(at_a_time), ..setup.clone() };
        plan_for(network, images, &setup, profile)
    };
    let fits = |at_a_time| match plan(at_a_time) {
        Ok(_) => Ok(true),
        Err(Error::Memory { .. } | Error::Limit { .. }) => Ok(false),
        Err(error) => Err(error),
    };
    if fits(setup.batch)? {
        return Ok(setup.batch);
    }
    plan(1).map_err(even_alone)?;
    let (mut most, mut too_many) = (1, setup.batch);
    while too_many - most > 1 {
        let middle = most.midpoint(too_many);
        *(if fits(middle)? { &mut most } else { &mut too_many }) = middle;
    }
    Ok(evenly(setup.batch, most))
}

/// The next smaller micro-batch to try after one of `images`.
pub(super) fn halves(batch: usize, images: usize) -> usize {
    evenly(batch, images / 2)
}

/// The size of as few parts of a batch as there are with at most `most` images each, as even as can be.
fn evenly(batch: usize, most: usize) -> usize {
    batch.div_ceil(batch.div_ceil(most.max(1)))
}

/// The refusal of a plan that computes one image at a time already.
fn even_alone(error: Error) -> Error {
    let remedy = "smaller images or a smaller model".to_owned();
    match error {
        Error::Memory { problem, .. } => Error::Memory {
            problem: format!("even with one image at a time, {problem}"),
            remedy: format!("use a smaller --batch, a smaller --data-memory, {remedy}, or close other programs"),
        },
        Error::Limit { what, need, limit, .. } => {
            let what = format!("even with one image at a time, {what}");
            Error::Limit { what, need, limit, remedy: format!("use {remedy}") }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn micro_batches_are_few_and_even() {
        assert_eq!(
            [(256, 100), (256, 64), (50, 49), (50, 1), (7, 3)].map(|(b, most)| evenly(b, most)),
            [86, 64, 25, 1, 3]
        );
        assert_eq!([halves(256, 256), halves(256, 3), halves(50, 1)], [128, 1, 1]);
    }

    #[test]
    fn a_setting_is_read_as_it_is_written() {
        for text in ["off", "auto", "64"] {
            assert_eq!(String::from(text.parse::<MicroBatch>().unwrap()), text);
        }
        for wrong in ["", "0", "-1", "1.5", "Auto", "all"] {
            let error = wrong.parse::<MicroBatch>().unwrap_err().to_string();
            assert!(error.contains("--micro-batch is") && error.contains("off, auto"), "{error}");
        }
    }
}
