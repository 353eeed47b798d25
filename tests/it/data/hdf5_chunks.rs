//! Chunks unpacked by the program itself: the same pixels as from libhdf5, whatever their shape, and one clear refusal
//! where they are damaged.

use std::path::Path;
use std::time::Duration;

use hdf5::{DatasetBuilderEmpty, SimpleExtents};

use super::{Scratch, assert_says};

/// What the reader says where it leaves pixels to libhdf5.
const SLOW: &str = "only libhdf5 reads";

/// `length` bytes that gzip can shorten, always the same.
fn pixels(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes.iter_mut().for_each(|byte| *byte &= 0x9f);
    bytes
}

/// A data set to be made: its shape and what its builder is told.
type Build<'a> = &'a dyn Fn(DatasetBuilderEmpty) -> DatasetBuilderEmpty;

/// Writes `images` of the shape into `file`, and labels.
fn fill(file: &hdf5::File, shape: impl Into<SimpleExtents>, pixels: &[u8], build: Build) -> hdf5::Dataset {
    let extents = shape.into();
    let count = extents.dims()[0];
    let images = build(file.new_dataset::<u8>()).shape(extents).create("images").unwrap();
    images.write_raw(pixels).unwrap();
    label(file, count);
    images
}

fn label(file: &hdf5::File, count: usize) {
    let labels: Vec<u8> = (0..count).map(|image| (image % 2) as u8).collect();
    file.new_dataset_builder().with_data(&labels).create("ans").unwrap();
}

