//! FITS images as pictures: what is read, what is refused, and what comes out. Files are made here by hand, or by fitskit.

use std::fs;
use std::io::Write;
use std::path::Path;

use fitskit::tile_compress::{CompressOptions, Quantize};
use fitskit::{CompressionType, FitsFile, ImageData, PixelData};
use galaxy_gpu::data::fits::{Stretch, facts, read};
use galaxy_gpu::data::{Crop, FitsOptions, Sky, read_picture};

use super::{Scratch, assert_says};

/// A file of one header and its data.
pub(crate) struct Fits {
    /// Names and values, in order.
    pub cards: Vec<(String, String)>,
    /// Bytes behind the header.
    pub data: Vec<u8>,
}

impl Fits {
    /// This card with another value, or one more.
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        match self.cards.iter_mut().find(|card| card.0 == name) {
            Some(card) => card.1 = value.to_string(),
            None => self.cards.push((name.into(), value.to_string())),
        }
        self
    }

    /// With these cards too.
    pub fn with_all(self, cards: &[(&str, &str)]) -> Self {
        cards.iter().fold(self, |fits, (name, value)| fits.with(name, value))
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut header: String = self.cards.iter().map(|(n, v)| format!("{:<80}", format!("{n:<8}= {v}"))).collect();
        header += &format!("{:<80}", "END");
        let pad = |length: usize| length.next_multiple_of(2880) - length;
        let mut bytes = header.into_bytes();
        bytes.resize(bytes.len() + pad(bytes.len()), b' ');
        bytes.extend(&self.data);
        bytes.resize(bytes.len() + pad(bytes.len()), 0);
        bytes
    }
}

/// The flux of a band at a pixel, counted from the lower left: as no symmetry would have it.
pub(crate) fn flux(band: usize, row: usize, column: usize) -> f32 {
    (row * 7 + column * 3 + band * 5) as f32 / 900.0
}

/// The planes g, r and z as big-endian floats.
pub(crate) fn cube(height: usize, width: usize) -> Fits {
    let at = |n: usize| flux(n / (height * width), n / width % height, n % width);
    let data = (0..3 * height * width).flat_map(|n| at(n).to_be_bytes()).collect();
    let fits = Fits { cards: Vec::new(), data };
    fits.with_all(&[("SIMPLE", "T"), ("BITPIX", "-32"), ("NAXIS", "3")])
        .with("NAXIS1", width)
        .with("NAXIS2", height)
        .with("NAXIS3", 3)
}

/// One of the three planes.
pub(crate) fn plane(band: usize, height: usize, width: usize) -> Fits {
    let mut fits = cube(height, width).with("NAXIS3", 1);
    fits.data = fits.data[band * height * width * 4..][..height * width * 4].to_vec();
    fits
}

/// Coordinates: north up, `arcsec` a pixel, the point of reference at this pixel.
pub(crate) fn place(fits: Fits, (ra, dec): (f64, f64), (x, y): (f64, f64), arcsec: f64) -> Fits {
    let step = arcsec / 3600.0;
    fits.with_all(&[("CTYPE1", "'RA---TAN'"), ("CTYPE2", "'DEC--TAN'"), ("CD1_2", "0.0"), ("CD2_1", "0.0")])
        .with("CRVAL1", ra)
        .with("CRVAL2", dec)
        .with("CRPIX1", x)
        .with("CRPIX2", y)
        .with("CD1_1", format!("{:E}", -step))
        .with("CD2_2", format!("{step:E}"))
}

/// gzip'ed bytes.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The cube in tiles, its floats quantized and dithered.
pub(crate) fn tiles(height: usize, width: usize, algorithm: CompressionType) -> Vec<u8> {
    let at = |n: usize| flux(n / (height * width), n / width % height, n % width);
    let image = ImageData::new(vec![width, height, 3], PixelData::F32((0..3 * height * width).map(at).collect()));
    let options = CompressOptions {
        algorithm,
        tile: Some(vec![width, 8, 1]),
        quantize: Some(-1e-5),
        dither: Quantize::SubtractiveDither1,
        dither_seed: Some(3),
        ..CompressOptions::default()
    };
    let mut file = FitsFile::with_empty_primary();
    file.push_extension(image.compress(&options).unwrap());
    file.to_bytes().unwrap()
}

