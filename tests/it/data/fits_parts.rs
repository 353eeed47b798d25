//! FITS images with a part for each band, and images of one band.

use std::fs;
use std::path::Path;

use galaxy_gpu::data::fits::{HduChoice, Stretch, read};
use galaxy_gpu::data::{FitsOptions, read_picture, read_picture_with};

use super::fits::{Fits, flux, gzip, plane, rgb};
use super::{Scratch, assert_says};

/// A plane as an extension with these cards.
fn part(band: usize, cards: &[(&str, &str)]) -> Vec<u8> {
    let plane = plane(band, 20, 24);
    let image = Fits { cards: vec![("XTENSION".into(), "'IMAGE   '".into())], data: plane.data };
    let image = image.with_all(&plane.cards[1..].iter().map(|(n, v)| (&n[..], &v[..])).collect::<Vec<_>>());
    image.with_all(&[("PCOUNT", "0"), ("GCOUNT", "1")]).with_all(cards).bytes()
}

/// A header without data, as it stands before parts.
fn empty() -> Vec<u8> {
    let fits = Fits { cards: Vec::new(), data: Vec::new() };
    fits.with_all(&[("SIMPLE", "T"), ("BITPIX", "8"), ("NAXIS", "0")]).bytes()
}

fn refusal(path: &Path, options: &FitsOptions) -> String {
    read_picture_with(path, 20, 24, options).unwrap_err().to_string()
}

#[test]
fn a_part_for_each_band_is_a_picture() {
    let scratch = Scratch::new();
    let path = scratch.path("a.fits");
    let wanted = rgb(0..20, 0..24);
    // in another order, with another band among them, and named in another way
    for cards in ["EXTNAME", "FILTER", "BAND"] {
        let named = |band, name: &str| part(band, &[(cards, &format!("'{name}'"))]);
        let parts = [empty(), named(2, "IMAGE_Z"), named(0, "g DECam c1 4720.0"), named(1, "HSC-I"), named(1, "R")];
        for bytes in [parts.concat(), gzip(&parts.concat())] {
            fs::write(&path, bytes).unwrap();
            assert_eq!(read_picture(&path, 20, 24).unwrap(), wanted, "{cards}");
        }
    }
    // parts that say nothing are counted by the user
    fs::write(&path, [empty(), part(2, &[]), part(1, &[]), part(1, &[]), part(0, &[])].concat()).unwrap();
    assert_says(
        &refusal(&path, &FitsOptions::default()),
        &["a.fits: has images in its parts 1, 2, 3, 4", "--fits-bands"],
    );
    let bands = |text: &str| FitsOptions { bands: Some(text.chars().collect()), ..FitsOptions::default() };
    assert_eq!(read_picture_with(&path, 20, 24, &bands("zrig")).unwrap(), wanted);
    assert_says(&refusal(&path, &bands("grz")), &["has 4 images of one plane, but --fits-bands names 3"]);
    // bands that are there twice are nobody's to choose
    let twice = ["'g'", "'r'", "'z'", "'r'"].map(|name| part(0, &[("FILTER", name)]));
    fs::write(&path, [empty(), twice.concat()].concat()).unwrap();
    assert_says(&refusal(&path, &FitsOptions::default()), &["has images in its parts 1, 2, 3, 4"]);
    let other = part(0, &[("FILTER", "'z'"), ("NAXIS2", "10")]);
    fs::write(&path, [empty(), part(0, &[("FILTER", "'g'")]), part(0, &[("FILTER", "'r'")]), other].concat()).unwrap();
    assert_says(&refusal(&path, &FitsOptions::default()), &["is 10 x 24 pixels, the g band 20 x 24"]);
}

#[test]
fn an_image_of_one_band_is_grey() {
    let scratch = Scratch::new();
    let path = scratch.path("a.fits");
    fs::write(&path, plane(1, 20, 24).bytes()).unwrap();
    // x = 3.4 flux + m for each channel: the stretch with equal factors
    let stretch = Stretch { scales: [3.4; 3], ..Stretch::default() };
    let grey: Vec<u8> = (0..20 * 24).flat_map(|n| stretch.rgb([flux(1, 19 - n / 24, n % 24); 3])).collect();
    assert!(grey.chunks(3).all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2]));
    assert_eq!(read_picture(&path, 20, 24).unwrap(), grey);
    // one part of several
    fs::write(&path, [empty(), part(0, &[]), part(1, &[])].concat()).unwrap();
    let hdu = FitsOptions { hdu: Some(HduChoice::Number(2)), ..FitsOptions::default() };
    assert_eq!(read_picture_with(&path, 20, 24, &hdu).unwrap(), grey);
    // one of three files that are one picture is no picture, unless the user says so
    let path = scratch.path("a-r.fits");
    fs::write(&path, plane(1, 20, 24).bytes()).unwrap();
    let refused = read(std::slice::from_ref(&path), None, &FitsOptions::default()).err().unwrap().to_string();
    assert_says(&refused, &["a-r.fits: has 1 plane, of one band by its name", "fetch the other two"]);
    let bands = FitsOptions { bands: Some(vec!['r']), ..FitsOptions::default() };
    assert_eq!(read_picture_with(&path, 20, 24, &bands).unwrap(), grey);
}
