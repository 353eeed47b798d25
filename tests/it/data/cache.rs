//! The cache: used when it is good, built again when it is not, done without when it cannot be.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use galaxy_gpu::data::{Dataset, LoadOptions, Pixels, write_hdf5};

use super::{Scratch, assert_says, dataset};

/// A file with three images, changed long enough ago to be believed.
fn source(scratch: &Scratch) -> PathBuf {
    let path = scratch.path("a.h5");
    write_hdf5(&path, &dataset(&[0, 1, 1], 8, 8)).unwrap();
    age(&path, 1000);
    path
}

fn age(path: &Path, seconds: u64) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
}

fn is_mapped(dataset: &Dataset) -> bool {
    matches!(dataset.pixels, Pixels::Mapped(_))
}

#[test]
fn the_second_load_takes_the_cache_and_is_equal() {
    let scratch = Scratch::new();
    let path = source(&scratch);
    let first = scratch.load(&path).unwrap();
    assert!(is_mapped(&first));
    assert_says(&first.notes.join(""), &["Decoded pixels are kept in"]);
    let cached = scratch.cached();
    assert_eq!(cached.len(), 1);
    // A mark in the pixels shows where they come from.
    let mut bytes = fs::read(&cached[0]).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&cached[0], bytes).unwrap();
    let second = scratch.load(&path).unwrap();
    assert_eq!(second.notes, Vec::<String>::new());
    let expected = dataset(&[0, 1, 1], 8, 8);
    assert_eq!(second.pixels[..575], expected.pixels[..575]);
    assert_eq!(second.pixels[575], expected.pixels[575] ^ 1, "the cache was not used");
    assert_eq!((second.labels, second.classes, second.sky), (first.labels, first.classes, first.sky));
}

#[test]
fn a_copy_elsewhere_shares_the_cache() {
    let scratch = Scratch::new();
    let path = source(&scratch);
    scratch.load(&path).unwrap();
    fs::copy(&path, scratch.path("copy.h5")).unwrap();
    assert!(scratch.load(&scratch.path("copy.h5")).unwrap().notes.is_empty());
    assert_eq!(scratch.cached().len(), 1);
}

#[test]
fn a_changed_source_is_decoded_again() {
    let scratch = Scratch::new();
    let path = source(&scratch);
    let old = scratch.load(&path).unwrap();
    let before = fs::read(&path).unwrap();
    let mut changed = dataset(&[0, 1, 1], 8, 8);
    changed.pixels = Pixels::Owned(old.pixels.iter().map(|byte| !byte).collect());
    write_hdf5(&path, &changed).unwrap();
    age(&path, 500);
    assert_ne!(fs::read(&path).unwrap(), before);
    assert!(scratch.load(&path).unwrap().pixels[..] == changed.pixels[..], "old pixels");
    assert_eq!(scratch.cached().len(), 1, "the old pixels are still kept");
}

#[test]
fn a_source_of_this_moment_is_hashed_each_time() {
    let scratch = Scratch::new();
    let path = source(&scratch);
    let write = |flip: u8| {
        let mut changed = dataset(&[0, 1, 1], 8, 8);
        changed.pixels = Pixels::Owned(changed.pixels.iter().map(|byte| byte ^ flip).collect());
        write_hdf5(&path, &changed).unwrap();
        // Both versions carry one time of change, as they may on a file system with a coarse clock.
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 33)).unwrap();
        (scratch.load(&path).unwrap().pixels[..] == changed.pixels[..], fs::metadata(&path).unwrap().len())
    };
    let (first, second) = (write(0x0f), write(0xf0));
    assert_eq!(first.1, second.1, "the versions should differ in content alone");
    assert!(first.0 && second.0, "old pixels");
}

#[test]
fn a_damaged_cache_is_built_again() {
    let scratch = Scratch::new();
    let path = source(&scratch);
    scratch.load(&path).unwrap();
    let cached = scratch.cached().remove(0);
    let good = fs::read(&cached).unwrap();
    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 4;
        bytes
    };
    let longer = [good.as_slice(), &[0]].concat();
    let labels = good.len() - 3 * 8 * 8 * 3 - 1;
    // Short, empty, long, wrong magic, version, header length, checksum, header, labels.
    let damages = [good[..good.len() - 1].to_vec(), good[..20].to_vec(), Vec::new(), longer];
    let damages = damages.into_iter().chain([0, 8, 12, 15, 20, 60, labels].map(flipped));
    for (number, bytes) in damages.enumerate() {
        fs::write(&cached, bytes).unwrap();
        let again = scratch.load(&path).unwrap();
        assert_says(&again.notes.join(" "), &["was built again"]);
        assert!(again.pixels[..] == dataset(&[0, 1, 1], 8, 8).pixels[..], "damage {number}: wrong pixels");
        assert_eq!(again.labels, [0, 1, 1], "damage {number}");
        assert_eq!(fs::read(&cached).unwrap(), good, "damage {number} was not repaired");
    }
}

#[test]
fn a_damaged_record_is_passed_over() {
    let scratch = Scratch::new();
    let path = source(&scratch);
    scratch.load(&path).unwrap();
    let json = |entry: fs::DirEntry| entry.path().extension().is_some_and(|e| e == "json").then(|| entry.path());
    let record = fs::read_dir(scratch.path("cache")).unwrap().find_map(|entry| json(entry.unwrap())).unwrap();
    for text in ["", "{}", r#"{"stamp":{"size":1,"changed":1},"hash":"../../escape"}"#] {
        fs::write(&record, text).unwrap();
        assert_eq!(scratch.load(&path).unwrap().labels, [0, 1, 1]);
    }
}

#[test]
fn without_a_cache_folder_pixels_stay_in_memory() {
    let scratch = Scratch::new();
    let path = source(&scratch);
    fs::write(scratch.path("in the way"), "").unwrap();
    let options = LoadOptions { cache_dir: Some(scratch.path("in the way")), ..LoadOptions::default() };
    let loaded = Dataset::load(&path, &options).unwrap();
    assert!(!is_mapped(&loaded));
    assert_says(&loaded.notes.join(""), &["in the way", "stay in memory"]);
    assert!(loaded.pixels[..] == dataset(&[0, 1, 1], 8, 8).pixels[..]);
}

#[test]
fn a_cache_file_that_cannot_be_replaced_is_done_without() {
    let scratch = Scratch::new();
    let path = source(&scratch);
    scratch.load(&path).unwrap();
    let cached = scratch.cached().remove(0);
    fs::remove_file(&cached).unwrap();
    fs::create_dir(&cached).unwrap();
    let loaded = scratch.load(&path).unwrap();
    assert!(!is_mapped(&loaded));
    assert_says(&loaded.notes.join(" "), &["could not be kept", "stay in memory"]);
    assert!(loaded.pixels[..] == dataset(&[0, 1, 1], 8, 8).pixels[..]);
}
