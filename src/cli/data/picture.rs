//! `data picture`: writes one picture as a network sees it.

use crate::cli::fits::{self, PictureArgs};
use crate::cli::options::check_output;
use crate::cli::{print_note, print_text};
use crate::error::{Error, Result};
use crate::files::write_whole;
use image::{ImageFormat, RgbImage};
use std::io::Cursor;
use std::path::PathBuf;

/// Arguments of `data picture`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  galaxy-gpu data picture cutout.fits
  galaxy-gpu data picture brick-g.fits.fz --at 150.1,2.2 --crop-arcsec 67 --out galaxy.png
  galaxy-gpu data picture a-g.fits a-r.fits a-z.fits --fits-stretch Q=10,m=0.02")]
pub struct Args {
    #[command(flatten)]
    picture: PictureArgs,
    /// Side of the picture in pixels, as a network of that size would see it [default: the image's own]
    #[arg(long, value_name = "PIXELS")]
    size: Option<usize>,
    /// Picture to write
    #[arg(long, value_name = "FILE.png", default_value = "picture.png")]
    out: PathBuf,
}

/// Writes the picture.
///
/// # Errors
/// The image cannot be read, or the picture cannot be written.
pub fn run(args: &Args) -> anyhow::Result<()> {
    check_output("--out", &args.out, &["png"])?;
    let seen = args.picture.read(args.size.map(|side| (side, side)))?;
    let (height, width) = (seen.height, seen.width);
    save(args, seen.pixels, (height as u32, width as u32))?;
    print_text(format!("{}: {height} x {width} pixels\n", args.out.display()))?;
    if let Some(place) = &seen.place {
        print_text(format!("{}\n", fits::in_words(place)))?;
        place.iter().flat_map(fits::warnings).for_each(print_note);
    }
    Ok(())
}

fn save(args: &Args, pixels: Vec<u8>, (height, width): (u32, u32)) -> Result<()> {
    let failed = |problem: String| Error::file(&args.out, problem, "choose another --out");
    let picture = RgbImage::from_raw(width, height, pixels).ok_or_else(|| failed("has no pixels".into()))?;
    let mut png = Cursor::new(Vec::new());
    picture.write_to(&mut png, ImageFormat::Png).map_err(|error| failed(error.to_string()))?;
    write_whole(&args.out, &png.into_inner())
}
