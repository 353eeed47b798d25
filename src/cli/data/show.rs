//! `data show`: the notebook's two pictures.

use super::Source;
use crate::cli::options::check_output;
use crate::data::{Dataset, epoch_order, simulate};
use crate::error::{Error, Result};
use crate::graph::Augment;
use crate::report::{Tile, grid};
use crate::train::augmentations;
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
    /// Seed of the selection, the augmentations and simulated galaxies
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
/// The data cannot be read, the image does not exist, or the picture cannot be written.
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