/// Tries until no child of another test holds the lock of a file, or of one that it links to: children inherit what is open while
/// they start.
fn patiently<T, E: std::fmt::Debug>(what: impl Fn() -> Result<T, E>) -> T {
    for _ in 0..1000 {
        match what() {
            Ok(done) => return done,
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
    what().unwrap()
}

/// Loads `path`, holds the pixels to libhdf5's own, and returns them and whether libhdf5 had to read them.
fn load(scratch: &Scratch, path: &Path) -> (Vec<u8>, bool) {
    let library = patiently(|| hdf5::File::open(path)?.dataset("images")?.read_raw::<u8>());
    let loaded = patiently(|| scratch.load(path));
    assert!(loaded.pixels[..] == library[..], "the pixels are not those of libhdf5");
    (library, loaded.notes.join(" ").contains(SLOW))
}

/// Writes, loads and compares images of a shape that are stored as `build` says.
fn check(what: &str, shape: impl Into<SimpleExtents>, slow: bool, build: Build) {
    let scratch = Scratch::new();
    let path = scratch.path("a.h5");
    let extents = shape.into();
    let original = pixels(extents.size());
    let file = hdf5::File::create(&path).unwrap();
    fill(&file, extents, &original, build);
    file.close().unwrap();
    let (loaded, left) = load(&scratch, &path);
    assert!(loaded == original, "{what}: wrong pixels");
    assert_eq!(left, slow, "{what}: the wrong reader");
}

#[test]
fn chunks_of_any_shape_give_the_same_pixels() {
    let shape = [11, 7, 10, 3];
    let chunks =
        [[11, 7, 10, 3], [1, 7, 10, 3], [1, 1, 1, 1], [4, 7, 10, 3], [4, 3, 4, 1], [3, 2, 10, 2], [2, 7, 3, 3]];
    for chunk in chunks {
        let what = format!("{chunk:?}");
        check(&what, shape, false, &|images| images.chunk(chunk).deflate(4));
        check(&what, shape, false, &|images| images.chunk(chunk));
        check(&what, shape, false, &|images| images.chunk(chunk).shuffle().deflate(9));
    }
    // Where a data set can grow, chunks may be larger than what there is.
    check("growing", (11.., 7, 10, 3..), false, &|images| images.chunk((64, 4, 4, 5)).deflate(4));
}

#[test]
fn many_chunks_of_one_image_each() {
    check("a tree of three levels", [5000, 2, 3, 3], false, &|images| images.chunk((1, 2, 3, 3)).deflate(1));
}

#[test]
fn images_larger_than_a_band() {
    // 42 MB; a row of chunks is 14 MB with what sticks out, so a band has two and the last one is short.
    check("bands", [72, 440, 440, 3], false, &|images| images.chunk((24, 220, 222, 1)).deflate(1));
    // A row of 50 MB, larger than a band, and one that begins it.
    check("a large row", [90, 440, 440, 3], false, &|images| images.chunk((86, 440, 440, 3)));
}

#[test]
fn the_newest_format_is_read_too() {
    let scratch = Scratch::new();
    let path = scratch.path("a.h5");
    let original = pixels(20 * 6 * 5 * 3);
    // Chunks in a fixed array, in a tree of the second kind, and unfiltered where they stick out.
    for (name, growing) in [("fixed.h5", false), ("growing.h5", true)] {
        let path = scratch.path(name);
        let file = hdf5::File::with_options().with_fapl(|access| access.libver_latest()).create(&path).unwrap();
        let shape: SimpleExtents = if growing { (20.., 6.., 5, 3).into() } else { (20, 6, 5, 3).into() };
        fill(&file, shape, &original, &|images| images.chunk((3, 4, 5, 1)).deflate(4));
        file.close().unwrap();
        assert_eq!(load(&scratch, &path), (original.clone(), false), "{name}");
    }
    let file = hdf5::File::with_options().with_fapl(|access| access.libver_latest()).create(&path).unwrap();
    let partial = hdf5::dataset::ChunkOpts::DONT_FILTER_PARTIAL_CHUNKS;
    fill(&file, (20, 6, 5, 3), &original, &|images| images.chunk((3, 4, 5, 1)).chunk_opts(partial).deflate(4));
    file.close().unwrap();
    assert_eq!(load(&scratch, &path), (original, true));
}

#[test]
fn other_filters_are_left_to_libhdf5_and_links_are_followed() {
    let shape = [11, 7, 10, 3];
    check("fletcher32", shape, true, &|images| images.chunk((4, 7, 10, 1)).deflate(4).fletcher32());
    check("contiguous, with nothing to say", shape, false, &|images| images.no_chunk());

    let scratch = Scratch::new();
    let original = pixels(11 * 7 * 10 * 3);
    let build: Build = &|images| images.chunk((4, 7, 10, 1)).deflate(4);
    let file = hdf5::File::with_options().with_fcpl(|c| c.userblock(1024)).create(scratch.path("block.h5")).unwrap();
    fill(&file, shape, &original, build);
    file.close().unwrap();
    assert_eq!(load(&scratch, &scratch.path("block.h5")), (original.clone(), false));

    // Links out of the file are refused (`attacks.rs`), those within it are not.
    let file = hdf5::File::create(scratch.path("soft.h5")).unwrap();
    fill(&file, shape, &original, build);
    file.relink("images", "pictures").unwrap();
    file.link_soft("/pictures", "images").unwrap();
    file.close().unwrap();
    assert_eq!(load(&scratch, &scratch.path("soft.h5")), (original, false));
}

#[test]
fn chunks_that_were_never_written_have_the_fill_value() {
    let scratch = Scratch::new();
    for (name, value) in [("plain.h5", None), ("seven.h5", Some(7u8))] {
        let path = scratch.path(name);
        let file = hdf5::File::create(&path).unwrap();
        let builder = file.new_dataset::<u8>().chunk((3, 4, 4, 1)).deflate(4);
        let builder = if let Some(value) = value { builder.fill_value(value) } else { builder };
        let images = builder.shape((10, 8, 8, 3)).create("images").unwrap();
        let part = ndarray::Array4::<u8>::from_elem((2, 3, 8, 2), 99);
        images.write_slice(&part, ndarray::s![4..6, 2..5, .., 1..3]).unwrap();
        label(&file, 10);
        drop(images);
        file.close().unwrap();
        let (pixels, slow) = load(&scratch, &path);
        assert_eq!((pixels[0], slow), (value.unwrap_or(0), false));
        assert_eq!(pixels.iter().filter(|&&pixel| pixel == 99).count(), 2 * 3 * 8 * 2);
    }
}

/// A file of 10 images in chunks of 3, and what it takes to change a chunk in it.
struct Opened {
    scratch: Scratch,
    bytes: Vec<u8>,
    /// Where the chunk's length stands; its filter mask is 4 bytes further on, its address 48.
    entry: usize,
    address: usize,
    length: usize,
}

const SHAPE: [usize; 4] = [10, 40, 40, 3];
const CHUNK: [usize; 4] = [3, 40, 40, 1];
const CHUNK_BYTES: usize = 3 * 40 * 40;

impl Opened {
    /// Opens the chunk of images 6 to 8 and the second colour.
    fn new(pixels: &[u8]) -> Self {
        let scratch = Scratch::new();
        let path = scratch.path("a.h5");
        let file = hdf5::File::with_options().with_fapl(|access| access.libver_earliest()).create(&path).unwrap();
        let images = fill(&file, SHAPE, pixels, &|images| images.chunk(CHUNK).deflate(4));
        file.flush().unwrap();
        let chunk = (0..12).map(|index| images.chunk_info(index).unwrap()).find(|chunk| chunk.offset == [6, 0, 0, 1]);
        let chunk = chunk.unwrap();
        drop((images, file));
        let bytes = std::fs::read(&path).unwrap();
        let mut entry = [(chunk.size as u32).to_le_bytes(), chunk.filter_mask.to_le_bytes()].concat();
        entry.extend([6u64, 0, 0, 1, 0, chunk.addr].iter().flat_map(|number| number.to_le_bytes()));
        let places: Vec<usize> = (0..bytes.len() - 56).filter(|&at| bytes[at..at + 56] == entry).collect();
        assert_eq!(places.len(), 1);
        Self { scratch, bytes, entry: places[0], address: chunk.addr as usize, length: chunk.size as usize }
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Stores `bytes` instead of the chunk.
    fn replace(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= self.length);
        self.put(self.address, bytes);
        self.put(self.entry, &(bytes.len() as u32).to_le_bytes());
    }

    fn write(&self) -> std::path::PathBuf {
        std::fs::write(self.scratch.path("a.h5"), &self.bytes).unwrap();
        self.scratch.path("a.h5")
    }

    /// The refusal, which names file and images and leaves nothing behind.
    fn refusal(&self) -> String {
        let held = || std::fs::read_dir(self.scratch.path("cache")).into_iter().flatten().count();
        let before = held();
        let message = self.scratch.refusal(&self.write());
        assert_says(&message, &["a.h5: images 6 to 8 cannot be read (a chunk", "download or copy it again"]);
        assert_eq!(held(), before, "a half-written file is left");
        message
    }
}

/// A gzip stream as HDF5 stores it.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = libdeflater::Compressor::new(libdeflater::CompressionLvl::best());
    let mut packed = vec![0; packer.zlib_compress_bound(bytes.len())];
    let length = packer.zlib_compress(bytes, &mut packed).unwrap();
    packed.truncate(length);
    packed
}

#[test]
fn a_chunk_may_skip_the_filter() {
    // Bytes that gzip cannot shorten, so that the chunk's place has room for them as they are.
    let mut original = vec![0; SHAPE.iter().product()];
    blake3::Hasher::new().finalize_xof().fill(&mut original);
    let mut opened = Opened::new(&original);
    let chunk = pixels(CHUNK_BYTES);
    opened.replace(&chunk);
    opened.put(opened.entry + 4, &1u32.to_le_bytes());
    let mut expected = original;
    (0..CHUNK_BYTES).for_each(|pixel| expected[6 * 40 * 40 * 3 + pixel * 3 + 1] = chunk[pixel]);
    let path = opened.write();
    assert_eq!(load(&opened.scratch, &path), (expected, false));

    // Without the filter there is nothing to check but the length.
    opened.replace(&chunk[1..]);
    assert_says(&opened.refusal(), &["has 4799 bytes, not 4800"]);
}

#[test]
fn a_damaged_chunk_is_refused() {
    let original = pixels(SHAPE.iter().product());
    let opened = |change: &dyn Fn(&mut Opened)| {
        let mut opened = Opened::new(&original);
        change(&mut opened);
        opened.refusal()
    };
    let cut = |opened: &mut Opened| {
        let half = opened.bytes[opened.address..][..opened.length / 2].to_vec();
        opened.replace(&half);
    };
    assert_says(&opened(&cut), &["no sound gzip stream"]);
    let flipped = |opened: &mut Opened| opened.bytes[opened.address + opened.length / 2] ^= 0x10;
    assert_says(&opened(&flipped), &["no sound gzip stream"]);
    let sum = |opened: &mut Opened| opened.bytes[opened.address + opened.length - 1] ^= 0x10;
    assert_says(&opened(&sum), &["no sound gzip stream"]);
    assert_says(&opened(&|opened| opened.replace(&gzip(&[3; CHUNK_BYTES - 1]))), &["has 4799 bytes, not 4800"]);
    assert_says(&opened(&|opened| opened.replace(&gzip(&[3; CHUNK_BYTES + 1]))), &["no sound gzip stream"]);
    // A bomb: a hundred times the pixels.
    assert_says(&opened(&|opened| opened.replace(&gzip(&vec![0; 100 * CHUNK_BYTES]))), &["no sound gzip stream"]);
}

#[test]
fn a_chunk_at_an_impossible_offset_is_refused() {
    let original = pixels(SHAPE.iter().product());
    let opened = |at: usize, bytes: &[u8]| {
        let mut opened = Opened::new(&original);
        opened.bytes.resize(opened.bytes.len() + 12_000, 0);
        opened.put(opened.entry + at, bytes);
        opened.refusal()
    };
    assert_says(&opened(48, &(1u64 << 40).to_le_bytes()), &["a chunk of", "cannot be read"]);
    assert_says(&opened(48, &(u64::MAX - 5).to_le_bytes()), &["a chunk of", "cannot be read"]);
    assert_says(&opened(0, &u32::MAX.to_le_bytes()), &["claims to be 4294967295 bytes long"]);
    assert_says(&opened(0, &12_000u32.to_le_bytes()), &["claims to be 12000 bytes long"]);
}
