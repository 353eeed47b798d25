//! Times reading an HDF5 file: with libhdf5 in one thread into memory, and as the program does it, on all cores into an empty
//! cache (which includes hashing the file and syncing the cache to disk). Run `cargo bench --bench data`, or with a file of
//! your own `GALAXY_GPU_BENCH_FILE=F.h5 cargo bench --bench data`. Throughput counts unpacked pixels.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use galaxy_gpu::data::{Dataset, LoadOptions, simulate};
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Images in the simulated file. Only [`DRAWN`] of them are drawn; the others repeat those with new noise.
const IMAGES: usize = 376;
const DRAWN: usize = 47;
const SIZE: usize = 256;
/// The chunks that h5py chooses for some thousands of such images.
const CHUNK: (usize, usize, usize, usize) = (94, 32, 32, 1);

/// Writes simulated galaxies, each with its own noise, in gzip-compressed chunks.
fn simulated(path: &Path) -> hdf5::Result<()> {
    let settings = simulate::Settings { images: DRAWN, size: SIZE, seed: 1 };
    let drawn = simulate::simulate(&settings).expect("galaxies");
    let mut noise = blake3::Hasher::new().finalize_xof();
    let mut pixels = Vec::with_capacity(IMAGES * drawn.image_bytes());
    let mut bits = vec![0; drawn.image_bytes()];
    for image in 0..IMAGES {
        noise.fill(&mut bits);
        let noisy = drawn.image(image % DRAWN).iter().zip(&bits);
        // One pixel in eight is one step brighter.
        pixels.extend(noisy.map(|(&pixel, &bits)| pixel.saturating_add(u8::from(bits < 32))));
    }
    let file = hdf5::File::create(path)?;
    let images = file.new_dataset::<u8>().chunk(CHUNK).deflate(4).shape((IMAGES, SIZE, SIZE, 3)).create("images")?;
    images.write_raw(&pixels)?;
    let labels: Vec<u8> = (0..IMAGES).map(|image| (image % 2) as u8).collect();
    file.new_dataset_builder().with_data(&labels).create("ans")?;
    file.close()
}

/// Reads all pixels with libhdf5, a row of chunks at a time, and returns their number.
fn library(path: &Path) -> usize {
    let images = hdf5::File::open(path).and_then(|file| file.dataset("images")).expect("images");
    let (count, rows) = (images.shape()[0], images.chunk().map_or(64, |chunk| chunk[0]));
    let slabs = (0..count).step_by(rows).map(|first| {
        let slab = ndarray::s![first..(first + rows).min(count), .., .., ..];
        black_box(images.read_slice::<u8, _, ndarray::Ix4>(slab).expect("pixels")).len()
    });
    slabs.sum()
}

fn decode(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = std::env::var_os("GALAXY_GPU_BENCH_FILE").map(PathBuf::from).unwrap_or_else(|| {
        let path = folder.path().join("simulated.h5");
        simulated(&path).expect("a file");
        path
    });
    let mut group = criterion.benchmark_group("hdf5");
    group.sample_size(10).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(8));
    group.throughput(Throughput::Bytes(library(&path) as u64));
    group.bench_function("libhdf5, one thread", |bencher| bencher.iter(|| library(&path)));
    group.bench_function("all cores, into the cache", |bencher| {
        let empty = || tempfile::tempdir_in(folder.path()).expect("a folder");
        let load = |cache: tempfile::TempDir| {
            let options = LoadOptions { cache_dir: Some(cache.path().to_owned()), ..LoadOptions::default() };
            (Dataset::load(&path, &options).expect("a data set"), cache)
        };
        // One at a time, so that the result is dropped and the folder removed after the clock has stopped.
        bencher.iter_batched(empty, load, BatchSize::PerIteration);
    });
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
