//! `data picture` and `predict` on FITS images, as a user runs them.

use crate::common::desk::Desk;

/// Header cards and big-endian floats as a FITS file.
fn fits(cards: &[(&str, &str)], values: impl Iterator<Item = f32>) -> Vec<u8> {
    let mut bytes: Vec<u8> =
        cards.iter().flat_map(|(n, v)| format!("{:<80}", format!("{n:<8}= {v}")).into_bytes()).collect();
    bytes.extend(b"END");
    bytes.resize(bytes.len().next_multiple_of(2880), b' ');
    bytes.extend(values.flat_map(f32::to_be_bytes));
    bytes.resize(bytes.len().next_multiple_of(2880), 0);
    bytes
}

/// A cut-out of 16 x 16 pixels of half an arcsecond.
fn cutout() -> Vec<u8> {
    let cards = [
        ("SIMPLE", "T"),
        ("BITPIX", "-32"),
        ("NAXIS", "3"),
        ("NAXIS1", "16"),
        ("NAXIS2", "16"),
        ("NAXIS3", "3"),
        ("CTYPE1", "'RA---TAN'"),
        ("CTYPE2", "'DEC--TAN'"),
        ("CRVAL1", "150.0"),
        ("CRVAL2", "2.0"),
        ("CRPIX1", "8.5"),
        ("CRPIX2", "8.5"),
        ("CDELT1", "-1.38888888888889E-4"),
        ("CDELT2", "1.38888888888889E-4"),
    ];
    fits(&cards, (0..3 * 256).map(|n| (n % 256) as f32 / 1000.0))
}

#[test]
fn a_picture_is_written_and_its_place_reported() {
    let desk = Desk::new();
    desk.write("a.fits", cutout());
    let (said, notes) = desk.both("data picture a.fits --size 8");
    assert_eq!(
        said,
        "picture.png: 8 x 8 pixels\ncentre 150.00000, +2.00000; 0.500 arcsec per pixel, 8.0 x 8.0 arcsec; north up, east left\n"
    );
    assert!(notes.contains("its pixels are 0.500 arcseconds wide") && notes.contains("8.38 times as large"), "{notes}");
    assert_eq!(image::image_dimensions(desk.path("picture.png")).unwrap(), (8, 8));
    let said = desk.run("data picture a.fits --at 150.0,2.0 --crop-arcsec 2 --out b.png");
    assert!(said.starts_with("b.png: 4 x 4 pixels\n"), "{said}");
}

#[test]
fn impossible_requests_are_refused_and_nothing_is_written() {
    let desk = Desk::new();
    desk.write("a.fits", cutout());
    image::RgbImage::new(4, 4).save(desk.path("a.png")).unwrap();
    for (arguments, said) in [
        ("a.fits a.fits", "IMAGE is 2 files, but must be one, or g, r and z"),
        ("a.fits a.fits a.fits", "has 3 planes; give one plane for each band"),
        ("a.png --at 150,2", "a.png: is no FITS image, so nothing can be cut out"),
        ("a.fits --at 150", "give RA,DEC in decimal degrees"),
        ("a.fits --at 151,2", "does not show the position 151.000000, 2.000000"),
        ("a.fits --crop-arcsec 3", "--at <RA,DEC>"),
        ("a.fits --fits-bands g,r", "--fits-bands is \"g,r\""),
        ("a.fits --fits-stretch Q=0", "--fits-stretch is \"Q=0\""),
        ("a.fits --fits-hdu 1", "has no part 1 among its 1"),
        ("none.fits", "none.fits: cannot be read"),
    ] {
        desk.refuses(&format!("data picture {arguments}"), &[said]);
    }
    desk.refuses("data show a.fits", &["is one FITS file, and no data set"]);
}

#[test]
fn training_keeps_how_fits_images_are_read() {
    let desk = Desk::new();
    for (class, factor) in [("faint", 1.0), ("bright", 3.0)] {
        for number in 0..4 {
            let cards =
                [("SIMPLE", "T"), ("BITPIX", "-32"), ("NAXIS", "3"), ("NAXIS1", "8"), ("NAXIS2", "8"), ("NAXIS3", "3")];
            let values = (0..192).map(|n| factor * (n + number) as f32 / 1000.0);
            desk.write(&format!("data/{class}/{number}.fits"), fits(&cards, values));
        }
    }
    desk.write("small.toml", "name = \"small\"\n[[layer]]\ntype = \"flatten\"\n[[layer]]\ntype = \"dense\"\n");
    let train =
        "train --data data --model small.toml --epochs 1 --batch 2 --device reference --fits-stretch Q=10 --out run";
    desk.run(train);
    // the run goes on with the stretch it began with, and with no other
    desk.run("train --resume run --epochs 2");
    desk.refuses("train --resume run --epochs 3 --fits-stretch Q=5", &["--fits-stretch is Q=5", "Q=10"]);
    let (said, notes) = desk.both("predict run data/bright/0.fits --device reference --fits-stretch Q=10");
    assert!((said + &notes).contains("place on the sky not known"));
}

#[test]
fn three_files_are_told_apart_by_their_names() {
    let desk = Desk::new();
    let cards = [("SIMPLE", "T"), ("BITPIX", "-32"), ("NAXIS", "2"), ("NAXIS1", "8"), ("NAXIS2", "8")];
    for (band, flux) in [("g", 0.001), ("r", 0.01), ("z", 0.1)] {
        let file = fits(&cards, (0..64).map(|_| flux));
        desk.write(&format!("a-{band}.fits"), file);
    }
    let pixels = |files: &str| {
        desk.run(&format!("data picture {files} --out p.png"));
        image::open(desk.path("p.png")).unwrap().into_rgb8().into_raw()
    };
    let sound = pixels("a-g.fits a-r.fits a-z.fits");
    assert!(sound[0] > sound[2], "z is red");
    assert_eq!(pixels("a-z.fits ./a-r.fits a-g.fits"), sound);
    // names that say nothing are taken as they are given
    std::fs::copy(desk.path("a-z.fits"), desk.path("b.fits")).unwrap();
    assert_ne!(pixels("b.fits a-r.fits a-g.fits"), sound);
}
