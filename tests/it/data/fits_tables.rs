//! FITS tables as other programs write them: TOPCAT, VizieR, and packed ones. Files are made here by hand.

use std::fs;
use std::io::Write;
use std::path::Path;

use galaxy_gpu::data::tables::{Cell, Kind, TableReader, Wanted, holds_table};
use galaxy_gpu::data::{FitsOptions, Items, LoadOptions, read_picture_with};

use super::fits::{cube, rgb};
use super::{Scratch, assert_says};

/// A header of these cards, and data, both filled up to blocks.
fn part(cards: &[&str], data: &[u8]) -> Vec<u8> {
    let mut bytes: Vec<u8> = cards.iter().chain(&["END"]).flat_map(|card| format!("{card:80}").into_bytes()).collect();
    bytes.resize(bytes.len().next_multiple_of(2880), b' ');
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(2880), 0);
    bytes
}

/// The first part of a file: empty, or text as bytes along one axis, as TOPCAT and STILTS write it ("fits-plus").
fn first(text: &str) -> Vec<u8> {
    if text.is_empty() {
        return part(&["SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 0"], &[]);
    }
    let length = format!("NAXIS1  = {}", text.len());
    part(&["SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 1", &length, "VOTMETA = T"], text.as_bytes())
}

/// A binary table of a path and an id.
fn binary() -> Vec<u8> {
    let cards = [
        "XTENSION= 'BINTABLE'",
        "BITPIX  = 8",
        "NAXIS   = 2",
        "NAXIS1  = 13",
        "NAXIS2  = 1",
        "PCOUNT  = 0",
        "GCOUNT  = 1",
        "TFIELDS = 2",
        "TTYPE1  = 'path'",
        "TFORM1  = '5A'",
        "TTYPE2  = 'id'",
        "TFORM2  = 'K'",
    ];
    part(&cards, &[&b"a.png"[..], &1_237_648_720_693_755_918_i64.to_be_bytes()].concat())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut packed = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

/// Id and path of the items of a catalogue.
fn items(path: &Path) -> Vec<(String, String)> {
    let items = Items::new(&[path.to_owned()], LoadOptions::default());
    items.map(|item| (item.about.id.clone(), item.about.path.clone())).collect()
}

#[test]
fn tables_of_topcat_and_packed_tables_are_catalogues() {
    let scratch = Scratch::new();
    let votable = "<?xml version=\"1.0\"?><VOTABLE><RESOURCE><TABLE/></RESOURCE></VOTABLE>";
    let plain = [first(""), binary()].concat();
    let plus = [first(votable), binary()].concat();
    let files = [("plus.fits", plus.clone()), ("t.fits.gz", gzip(&plain)), ("t.fit.bz2", bzip2(&plus))];
    for (name, bytes) in files {
        fs::write(scratch.path(name), bytes).unwrap();
        assert!(holds_table(&scratch.path(name)), "{name}");
        assert_eq!(items(&scratch.path(name)), [("1237648720693755918".into(), "a.png".into())], "{name}");
    }
    // a packed table that is cut off ends with a sentence
    let whole = bzip2(&plain);
    fs::write(scratch.path("cut.fits.bz2"), &whole[..whole.len() / 2]).unwrap();
    let wanted = [Wanted { name: "path".into(), ucd: None, needed: true }];
    let refused = TableReader::open(&scratch.path("cut.fits.bz2"), Kind::Fits, &wanted).err().unwrap();
    assert_says(&refused.to_string(), &["cut.fits.bz2", "cannot be read"]);
}

#[test]
fn images_packed_by_bzip2_are_the_same_pictures() {
    let scratch = Scratch::new();
    fs::write(scratch.path("i.fits.bz2"), bzip2(&cube(20, 24).bytes())).unwrap();
    let seen = read_picture_with(&scratch.path("i.fits.bz2"), 20, 24, &FitsOptions::default()).unwrap();
    assert_eq!(seen, rgb(0..20, 0..24));
}

/// Values as astropy reads them: blanks before text stay, an exponent may be D, TNULL is text, and numbers may be scaled.
#[test]
fn tables_written_as_text_are_read() {
    let scratch = Scratch::new();
    let cards = [
        "XTENSION= 'TABLE   '",
        "BITPIX  = 8",
        "NAXIS   = 2",
        "NAXIS1  = 36",
        "NAXIS2  = 3",
        "PCOUNT  = 0",
        "GCOUNT  = 1",
        "TFIELDS = 4",
        "TTYPE1  = 'path'",
        "TFORM1  = 'A6'",
        "TBCOL1  = 1",
        "TTYPE2  = 'id'",
        "TFORM2  = 'I8'",
        "TBCOL2  = 8",
        "TNULL2  = '---'",
        "TTYPE3  = 'ra'",
        "TFORM3  = 'D10.5'",
        "TBCOL3  = 17",
        "TUNIT3  = 'deg'",
        "TTYPE4  = 'half'",
        "TFORM4  = 'F8.2'",
        "TBCOL4  = 29",
        "TSCAL4  = 0.5",
        "TZERO4  = 1.0",
    ];
    let rows = "a.png  12345678 1.5D+02         3.00\n b.png      --- -2.25           -4.5\n                                     ";
    let rows: Vec<u8> = rows.lines().flat_map(|row| format!("{row:36.36}").into_bytes()).collect();
    fs::write(scratch.path("t.fits"), [first(""), part(&cards, &rows)].concat()).unwrap();
    let wanted = ["path", "id", "ra", "half"].map(|name| Wanted { name: name.into(), ucd: None, needed: true });
    let table = TableReader::open(&scratch.path("t.fits"), Kind::Fits, &wanted).unwrap();
    assert_eq!(table.unit(2), "deg");
    let text = |text: &str| Cell::Text(text.into());
    let found: Vec<Vec<Cell>> = table.map(Result::unwrap).collect();
    let expected = [
        vec![text("a.png"), Cell::Whole(12_345_678), Cell::Double(150.0), Cell::Double(2.5)],
        vec![text(" b.png"), Cell::Null, Cell::Double(-2.25), Cell::Double(-1.25)],
        vec![Cell::Null; 4],
    ];
    assert_eq!(found, expected);
    // what is no number ends the table with its place
    let bad = [first(""), part(&cards, format!("{:36}", "a.png  x").repeat(3).as_bytes())].concat();
    fs::write(scratch.path("bad.fits"), bad).unwrap();
    let refused = TableReader::open(&scratch.path("bad.fits"), Kind::Fits, &wanted).unwrap().next().unwrap();
    assert_says(&refused.unwrap_err().to_string(), &["bad.fits", "row 1", "\"x\" is no number"]);
}
