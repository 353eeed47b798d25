//! What `inspect` counts.

use galaxy_gpu::data::inspect::{MOST_PAIRS, overlaps};
use galaxy_gpu::data::{Pixels, Sky, inspect};

use super::{dataset, lonely_sky};

#[test]
fn classes_and_brightness_are_counted() {
    let mut images = dataset(&[0, 0, 1, 0], 2, 2);
    // Red is 0 or 255 in equal parts, green 51 throughout, blue black.
    images.pixels = Pixels::Owned((0..16).flat_map(|pixel| [255 * (pixel % 2), 51, 0]).collect());
    let found = inspect(&images);
    assert_eq!((found.count, found.height, found.width, found.bytes, found.sampled), (4, 2, 2, 48, 4));
    let classes: Vec<_> = found.classes.iter().map(|class| (class.name.as_str(), class.count, class.share)).collect();
    assert_eq!(classes, [("kind 0", 3, 0.75), ("kind 1", 1, 0.25)]);
    for (got, expected) in found.channel_mean.iter().zip([0.5, 0.2, 0.0]) {
        assert!((got - expected).abs() < 1e-12);
    }
    for (got, expected) in found.channel_std.iter().zip([0.5, 0.0, 0.0]) {
        assert!((got - expected).abs() < 1e-7);
    }
    assert_eq!(found.sky, None);
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
