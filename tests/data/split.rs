//! Splits: stratified, seeded, and never through a patch of sky.

use std::fs;

use galaxy_gpu::data::split::PATCH_ARCSEC;
use galaxy_gpu::data::{Dataset, Sky, Split};

use super::{Scratch, assert_says, dataset, lonely_sky};

/// Three classes of 100, 50 and 10 images of a pixel each.
fn uneven() -> Dataset {
    let labels = [vec![0; 100], vec![1; 50], vec![2; 10]].concat();
    dataset(&labels, 1, 1)
}

fn counts(dataset: &Dataset, side: &[u32]) -> Vec<usize> {
    (0..3).map(|class| side.iter().filter(|&&i| dataset.labels[i as usize] == class).count()).collect()
}

#[test]
fn every_class_gives_its_share_and_the_seed_decides() {
    let images = uneven();
    let split = Split::stratified(&images, 0.2, 7).unwrap();
    assert_eq!(counts(&images, &split.test), [20, 10, 2]);
    assert_eq!(counts(&images, &split.train), [80, 40, 8]);
    let mut all = [split.train.clone(), split.test.clone()].concat();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..160), "an image is on both sides or on none");
    assert!(split.train.is_sorted() && split.test.is_sorted());
    assert_eq!((split.moved, split.hash.len()), (0, 16));
    assert_says(&split.source, &["20", "seed 7"]);
    assert_eq!(split, Split::stratified(&images, 0.2, 7).unwrap());
    let other = Split::stratified(&images, 0.2, 8).unwrap();
    assert_ne!(split.test, other.test);
    assert_ne!(split.hash, other.hash);
}

#[test]
fn patches_of_sky_stay_together_and_shares_are_kept() {
    let mut images = uneven();
    let mut sky = lonely_sky(160);
    // Image 2k + 1 lies 19 arcseconds north of image 2k for the first 60; 61 to 63 make a chain with 60.
    for k in (0..60).step_by(2) {
        sky[k + 1] = Sky { ra: sky[k].ra, dec: sky[k].dec + 19.0 / 3600.0 };
    }
    for k in 61..64 {
        sky[k] = Sky { ra: sky[k - 1].ra, dec: sky[k - 1].dec + 15.0 / 3600.0 };
    }
    // Two classes share a galaxy, across the seam at 0 = 360 degrees.
    (sky[70], sky[155]) = (Sky { ra: 359.999, dec: 5.0 }, Sky { ra: 0.001, dec: 5.0 });
    images.sky = Some(sky.clone());
    let mut moved = 0;
    for seed in 0..20 {
        let split = Split::stratified(&images, 0.25, seed).unwrap();
        for &a in &split.train {
            for &b in &split.test {
                let apart = sky[a as usize].separation_arcsec(sky[b as usize]);
                assert!(apart > PATCH_ARCSEC, "seed {seed}: {a} and {b} are {apart} arcseconds apart");
            }
        }
        let side = |index: u32| split.test.contains(&index);
        assert!((61..64).all(|index| side(index) == side(60)), "seed {seed}: the chain is broken");
        assert_eq!(counts(&images, &split.test), [25, 13, 3], "seed {seed}: shares are lost");
        moved += split.moved;
    }
    assert!(moved > 0, "nothing ever moved, so this test shows nothing");
}

#[test]
fn impossible_splits_are_refused() {
    let mut images = uneven();
    for fraction in [0.0, 1.0, -0.5, f64::NAN] {
        let error = Split::stratified(&images, fraction, 1).unwrap_err().to_string();
        assert_says(&error, &["test fraction is", "above 0 and below 1"]);
    }
    images.sky = Some(vec![Sky { ra: 1.0, dec: 1.0 }; 160]);
    assert_says(&Split::stratified(&images, 0.2, 1).unwrap_err().to_string(), &["the test side has no images"]);
}

#[test]
fn a_class_of_one_trains() {
    let split = Split::stratified(&dataset(&[0, 0, 0, 0, 1], 1, 1), 0.9, 3).unwrap();
    assert!(split.train.contains(&4) && split.train.len() == 2, "{split:?}");
}

