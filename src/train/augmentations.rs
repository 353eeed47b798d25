//! Augmented copies of an image, made by the calls that a training step makes, on the CPU twins: they are what a network is trained on.

use crate::engine::{CpuEngine, Engine};
use crate::error::Result;
use crate::graph::{Augment, Graph, Settings, Shard};
use crate::kernels::{Precision, StepParams};
use crate::lowering::lower;
use crate::model::Model;
use crate::plan::{Options, Plan, Profile, Program};

/// Augmented copies of an image, `copies x height x width x 3` bytes: the first calls of the training step of the
/// smallest network that takes such images.
///
/// # Errors
/// An image that is too large to be planned for.
pub fn augmentations(
    pixels: &[u8],
    (height, width): (usize, usize),
    copies: usize,
    (augment, seed): (Augment, u64),
) -> Result<Vec<u8>> {
    let network = Model::smallest(height.min(width)).build(height, width, 1)?;
    let settings = Settings {
        training: true,
        batch: copies,
        micro_batch: None,
        images: 1,
        rows: copies,
        shards: vec![Shard { first: 0, count: 1 }],
        streamed: false,
        augment: Some(augment),
        label_smoothing: 0.0,
        fuse: true,
        precision: Precision::F32,
        ema: false,
    };
    let graph: Graph = lower(&network, &settings)?;
    let plan = Plan::new(&graph, &Profile::cpu(), &Options::default())?;
    let mut engine = CpuEngine::<f32>::new(plan);
    // Every row of the batch is image 0; tensors start as zeros, so `order` says so already.
    for shard in engine.plan().persistent()?.shards.clone() {
        engine.write(shard.pixels, pixels)?;
        engine.write(shard.range, bytemuck::cast_slice(&[0u32, 1]))?;
    }
    let params = StepParams { seed: (seed ^ (seed >> 32)) as u32, ..StepParams::default() };
    let steps = engine.plan().steps(Program::Train).to_vec();
    for step in steps.iter().filter(|step| step.contract.name.starts_with("augment.")) {
        engine.run_step(step, &params);
    }
    let images = engine.plan().tensor("train.images")?;
    Ok(engine.floats(images).iter().map(|&value| (value * 255.0).round() as u8).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn augmentations_are_nine_different_images_that_the_seed_decides() {
        let pixels: Vec<u8> = (0..7 * 5 * 3).map(|i| (i * 37 % 251) as u8).collect();
        let images = augmentations(&pixels, (7, 5), 9, (Augment::default(), 3)).unwrap();
        assert_eq!(images.len(), 9 * pixels.len());
        let copies: Vec<&[u8]> = images.chunks(pixels.len()).collect();
        for (i, copy) in copies.iter().enumerate() {
            assert!(copy.iter().any(|&byte| byte > 0), "copy {i} is black");
            assert!(copies[..i].iter().all(|other| other != copy), "copy {i} is there twice");
        }
        assert_eq!(images, augmentations(&pixels, (7, 5), 9, (Augment::default(), 3)).unwrap());
        assert_ne!(images, augmentations(&pixels, (7, 5), 9, (Augment::default(), 4)).unwrap());
    }
}
