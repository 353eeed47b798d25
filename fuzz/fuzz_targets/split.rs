//! Splits in CSV.
#![no_main]

mod common;

use galaxy_gpu::data::{Dataset, Pixels, Split};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let path = common::file(data, "csv");
    let dataset = Dataset {
        name: "ten".into(),
        height: 1,
        width: 1,
        pixels: Pixels::Owned(vec![0; 30]),
        labels: vec![0, 1, 2, 1, 0, 2, 1, 0, 2, 0],
        classes: ["a", "b", "c"].map(String::from).to_vec(),
        sky: None,
        notes: Vec::new(),
    };
    common::check(&path, Split::from_csv(&path, &dataset));
});
