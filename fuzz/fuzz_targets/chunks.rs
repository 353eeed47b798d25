//! Shapes and chunks as a hostile description may claim them: the first 8 bytes are sizes, the rest packed chunks.
#![no_main]

mod common;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((sizes, rest)) = data.split_first_chunk::<8>() else { return };
    let size = |at: usize| usize::from(sizes[at]) + 1;
    // Powers of two above 127, up to 2^64: sizes that no memory holds.
    let chunk = [4, 5, 6, 7].map(|at: usize| if sizes[at] < 128 { size(at) } else { 1 << (sizes[at] % 64) });
    let path = common::file(rest, "h5");
    let shape = [size(0), size(1), size(2), 3];
    common::check(&path, galaxy_gpu::data::hdf5::unpack(&path, rest, shape, chunk));
});
