//! Plans before anything is allocated, and decides how many images of a step are computed at a time.

use super::Setup;
use super::micro_batch::MicroBatch;
use super::setup::plan_with;
use super::stream::images_at_a_time;
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::model::Network;
use crate::plan::{Plan, Profile};

/// Plans a network for a data set of `images` images, all of them on the device unless `setup.data_memory` or the
/// device's memory is too small: what [`Session::new`](super::Session::new) would allocate.
///
/// # Errors
/// Something does not fit on the adapter.
pub fn plan_for(network: &Network, images: usize, setup: &Setup, profile: &Profile) -> Result<(Plan, Graph)> {
    if setup.micro_batch == MicroBatch::Auto {
        let micro_batch = MicroBatch::Images(micro_batch_that_fits(network, images, setup, profile)?);
        return plan_for(network, images, &Setup { micro_batch, ..setup.clone() }, profile);
    }
    streamed_if_need_be(network, images, setup, |streamed| plan_with(network, images, setup, profile, streamed))
}

/// Makes something of these attempts, the best first: of the next one where there is too little memory for one.
pub(super) fn first_that_fits<A, T>(
    attempts: impl IntoIterator<Item = A>,
    mut make: impl FnMut(A) -> Result<T>,
) -> Result<T> {
    let mut result = Err(Error::setting("the attempts", "none", "one at least"));
    for attempt in attempts {
        result = make(attempt);
        if !matches!(result, Err(Error::Memory { .. })) {
            break;
        }
    }
    result
}

/// Makes something with all images on the device, or with streamed ones where `setup.data_memory` or the device's memory is too small.
pub(super) fn streamed_if_need_be<T>(
    network: &Network,
    images: usize,
    setup: &Setup,
    make: impl FnMut(bool) -> Result<T>,
) -> Result<T> {
    let (height, width, channels) = network.image;
    let image_bytes = height * width * channels;
    let attempts: &[bool] = match setup.data_memory {
        Some(room) => &[(images * image_bytes) as u64 > room],
        None if images_at_a_time(setup.batch, image_bytes, None) < images => &[false, true],
        None => &[false],
    };
    first_that_fits(attempts.iter().copied(), make)
}

/// Micro-batches to try, the best first. If nobody knows how much memory is free, trying shows which one fits.
pub(super) fn micro_batches(
    network: &Network,
    images: usize,
    setup: &Setup,
    profile: &Profile,
) -> Result<Vec<MicroBatch>> {
    if setup.micro_batch != MicroBatch::Auto {
        return Ok(vec![setup.micro_batch]);
    }
    let most = micro_batch_that_fits(network, images, setup, profile)?;
    let sizes = std::iter::successors(Some(most), |&images| (images > 1).then(|| halves(setup.batch, images)));
    Ok(sizes.map(MicroBatch::Images).collect())
}

/// The whole batch if its plan fits, or else the size of the fewest micro-batches that fit, as even as possible.
///
/// # Errors
/// Not even one image fits, or something else is wrong with the plan.
fn micro_batch_that_fits(network: &Network, images: usize, setup: &Setup, profile: &Profile) -> Result<usize> {
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
fn halves(batch: usize, images: usize) -> usize {
    evenly(batch, images / 2)
}

/// The size of the parts if a batch is cut into as few as possible, with at most `most` images each, as even as possible.
fn evenly(batch: usize, most: usize) -> usize {
    batch.div_ceil(batch.div_ceil(most.max(1)))
}

/// The error of a plan that already computes one image at a time.
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
}
