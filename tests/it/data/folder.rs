//! Folders of pictures.

use std::fs;
use std::path::{Path, PathBuf};

use galaxy_gpu::data::{Dataset, LoadOptions, read_picture};
use image::{DynamicImage, GrayImage, ImageBuffer, Luma, Rgb, RgbImage, Rgba, RgbaImage};

use super::{Scratch, assert_says};

/// A root with two classes of one 4 x 4 picture each.
fn two_classes(scratch: &Scratch) -> PathBuf {
    let root = scratch.path("galaxies");
    save(&root.join("spiral/a.png"), RgbImage::from_pixel(4, 4, Rgb([1, 2, 3])).into());
    save(&root.join("edge-on/b.png"), RgbImage::from_pixel(4, 4, Rgb([4, 5, 6])).into());
    root
}

fn save(path: &Path, picture: DynamicImage) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    picture.save(path).unwrap();
}

fn sized(scratch: &Scratch, size: usize) -> LoadOptions {
    LoadOptions { size: Some(size), ..scratch.options() }
}

#[test]
fn classes_and_pictures_are_sorted_and_the_rest_is_passed_over() {
    let scratch = Scratch::new();
    let root = two_classes(&scratch);
    save(&root.join("edge-on/a.PNG"), RgbImage::from_pixel(4, 4, Rgb([7, 8, 9])).into());
    fs::write(root.join("edge-on/.hidden.png"), "no picture").unwrap();
    fs::write(root.join("edge-on/notes.txt"), "no picture").unwrap();
    fs::write(root.join("readme.txt"), "no class").unwrap();
    fs::create_dir(root.join(".git")).unwrap();
    let loaded = scratch.load(&root).unwrap();
    assert_eq!(loaded.classes, ["edge-on", "spiral"]);
    assert_eq!(loaded.labels, [0, 0, 1]);
    // All pictures are 4 x 4, so that is their size.
    assert_eq!((loaded.height, loaded.width), (4, 4));
    assert_eq!([loaded.image(0)[..3].to_vec(), loaded.image(1)[..3].to_vec()], [[7, 8, 9], [4, 5, 6]]);
    assert_eq!(loaded.image(2)[45..], [1, 2, 3]);
    assert!(scratch.load(&root).unwrap().notes.is_empty(), "the cache was not used");
}

#[test]
fn grey_alpha_and_deep_pictures_become_rgb() {
    let scratch = Scratch::new();
    let root = scratch.path("galaxies");
    save(&root.join("a/grey.png"), GrayImage::from_pixel(6, 6, Luma([40])).into());
    save(&root.join("a/veiled.png"), RgbaImage::from_pixel(6, 6, Rgba([10, 20, 30, 128])).into());
    let deep = ImageBuffer::from_pixel(6, 6, Rgb([0u16, 0x8080, 0xffff]));
    save(&root.join("b/deep.png"), DynamicImage::ImageRgb16(deep));
    save(&root.join("b/photo.JPEG"), RgbImage::from_pixel(6, 6, Rgb([200, 200, 200])).into());
    let loaded = scratch.load(&root).unwrap();
    assert_eq!((loaded.height, loaded.width, loaded.len()), (6, 6, 4));
    assert_eq!(loaded.image(0)[..3], [40, 40, 40]);
    assert_eq!(loaded.image(1)[..3], [10, 20, 30]);
    assert_eq!(loaded.image(2)[..3], [0, 128, 255]);
    assert!(loaded.image(3).iter().all(|value| value.abs_diff(200) <= 1));
}

#[test]
fn pictures_are_resized() {
    let scratch = Scratch::new();
    let root = two_classes(&scratch);
    let halves = RgbImage::from_fn(32, 16, |x, _| if x < 16 { Rgb([0, 0, 0]) } else { Rgb([255, 255, 255]) });
    save(&root.join("spiral/c.png"), halves.into());
    let loaded = Dataset::load(&root, &sized(&scratch, 8)).unwrap();
    assert_eq!((loaded.height, loaded.width), (8, 8));
    let row = &loaded.image(2)[..24];
    assert_eq!((row[0], row[23]), (0, 255), "left and right were lost: {row:?}");
    assert_eq!(loaded.image(0)[..3], [4, 5, 6]);
    // Another size is another file of the cache, and pictures of different sizes become 256 x 256.
    let loaded = scratch.load(&root).unwrap();
    assert_eq!((loaded.height, loaded.width), (256, 256));
    assert_eq!(scratch.cached().len(), 2);
    for size in [0, 20_000] {
        let error = Dataset::load(&root, &sized(&scratch, size)).err().unwrap().to_string();
        assert_says(&error, &["size", "1 to 16384"]);
    }
}

