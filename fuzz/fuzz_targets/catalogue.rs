//! Catalogues in CSV: whatever they hold, each row is an item that a table's row can carry.
#![no_main]

mod common;

use galaxy_gpu::data::{Items, LoadOptions};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let path = common::file(data, "csv");
    common::check(&path, Items::check(std::slice::from_ref(&path)));
    let mut rows = 0;
    for item in Items::new(&[path], LoadOptions::default()) {
        rows += 1;
        assert!(rows <= data.len() + 1);
        assert!(!item.about.path.contains(char::is_control) && !item.about.id.contains(char::is_control));
        assert!(item.about.ra.is_none_or(|ra| ra.abs() <= 360.0) && item.about.dec.is_none_or(|dec| dec.abs() <= 90.0));
    }
});
