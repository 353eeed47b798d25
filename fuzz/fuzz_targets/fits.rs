//! FITS images: plain, gzipped and tile-compressed.
#![no_main]

mod common;

use galaxy_gpu::data::{FitsOptions, picture, read_picture};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let path = common::file(data, "fits");
    common::check(&path, picture::picture_facts(&path, &FitsOptions::default()));
    common::check(&path, read_picture(&path, 16, 16));
});
