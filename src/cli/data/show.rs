//! `data show`: the notebook's two pictures. Augmentations are made by the calls that a training step makes, on the
//! CPU twins, so the picture shows what a network is trained on.

use super::Source;
use crate::cli::options::check_output;
use crate::data::{Dataset, epoch_order, simulate};
use crate::engine::{CpuEngine, Engine};
use crate::error::{Error, Result};
use crate::graph::{Augment, Graph, Settings, Shard, lower};
use crate::kernels::{Precision, StepParams};
use crate::model::{Layer, Model};
use crate::plan::{Options, Plan, Profile, Program};
use crate::report::{Tile, grid};
use std::path::PathBuf;

/// Arguments of `data show`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  galaxy-gpu data show
  galaxy-gpu data show Galaxy10_DECals.h5 --seed 7
  galaxy-gpu data show Galaxy10_DECals.h5 --augment 42 --out augmented.png")]
pub struct Args {
    #[command(flatten)]
    source: Source,
    /// Draw nine random augmentations of this image, counted from 0, or of a random one
    #[arg(long, value_name = "INDEX", num_args = 0..=1, value_parser = image_index)]
    augment: Option<Option<usize>>,
    /// Picture to write
    #[arg(long, value_name = "FILE.png", default_value = "galaxies.png")]
    out: PathBuf,
    /// Seed of the choice, of the augmentations and of simulated galaxies
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
}

fn image_index(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| "not the number of an image (a file or folder stands before --augment)".to_owned())
}

/// Images of the notebook's picture.
const SHOWN: usize = 16;
/// Augmentations of one image.
const AUGMENTED: usize = 9;
/// Simulated galaxies to choose from.
const SIMULATED: usize = 100;
/// Their size in pixels: that of Galaxy10.
const SIMULATED_SIZE: usize = 256;

/// Draws the picture.
///
/// # Errors
/// Data that cannot be read, an image that does not exist, a picture that cannot be written.
pub fn run(args: &Args) -> anyhow::Result<()> {
    check_output("--out", &args.out, &["png"])?;
    let simulated = simulate::Settings { images: SIMULATED, size: SIMULATED_SIZE, seed: args.seed };
    let dataset = args.source.load(simulated)?;
    let indices: Vec<u32> = (0..dataset.len() as u32).collect();
    let order = epoch_order(&indices, args.seed, 0);
    let shown = match args.augment {
        None => show_images(&dataset, &order[..order.len().min(SHOWN)], args)?,
        Some(index) => {
            show_augmentations(&dataset, index.unwrap_or(order.first().copied().unwrap_or(0) as usize), args)?
        }
    };
    let (height, width) = (dataset.height, dataset.width);
    crate::cli::print_text(format!("{}: {shown} of {}, {height} x {width} pixels\n", args.out.display(), dataset.name))
}

fn show_images(dataset: &Dataset, chosen: &[u32], args: &Args) -> Result<String> {
    let (height, width) = (dataset.height, dataset.width);
    let tile = |&index: &u32| {
        let title = dataset.classes[dataset.labels[index as usize] as usize].clone();
        Tile { pixels: dataset.image(index as usize), height, width, title }
    };
    grid(&chosen.iter().map(tile).collect::<Vec<_>>(), 4, &args.out)?;
    Ok(format!("{} of {} images", chosen.len(), dataset.len()))
}

fn show_augmentations(dataset: &Dataset, index: usize, args: &Args) -> Result<String> {
    if index >= dataset.len() {
        let allowed = format!("below {}, the number of images of {}", dataset.len(), dataset.name);
        return Err(Error::setting("--augment", index, allowed));
    }
    let (height, width) = (dataset.height, dataset.width);
    let images = augmentations(dataset.image(index), (height, width), AUGMENTED, (Augment::default(), args.seed))?;
    let tile = |pixels| Tile { pixels, height, width, title: String::new() };
    let tiles: Vec<Tile> = images.chunks(dataset.image_bytes()).map(tile).collect();
    grid(&tiles, 3, &args.out)?;
    let class = &dataset.classes[dataset.labels[index] as usize];
    Ok(format!("{AUGMENTED} augmentations of image {index} ({class})"))
}

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
    let pool = Layer::MaxPool2d { size: height.min(width), stride: None };
    let layers = vec![pool, Layer::Flatten {}, Layer::Dense { units: None, bias: true }];
    let network = Model { name: "augmentation".into(), layers }.build(height, width, 1)?;
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
        average: false,
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
