//! HDF5's tables of chunks, and the chunks they point to, in arbitrary files.
#![no_main]

mod common;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let path = common::file(data, "h5");
    common::check(&path, galaxy_gpu::data::hdf5::read_without_library(&path, [6, 12, 10, 3], [6, 12, 10, 1]));
});