/// Three planes of 8 x 8 integers, `row column + 3 band`, each one tile as astropy 8 packs it.
pub(crate) fn h_compressed() -> Vec<u8> {
    let tile = |sum: [u8; 2]| {
        let mut tile = vec![221, 153, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, sum[0], sum[1]];
        tile.extend([7, 4, 1, 247, 176, 99, 80, 247, 160, 15, 255, 253, 102, 127, 223, 247, 198, 96, 25, 153, 135]);
        tile.extend([255, 255, 253, 243, 152, 10, 170, 161, 255, 255, 255, 7, 255, 248, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        tile
    };
    let heap: Vec<u8> = [[0, 192], [0, 240], [1, 32]].into_iter().flat_map(tile).collect();
    let length = heap.len() as u32 / 3;
    let row = |n: u32| [length.to_be_bytes(), (n * length).to_be_bytes()].concat();
    let data = (0..3).flat_map(row).chain(heap.iter().copied()).collect();
    let table = Fits { cards: Vec::new(), data };
    let table = table
        .with_all(&[("XTENSION", "'BINTABLE'"), ("BITPIX", "8"), ("NAXIS", "2"), ("NAXIS1", "8"), ("NAXIS2", "3")])
        .with("PCOUNT", heap.len())
        .with_all(&[("GCOUNT", "1"), ("TFIELDS", "1"), ("TTYPE1", "'COMPRESSED_DATA'"), ("TFORM1", "'1PB'")])
        .with_all(&[("ZIMAGE", "T"), ("ZCMPTYPE", "'HCOMPRESS_1'"), ("ZBITPIX", "16"), ("ZNAXIS", "3")])
        .with_all(&[("ZNAXIS1", "8"), ("ZNAXIS2", "8"), ("ZNAXIS3", "3"), ("ZTILE1", "8"), ("ZTILE2", "8")]);
    [first(), table.bytes()].concat()
}

/// A first part without pixels.
fn first() -> Vec<u8> {
    Fits { cards: Vec::new(), data: Vec::new() }.with_all(&[("SIMPLE", "T"), ("BITPIX", "8"), ("NAXIS", "0")]).bytes()
}

/// The RGB picture of the cube's `rows` and `columns`, rows from the top.
pub(crate) fn rgb(rows: std::ops::Range<usize>, columns: std::ops::Range<usize>) -> Vec<u8> {
    let stretch = Stretch::default();
    let pixel = |row, column| stretch.rgb(std::array::from_fn(|band| flux(band, row, column)));
    rows.rev().flat_map(|row| columns.clone().map(move |column| (row, column))).flat_map(|(r, c)| pixel(r, c)).collect()
}

fn save(scratch: &Scratch, name: &str, bytes: &[u8]) -> std::path::PathBuf {
    fs::write(scratch.path(name), bytes).unwrap();
    scratch.path(name)
}

fn refusal(path: &Path) -> String {
    read_picture(path, 8, 8).unwrap_err().to_string()
}

#[test]
fn a_cube_is_stretched_turned_over_and_resized_as_a_picture() {
    let scratch = Scratch::new();
    let bytes = cube(20, 24).bytes();
    let wanted = rgb(0..20, 0..24);
    let picture = image::RgbImage::from_raw(24, 20, wanted.clone()).unwrap();
    picture.save(scratch.path("same.png")).unwrap();
    let packed = gzip(&bytes);
    // what a file holds counts, and not what it is called
    for (name, bytes) in [("a.fits", &bytes), ("a.fits.gz", &packed), ("a.img", &bytes), ("b.png", &packed)] {
        let path = save(&scratch, name, bytes);
        assert_eq!(read_picture(&path, 20, 24).unwrap(), wanted, "{name}");
        assert_eq!(read_picture(&path, 7, 9).unwrap(), read_picture(&scratch.path("same.png"), 7, 9).unwrap());
    }
    fs::copy(scratch.path("same.png"), scratch.path("png.fits")).unwrap();
    assert_eq!(read_picture(&scratch.path("png.fits"), 20, 24).unwrap(), wanted);
}

#[test]
fn tiles_are_the_same_picture() {
    let scratch = Scratch::new();
    let wanted = rgb(0..20, 0..24);
    for method in [CompressionType::Rice1, CompressionType::Gzip1, CompressionType::Gzip2] {
        let path = save(&scratch, "a.fits.fz", &tiles(20, 24, method));
        let found = read_picture(&path, 20, 24).unwrap();
        // floats are quantized to steps of 1e-5, which can carry a value over a whole number
        assert!(found.iter().zip(&wanted).all(|(a, b)| a.abs_diff(*b) <= 1), "{method:?}");
    }
    let path = save(&scratch, "h.fits.fz", &h_compressed());
    let stretch = Stretch { m: 0.01, q: 20.0, scales: [0.01, 0.02, 0.03] };
    let picture = read(&[path], None, &FitsOptions { stretch, ..FitsOptions::default() }).unwrap();
    let (row, column) = (5, 3);
    let wanted = stretch.rgb([15.0, 18.0, 21.0]);
    assert_eq!(picture.pixels[((7 - row) * 8 + column) * 3..][..3], wanted);
}

#[test]
fn files_that_are_not_images_are_refused_by_name() {
    let scratch = Scratch::new();
    let check = |bytes: &[u8], parts: &[&str]| {
        let message = refusal(&save(&scratch, "a.fits", bytes));
        assert_says(&message, &["a.fits: "]);
        assert_says(&message, parts);
    };
    check(b"", &["ends within a header"]);
    check(&[b'x'; 2880], &["does not begin with SIMPLE"]);
    check(&gzip(&[b'x'; 2880]), &["does not begin with SIMPLE"]);
    check(&cube(4, 4).bytes()[..80], &["ends within a header"]);
    check(&b"SIMPLE  =".iter().chain(&[b' '; 2880 * 1001]).copied().collect::<Vec<u8>>(), &["does not end within"]);
    check(&first(), &["without an image"]);
    check(&cube(20, 24).bytes()[..2880 + 5000], &["is damaged"]);
    check(&cube(20, 24).with("BITPIX", 12).bytes(), &["BITPIX is 12"]);
    check(&cube(20, 24).with("NAXIS3", 7).bytes(), &["has 7 planes", "--fits-bands"]);
    check(&cube(20, 24).with("BANDS", "'gri'").bytes(), &["has the bands gri, and z is not among them"]);
    check(&cube(20, 24).with("NAXIS2", -20).bytes(), &["sizes make no sense"]);
    // a crowd of parts without an end
    check(&first().repeat(1200), &["without an image"]);
}

#[test]
fn sizes_are_refused_before_anything_is_reserved() {
    let scratch = Scratch::new();
    let claim = |fits: Fits| refusal(&save(&scratch, "claim.fits", &fits.bytes()));
    assert_says(&claim(cube(4, 4).with("NAXIS1", 16_385)), &["4 x 16385 pixels", "16384 pixels a side"]);
    assert_says(&claim(cube(4, 4).with("NAXIS1", 16_384).with("NAXIS2", 16_384)), &["smaller than", "67108864"]);
    assert_says(&claim(cube(4, 4).with("NAXIS1", i64::MAX).with("NAXIS2", i64::MAX)), &["smaller than"]);
    assert_says(&claim(cube(4, 4).with("NAXIS1", 8192).with("NAXIS2", 8192)), &["is damaged"]);
    assert_says(&claim(cube(4, 4).with("NAXIS3", i64::MAX)), &["3 axes"]);
    // tiles that claim more than there is
    let sound = h_compressed();
    let text = |from: &str, to: &str| {
        let mut bytes = sound.clone();
        let (from, to) = (format!("{from:<30}"), format!("{to:<30}"));
        let at = bytes.windows(30).position(|part| part == from.as_bytes()).unwrap();
        bytes[at..at + 30].copy_from_slice(to.as_bytes());
        refusal(&save(&scratch, "claim.fits", &bytes))
    };
    assert_says(&text("PCOUNT  = 198", "PCOUNT  = 1000000000"), &["larger than 512 MiB"]);
    assert_says(&text("PCOUNT  = 198", "PCOUNT  = 100000000"), &["are missing"]);
    assert_says(&text("ZTILE2  = 8", "ZTILE2  = 0"), &["tiles are 8 x 0 x 1"]);
    assert_says(&text("ZTILE2  = 8", "ZTILE2  = 4"), &["3 tiles of 6"]);
    assert_says(&text("ZNAXIS2 = 8", "ZNAXIS2 = 16384"), &["tiles of"]);
    assert_says(&text("ZCMPTYPE= 'HCOMPRESS_1'", "ZCMPTYPE= 'NEW_9'"), &["NEW_9"]);
    let mut lying = sound.clone();
    let at = lying.windows(4).position(|part| part == [221, 153, 0, 0]).unwrap();
    lying[at + 2..at + 6].copy_from_slice(&[0x7f; 4]);
    assert_says(&refusal(&save(&scratch, "claim.fits", &lying)), &["says it has"]);
}

#[test]
fn crops_are_whole_pixels_around_a_position() {
    let scratch = Scratch::new();
    let options = FitsOptions::default();
    // the point of reference lies on the corner of pixels 10, 8 and 11, 9 (from 1)
    let path = save(&scratch, "a.fits", &place(cube(20, 24), (150.0, 60.0), (10.5, 8.5), 2.0).bytes());
    let crop =
        |ra, dec, arcsec| read(std::slice::from_ref(&path), Some(&Crop { at: Sky { ra, dec }, arcsec }), &options);
    let found = crop(150.0, 60.0, 8.0).unwrap();
    assert_eq!((found.height, found.width, &found.pixels), (4, 4, &rgb(6..10, 8..12)));
    let place = found.place.unwrap();
    assert!(place.centre.separation_arcsec(Sky { ra: 150.0, dec: 60.0 }) < 1e-6);
    assert_eq!((place.height_arcsec.round(), place.north.abs() < 1e-9, place.mirrored), (8.0, true, false));
    // two pixels to the east is left, three to the north is up; right ascension is twice as narrow at 60 degrees
    let found = crop(150.0 + 2.0 * 4.0 / 3600.0, 60.0 + 6.0 / 3600.0, 8.0).unwrap();
    assert_eq!(found.pixels, rgb(9..13, 6..10));
    // what lies outside is black
    let found = crop(150.0 + 2.0 * 20.0 / 3600.0, 60.0, 8.0).unwrap();
    assert_eq!((&found.pixels[..6], &found.pixels[6..12]), (&[0; 6][..], &rgb(9..10, 0..2)[..]));
    for (ra, dec, arcsec, said) in [
        (150.1, 60.0, 8.0, "does not show the position 150.100000, 60.000000"),
        (330.0, -60.0, 8.0, "does not show"),
        (150.0, 60.0, 0.9, "are 0 of its pixels"),
        (150.0, 60.0, 1e5, "are 50000 of its pixels"),
    ] {
        assert_says(&crop(ra, dec, arcsec).err().unwrap().to_string(), &["a.fits", said]);
    }
}

#[test]
fn facts_come_from_headers_alone() {
    let scratch = Scratch::new();
    let mut fits = place(cube(20, 24), (150.0, 60.0), (12.5, 10.5), 0.262);
    fits.data.clear();
    let path = save(&scratch, "a.fits", &fits.bytes());
    let (height, width, place) = facts(&[path], &FitsOptions::default()).unwrap();
    let place = place.unwrap();
    assert_eq!((height, width), (20, 24));
    assert!((place.pixel_arcsec - 0.262).abs() < 1e-12 && (place.centre.dec - 60.0).abs() < 1e-9);
}

#[test]
fn an_image_at_a_pole_or_with_another_pole_has_no_known_place() {
    let scratch = Scratch::new();
    let path = scratch.path("a.fits");
    for (kind, dec, pole, known) in [
        ("TAN", 90.0, None, false),
        ("TAN", 90.0, Some(180.0), true),
        ("TAN", -90.0, None, true),
        ("TAN", 30.0, Some(0.0), false),
        ("CAR", 30.0, Some(0.0), true),
        ("CAR", 30.0, Some(180.0), false),
        ("CAR", -30.0, Some(180.0), true),
        ("CAR", 90.0, None, false),
    ] {
        let mut fits = place(cube(8, 8), (150.0, dec), (4.5, 4.5), 1.0)
            .with("CTYPE1", format!("'RA---{kind}'"))
            .with("CTYPE2", format!("'DEC--{kind}'"));
        if let Some(pole) = pole {
            fits = fits.with("LONPOLE", format!("{pole:.1}"));
        }
        fs::write(&path, fits.bytes()).unwrap();
        let found = facts(std::slice::from_ref(&path), &FitsOptions::default()).unwrap().2;
        assert_eq!(found.is_ok(), known, "{kind} at {dec} with {pole:?}: {found:?}");
    }
}
