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
        assert_says(
            found[1].1.as_ref().unwrap_err(),
            &["b-r.fits", "has 1 plane, of one band by its name", "--fits-bands"],
        );
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

/// A FITS file of a table of one column, and what follows it.
fn table(behind: &[u8]) -> Vec<u8> {
    let mut table = FitsFile::with_empty_primary();
    let rows =
        BinTableBuilder::new().add_column("ra", BinColumnType::D64(1)).push_row(|row| row.write_f64(1.0)).build();
    table.push_extension(Hdu::bintable_extension(rows));
    [table.to_bytes().unwrap(), behind.to_vec()].concat()
}

#[test]
fn an_image_behind_a_table_is_an_image() {
    let scratch = Scratch::new();
    let mut image = cube(20, 24);
    image.cards[0] = ("XTENSION".into(), "'IMAGE   '".into());
    let image = image.with("PCOUNT", 0).with("GCOUNT", 1);
    save(&scratch.path("in/a.fits"), &table(&image.bytes()));
    save(&scratch.path("in/b.fits"), &table(&[]));
    for input in [scratch.path("in"), scratch.path("in/a.fits")] {
        Items::check(std::slice::from_ref(&input)).unwrap();
        let found = items(&[input], None, (20, 24));
        assert_eq!(found, [("a.fits".to_owned(), Ok(rgb(0..20, 0..24)))]);
    }
    // and a table in a class's folder is passed over
    for class in ["one", "two"] {
        save(&scratch.path("galaxies").join(class).join("a.fits"), &table(&image.bytes()));
        save(&scratch.path("galaxies").join(class).join("b.fits"), &table(&[]));
    }
    assert_eq!(scratch.load(&scratch.path("galaxies")).unwrap().len(), 2);
}

#[test]
fn a_glob_of_one_band_names_the_pictures_of_three() {
    let scratch = Scratch::new();
    three(&scratch.path("in"), "a", (20, 24));
    for (glob, name) in [("*-r.fits", "a-r.fits"), ("*-[rz].fits", "a-r.fits"), ("*", "a-g.fits")] {
        let input = scratch.path("in").join(glob);
        Items::check(std::slice::from_ref(&input)).unwrap();
        assert_eq!(items(&[input], None, (20, 24)), [(name.to_owned(), Ok(rgb(0..20, 0..24)))], "{glob}");
    }
}

#[test]
fn a_whole_image_is_not_the_picture_of_a_far_position() {
    let scratch = Scratch::new();
    // the centre is 4 arcseconds north and 4 east of 150, 60; the field 40 x 48 arcseconds
    let (north, far) = (60.0 + 20.0 / 3600.0, 60.0 + 40.0 / 3600.0);
    let rows =
        catalogue(&scratch, &format!("large.fits,,,,150,60\nlarge.fits,,,,150,{north}\nlarge.fits,,,,150,{far}\n"));
    let found = items(std::slice::from_ref(&rows), None, (20, 24));
    assert!(found[0].1.is_ok() && found[1].1.is_ok());
    assert_says(found[2].1.as_ref().unwrap_err(), &["large.fits", "has its centre", "--crop-arcsec"]);
    for (crop, notes) in [(None, 1), (Some(8.0), 0)] {
        let mut all = Items::new(std::slice::from_ref(&rows), LoadOptions::default()).cropped(crop);
        assert_eq!(all.by_ref().count(), 3);
        let found = all.notes();
        assert_eq!(found.len(), notes, "{found:?}");
    }
}
