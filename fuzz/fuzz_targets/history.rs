//! Histories in CSV.
#![no_main]

mod common;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let path = common::file(data, "csv");
    common::check(&path, galaxy_gpu::train::history::History::read(&path));
});
