//! What `inspect` counts.

use galaxy_gpu::data::conflicts::Same;
use galaxy_gpu::data::inspect::{MOST_PAIRS, overlaps};
use galaxy_gpu::data::{Conflict, Pixels, Sky, conflicts, inspect};

use super::{dataset, lonely_sky};

#[test]
fn classes_and_brightness_are_counted() {
    let mut images = dataset(&[0, 0, 1, 0], 2, 2);
    // Red is 0 or 255 in equal parts, green 51 throughout, blue black.
    images.pixels = Pixels::Owned((0..16).flat_map(|pixel| [255 * (pixel % 2), 51, 0]).collect());
    let found = inspect(&images);
    assert_eq!((found.count, found.height, found.width, found.bytes, found.sampled), (4, 2, 2, 48, 4));
    let classes: Vec<_> =
        found.classes.iter().map(|class| (class.name.as_str(), class.count, class.fraction)).collect();
    assert_eq!(classes, [("kind 0", 3, 0.75), ("kind 1", 1, 0.25)]);
    for (got, expected) in found.channel_mean.iter().zip([0.5, 0.2, 0.0]) {
        assert!((got - expected).abs() < 1e-12);
    }
    for (got, expected) in found.channel_std.iter().zip([0.5, 0.0, 0.0]) {
        assert!((got - expected).abs() < 1e-7);
    }
    assert_eq!(found.sky, None);
    assert_eq!(found.conflicts, conflicts(&images));
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json["classes"][1]["count"], 1);
}

#[test]
fn pairs_of_the_same_galaxy_are_counted() {
    let north = |position: Sky, arcsec: f64| Sky { dec: position.dec + arcsec / 3600.0, ..position };
    let mut sky = lonely_sky(10);
    sky[7] = north(sky[0], 0.5); // the same galaxy, labels 0 and 1
    sky[8] = north(sky[1], 0.9); // the same galaxy, labels 1 and 1
    sky[9] = north(sky[2], 19.9); // overlaps
    sky[6] = north(sky[3], 20.1); // does not
    let mut images = dataset(&[0, 1, 0, 0, 0, 0, 0, 1, 1, 1], 1, 1);
    images.sky = Some(sky);
    let found = inspect(&images).sky.unwrap();
    assert_eq!(
        (found.positions, found.duplicate_pairs, found.conflicting_pairs, found.overlapping_images),
        (10, 2, 1, 6)
    );
    let pair = &found.conflicts[0];
    assert_eq!((found.conflicts.len(), pair.a, pair.b, pair.label_a, pair.label_b), (1, 0, 7, 0, 1));
    assert!((pair.separation_arcsec - 0.5).abs() < 1e-6);
}

#[test]
fn positions_that_are_all_the_same_do_not_fill_memory() {
    let labels: Vec<u32> = (0..400).map(|i| i % 2).collect();
    let found = overlaps(&[Sky { ra: 0.0, dec: 0.0 }; 400], &labels);
    assert_eq!(found.duplicate_pairs, 400 * 399 / 2);
    assert_eq!(found.conflicting_pairs, 200 * 200);
    assert_eq!(found.conflicts.len(), MOST_PAIRS);
    assert_eq!((found.conflicts[0].a, found.conflicts[0].b, found.conflicts[1].b), (0, 1, 3));
}

#[test]
fn galaxies_with_two_labels_are_listed() {
    let north = |position: Sky, arcsec: f64| Sky { dec: position.dec + arcsec / 3600.0, ..position };
    let conflict =
        |images: &[usize], labels: &[u32], same| Conflict { images: images.to_vec(), labels: labels.to_vec(), same };
    let mut images = dataset(&[0, 1, 0, 1, 2, 0, 0, 1, 2, 0, 1, 2], 3, 2);
    assert_eq!(conflicts(&images), [], "all images differ, and nothing is known of the sky");
    // The same pixels: 0 and 7, which contradict, 2 and 5, which agree, and 3, 8 and 9.
    let mut pixels = images.pixels.to_vec();
    for (from, to) in [(0, 7), (2, 5), (3, 8), (3, 9)] {
        pixels.copy_within(from * 18..(from + 1) * 18, to * 18);
    }
    // 10 has the middle row of 1, and another label, but not its other rows.
    pixels.copy_within(18 + 6..18 + 12, 180 + 6);
    images.pixels = Pixels::Owned(pixels);
    let by_pixels = [conflict(&[0, 7], &[0, 1], Same::Pixels), conflict(&[3, 8, 9], &[1, 2, 0], Same::Pixels)];
    assert_eq!(conflicts(&images), by_pixels);
    // The same position: 1 and 6 contradict, 4 and 11 agree, 2 is too far from 10; 9 brings 11's galaxy to that of 3.
    let mut sky = lonely_sky(12);
    sky[6] = north(sky[1], 0.9);
    sky[11] = north(sky[4], 0.5);
    sky[10] = north(sky[2], 1.1);
    images.sky = Some(sky.clone());
    let mut found = by_pixels.to_vec();
    found.insert(1, conflict(&[1, 6], &[1, 0], Same::Position));
    assert_eq!(conflicts(&images), found);
    sky[9] = sky[11];
    images.sky = Some(sky);
    found[2] = conflict(&[3, 4, 8, 9, 11], &[1, 2, 2, 0, 2], Same::Position);
    assert_eq!(conflicts(&images), found);
}
