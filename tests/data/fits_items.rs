//! FITS images among other things: in folders, in data sets, in catalogues, and many pieces of one image.

use std::fs;
use std::path::{Path, PathBuf};

use fitskit::{BinColumnType, BinTableBuilder, FitsFile, Hdu};
use galaxy_gpu::data::{Dataset, FitsOptions, Items, LoadOptions, fits::Stretch};

use super::fits::{cube, place, plane, rgb};
use super::{Scratch, assert_says};

fn save(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// The planes of the cube as three files.
fn three(folder: &Path, name: &str, size: (usize, usize)) {
    for (band, letter) in ["g", "r", "z"].iter().enumerate() {
        save(&folder.join(format!("{name}-{letter}.fits")), &plane(band, size.0, size.1).bytes());
    }
}

/// File, outcome and position of each item.
fn items(inputs: &[PathBuf], crop: Option<f64>, size: (usize, usize)) -> Vec<(String, Result<Vec<u8>, String>)> {
    let items = Items::new(inputs, LoadOptions::default()).cropped(crop);
    let name = |path: &str| path.rsplit('/').next().unwrap().to_owned();
    items.map(|item| (name(&item.about.path), item.read(size.0, size.1).map(|seen| seen.pixels))).collect()
}

#[test]
fn three_files_are_one_item_however_they_are_named() {
    let scratch = Scratch::new();
    let folder = scratch.path("in");
    three(&folder, "a", (20, 24));
    save(&folder.join("b-r.fits"), &plane(1, 20, 24).bytes());
    save(&folder.join("c.fits"), &cube(20, 24).bytes());
    // a table among pictures, as classify writes it, is passed over
    let mut table = FitsFile::with_empty_primary();
    let rows =
        BinTableBuilder::new().add_column("ra", BinColumnType::D64(1)).push_row(|row| row.write_f64(1.0)).build();
    table.push_extension(Hdu::bintable_extension(rows));
    save(&folder.join("table/t.fits"), &table.to_bytes().unwrap());
    let listed: Vec<PathBuf> =
        ["a-g.fits", "a-r.fits", "a-z.fits", "b-r.fits", "c.fits"].iter().map(|name| folder.join(name)).collect();
    for inputs in [&[folder.clone()][..], &[folder.join("*.fits")], &listed] {
        let found = items(inputs, None, (20, 24));
        let names: Vec<&str> = found.iter().map(|(name, _)| &name[..]).collect();
        assert_eq!(names, ["a-g.fits", "b-r.fits", "c.fits"]);
        assert_eq!((&found[0].1, &found[2].1), (&Ok(rgb(0..20, 0..24)), &Ok(rgb(0..20, 0..24))));
        assert_says(found[1].1.as_ref().unwrap_err(), &["b-r.fits", "has 1 plane"]);
        assert_eq!(Items::count_all(inputs), Some(3));
    }
    // one of them that is named alone stands for all
    assert_eq!(items(&listed[2..3], None, (20, 24))[0].1, Ok(rgb(0..20, 0..24)));
}

#[test]
fn a_data_set_of_fits_images_has_positions() {
    let scratch = Scratch::new();
    let root = scratch.path("galaxies");
    for (class, ra) in [("spiral", 10.0), ("smooth", 20.0)] {
        save(&root.join(class).join("a.fits"), &place(cube(20, 24), (ra, 5.0), (12.5, 10.5), 0.262).bytes());
        three(&root.join(class), "b", (20, 24));
    }
    let loaded = scratch.load(&root).unwrap();
    assert_eq!((loaded.height, loaded.width, loaded.len()), (20, 24, 4));
    assert!((0..4).all(|image| loaded.image(image) == rgb(0..20, 0..24)));
    let sky = loaded.sky.as_ref().unwrap();
    let known: Vec<bool> = sky.iter().map(|position| position.is_known()).collect();
    assert_eq!(known, [true, false, true, false]);
    assert!((sky[0].ra - 20.0).abs() < 1e-9 && (sky[2].dec - 5.0).abs() < 1e-9);
    assert_says(&loaded.notes.join(" "), &["2 of 4 images have no position"]);
    // another stretch is another data set, and so is a change of any of three files
    let fits = FitsOptions { stretch: Stretch::parse("Q=5").unwrap(), ..FitsOptions::default() };
    let other = Dataset::load(&root, &LoadOptions { fits, ..scratch.options() }).unwrap();
    assert_ne!(other.image(0), loaded.image(0));
    save(&root.join("spiral/b-z.fits"), &plane(2, 20, 25).bytes());
    assert_says(&scratch.refusal(&root), &["b-z.fits", "20 x 25 pixels, the g band 20 x 24"]);
}

/// A catalogue of pieces of one image, whose rows are 2 arcseconds a pixel apart.
fn catalogue(scratch: &Scratch, rows: &str) -> PathBuf {
    save(&scratch.path("large.fits"), &place(cube(20, 24), (150.0, 60.0), (10.5, 8.5), 2.0).bytes());
    three(&scratch.path("."), "bands", (20, 24));
    image::RgbImage::new(4, 4).save(scratch.path("a.png")).unwrap();
    save(&scratch.path("rows.csv"), format!("path,path_g,path_r,path_z,ra,dec\n{rows}").as_bytes());
    scratch.path("rows.csv")
}

#[test]
fn rows_of_a_catalogue_are_pieces_of_images() {
    let scratch = Scratch::new();
    let north = 60.0 + 6.0 / 3600.0;
    let rows = format!(
        "large.fits,,,,150,60\nlarge.fits,,,,150,{north}\nlarge.fits,,,,151,60\nlarge.fits,,,,,\na.png,,,,150,60\n\
         ,bands-g.fits,bands-r.fits,bands-z.fits,150,60\n,bands-g.fits,,bands-z.fits,150,60\nnone.fits,,,,150,60\n"
    );
    let found = items(&[catalogue(&scratch, &rows)], Some(8.0), (4, 4));
    assert_eq!((&found[0].1, &found[1].1), (&Ok(rgb(6..10, 8..12)), &Ok(rgb(9..13, 8..12))));
    for (row, said) in [
        (2, "does not show the position 151"),
        (3, "has no position to cut out"),
        (4, "a.png: is no FITS image"),
        (5, "does not say where on the sky it lies (it has no right ascension"),
        (6, "line 8 has no path"),
        (7, "cannot be read"),
    ] {
        assert_says(found[row].1.as_ref().unwrap_err(), &[said]);
    }
    // without a crop, a row is its image, and its position comes from there where the row has none
    let whole = Items::new(&[scratch.path("rows.csv")], LoadOptions::default()).nth(3).unwrap();
    let seen = whole.read(20, 24).unwrap();
    assert_eq!((whole.about.ra, seen.pixels), (None, rgb(0..20, 0..24)));
    assert!((seen.sky.unwrap().dec - (60.0 + 4.0 / 3600.0)).abs() < 1e-6);
    let bands = Items::new(&[scratch.path("rows.csv")], LoadOptions::default()).nth(5).unwrap();
    assert_eq!((bands.about.path.as_str(), bands.read(20, 24).unwrap().pixels), ("bands-g.fits", rgb(0..20, 0..24)));
}

#[test]
fn an_image_stays_in_memory_until_its_file_changes() {
    let scratch = Scratch::new();
    let rows = catalogue(&scratch, "large.fits,,,,150,60\n");
    let first = items(std::slice::from_ref(&rows), Some(8.0), (4, 4));
    assert_eq!(first[0].1, Ok(rgb(6..10, 8..12)));
    // as if nothing had happened: the same length, the same time of change
    let path = scratch.path("large.fits");
    let changed = fs::metadata(&path).unwrap().modified().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[2880..].fill(0);
    fs::write(&path, &bytes).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(changed).unwrap();
    assert_eq!(items(std::slice::from_ref(&rows), Some(8.0), (4, 4)), first);
    let later = changed + std::time::Duration::from_secs(1);
    fs::File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
    assert_eq!(items(&[rows], Some(8.0), (4, 4))[0].1, Ok(vec![32; 48]), "sky of no flux");
}