fn from_csv(text: &str) -> galaxy_gpu::Result<Split> {
    let scratch = Scratch::new();
    let path = scratch.path("split.csv");
    fs::write(&path, text).unwrap();
    Split::from_csv(&path, &dataset(&[0, 0, 1, 1, 1, 0], 1, 1))
}

#[test]
fn a_csv_split_is_read_as_written() {
    let split = from_csv("index,ans,split\n5,0,train\n0,0,Val\n2,1,train\n4,1,val\n1,0,validation\n").unwrap();
    assert_eq!((split.train, split.test), (vec![2, 5], vec![0, 1, 4]));
    assert_says(&split.source, &["split.csv"]);
    // Other columns, another order, spaces and capitals do no harm.
    let same = from_csv("split, Index ,name,ans\nTest,0,a,0\ntrain,5,b,0\nTRAIN,2,c,1\ntest,4,d,1\ntest,1,e,0\n");
    assert_eq!(same.unwrap().hash, split.hash);
    assert_ne!(from_csv("index,ans,split\n5,0,train\n0,0,test\n2,1,train\n").unwrap().hash, split.hash);
}

#[test]
fn faults_of_a_csv_split_are_named_with_their_line() {
    let start = "index,ans,split\n0,0,train\n2,1,train\n1,0,test\n";
    let says = |text: &str, parts: &[&str]| {
        assert_says(&from_csv(text).unwrap_err().to_string(), parts);
    };
    let line = |row: &str, parts: &[&str]| {
        let text = format!("{start}{row}\n");
        says(&text, &[&["split.csv", "line 5"], parts].concat());
    };
    line("6,0,train", &["index 6", "0 to 5"]);
    line("-1,0,train", &["\"-1\"", "whole number"]);
    line("2,1,test", &["index 2", "already in line 3"]);
    line("3,0,train", &["\"0\"", "image 3 has the label 1"]);
    line("3,x,train", &["\"x\"", "image 3 has the label 1"]);
    line("3,1,maybe", &["\"maybe\"", "train or test"]);
    line("3,1,validation", &["\"validation\"", "line 4 has \"test\"", "remove the rows of one"]);
    line("3,1", &["2 fields instead of 3"]);
    says("index,ans,split\n0,0,val\n2,1,train\n1,0,TEST\n", &["line 4", "line 2 has \"val\""]);
    says("index,split\n0,train\n", &["line 1", "no column `ans`"]);
    says("", &["no column `index`"]);
    says("index,ans,split\n0,0,train\n2,1,train\n", &["test side has no images"]);
    says("index,ans,split\n0,0,test\n", &["training side has no images"]);
    says("index,ans,split\n0,0,train\n2,1,test\n", &["class 1 (kind 1) has no training images"]);
    let missing = Split::from_csv(&Scratch::new().path("none.csv"), &uneven()).unwrap_err().to_string();
    assert_says(&missing, &["none.csv", "cannot be read"]);
}

#[test]
fn a_file_that_splits_a_patch_of_sky_is_noted() {
    let scratch = Scratch::new();
    let path = scratch.path("split.csv");
    fs::write(&path, "index,ans,split\n0,0,train\n1,1,train\n2,0,test\n3,1,test\n").unwrap();
    let mut images = dataset(&[0, 1, 0, 1, 0], 1, 1);
    let note = |images: &Dataset| Split::from_csv(&path, images).unwrap().note(images);
    assert_eq!(note(&images), None, "no positions");
    images.sky = Some(lonely_sky(5));
    assert_eq!(note(&images), None);
    // Image 4 is on neither side; 0 and 1 are both trained on.
    let near = |arcsec: f64| Sky { ra: 10.0, dec: arcsec / 3600.0 };
    images.sky = Some(vec![near(0.0), near(5.0), near(400.0), near(10.0), near(0.0)]);
    assert_says(&note(&images).unwrap(), &["2 pairs", "20 arcseconds", "split.csv", "such as 0 and 3"]);
}
