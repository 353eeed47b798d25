//! Catalogues in CSV, Parquet, VOTable and FITS, told apart by their first bytes. Whatever they hold, each row must become an item
//! that fits into a row of a table.
#![no_main]

mod common;

use galaxy_gpu::data::{Items, LoadOptions};

/// The most rows that are read of formats other than CSV: a header may promise any number, and a page may hold as many nulls.
const MOST: usize = 10_000;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let ending = match data {
        [b'P', b'A', b'R', b'1', ..] => "parquet",
        [b'S', b'I', b'M', ..] => "fits",
        [b'<', ..] => "vot",
        _ => "csv",
    };
    let path = common::file(data, ending);
    common::check(&path, Items::check(std::slice::from_ref(&path)));
    let mut rows = 0;
    for item in Items::new(&[path], LoadOptions::default()).take(MOST) {
        rows += 1;
        assert!(ending != "csv" || rows <= data.len() + 1);
        assert!(!item.about.path.contains(char::is_control) && !item.about.id.contains(char::is_control));
        assert!(item.about.ra.is_none_or(|ra| ra.abs() <= 360.0) && item.about.dec.is_none_or(|dec| dec.abs() <= 90.0));
    }
});