#[test]
fn a_new_picture_is_seen_and_the_old_cache_removed() {
    let scratch = Scratch::new();
    let root = two_classes(&scratch);
    assert_eq!(scratch.load(&root).unwrap().len(), 2);
    save(&root.join("spiral/z.png"), RgbImage::from_pixel(4, 4, Rgb([9, 9, 9])).into());
    assert_eq!(scratch.load(&root).unwrap().len(), 3);
    assert_eq!(scratch.cached().len(), 1);
}

#[test]
fn an_undecodable_picture_is_named() {
    let scratch = Scratch::new();
    let root = two_classes(&scratch);
    fs::write(root.join("spiral/broken.png"), "this is not a picture").unwrap();
    for options in [scratch.options(), sized(&scratch, 8)] {
        let error = Dataset::load(&root, &options).err().unwrap().to_string();
        assert_says(&error, &["broken.png", "not a picture", "replace or remove it"]);
    }
    let whole = fs::read(root.join("spiral/a.png")).unwrap();
    fs::write(root.join("spiral/broken.png"), &whole[..whole.len() - 20]).unwrap();
    assert_says(&scratch.refusal(&root), &["broken.png", "can be decoded", "replace or remove"]);
    assert!(scratch.cached().is_empty());
}

#[test]
fn too_large_a_picture_is_refused_unread() {
    let scratch = Scratch::new();
    let path = scratch.path("wide.png");
    save(&path, GrayImage::new(16_385, 1).into());
    assert_says(&read_picture(&path, 8, 8).unwrap_err().to_string(), &["wide.png", "smaller than 16384"]);
}

#[test]
fn bombs_and_pictures_without_pixels_are_refused_unread() {
    let scratch = Scratch::new();
    // A header that claims sizes, and no pixels behind it.
    let claim = |width: u32, height: u32| {
        let path = scratch.path("claim.png");
        save(&path, RgbImage::new(3, 2).into());
        let mut bytes = fs::read(&path).unwrap();
        bytes[16..20].copy_from_slice(&width.to_be_bytes());
        bytes[20..24].copy_from_slice(&height.to_be_bytes());
        let sum = crc32(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&sum.to_be_bytes());
        fs::write(&path, bytes).unwrap();
        read_picture(&path, 8, 8).unwrap_err().to_string()
    };
    assert_says(&claim(16_384, 16_384), &["claim.png: is a picture of 16384 x 16384 pixels", "smaller than 67108864"]);
    assert_says(&claim(u32::MAX, 2), &["claim.png"]);
    assert_says(&claim(0, 2), &["claim.png"]);
    assert_says(&claim(3, 0), &["claim.png"]);
    assert_says(&claim(8192, 8192), &["claim.png", "can be decoded"]);
}

/// PNG's checksum: CRC-32, reflected.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 })
    })
}

#[test]
fn folders_that_are_not_data_sets_are_refused_by_name() {
    let scratch = Scratch::new();
    let root = scratch.path("galaxies");
    fs::create_dir(&root).unwrap();
    assert_says(
        &scratch.refusal(&root),
        &["has no class folders", "one folder of PNG, JPEG or FITS pictures per class"],
    );
    save(&root.join("spiral/a.png"), GrayImage::new(4, 4).into());
    assert_says(&scratch.refusal(&root), &["only one class folder, spiral"]);
    fs::create_dir(root.join("empty")).unwrap();
    fs::write(root.join("empty/notes.txt"), "").unwrap();
    assert_says(&scratch.refusal(&root), &["galaxies/empty", "no PNG, JPEG or FITS pictures", "fill or remove"]);
}

#[cfg(unix)]
#[test]
fn a_class_name_of_several_lines_is_refused() {
    let scratch = Scratch::new();
    let root = two_classes(&scratch);
    save(&root.join("a\nb/c.png"), RgbImage::from_pixel(4, 4, Rgb([1, 2, 3])).into());
    assert_says(&scratch.refusal(&root), &["control characters in the name of class 0", "rename"]);
}
