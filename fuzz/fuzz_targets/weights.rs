//! Weights, which are safetensors files with a description in JSON.
#![no_main]

mod common;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let path = common::file(data, "safetensors");
    common::check(&path, galaxy_gpu::train::Weights::load(&path));
});
