//! Splits: stratified, seeded, and never through a patch of sky.

use std::fs;

use galaxy_gpu::data::split::PATCH_ARCSEC;
use galaxy_gpu::data::{ChosenBy, Dataset, Sky, Split};

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
fn every_class_gives_its_fraction_and_the_seed_decides() {
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

/// [`uneven`] images, many of them in patches of sky.
fn crowded() -> Dataset {
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
    images.sky = Some(sky);
    images
}

#[test]
fn patches_of_sky_stay_together_and_fractions_are_kept() {
    let images = crowded();
    let sky = images.sky.clone().unwrap();
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
        // thirty pairs, the chain, and the pair across the seam
        assert_eq!(split.patches, 32, "seed {seed}");
        moved += split.moved;
    }
    assert!(moved > 0, "nothing ever moved, so this test shows nothing");
}

/// Hashes, and with them the splits, of the version that knew two sides only.
#[test]
fn splits_of_two_sets_keep_their_hash() {
    let mut plain = uneven();
    plain.sky = crowded().sky;
    let drawn = |seed| Split::stratified(&plain, 0.2, seed).unwrap();
    assert_eq!((&drawn(7).hash[..], drawn(7).moved), ("46b15058ec8505ee", 13));
    assert_eq!((&drawn(8).hash[..], drawn(8).moved), ("2ebea450a3d4be7b", 10));
    assert_eq!(drawn(8).set_aside(&plain, 0.0, 8).unwrap(), drawn(8));
    let row = |index: u32| {
        let word = if index.is_multiple_of(6) { "val" } else { "train" };
        format!("{index},{},{word}\n", plain.labels[index as usize])
    };
    let text = "index,ans,split\n".to_owned() + &(0..160).step_by(2).map(row).collect::<String>();
    let scratch = Scratch::new();
    fs::write(scratch.path("two.csv"), text).unwrap();
    assert_eq!(Split::from_csv(&scratch.path("two.csv"), &plain).unwrap().hash, "bd4f7894cdfc3abd");
}

#[test]
fn a_validation_set_is_a_fraction_of_each_class_and_leaves_the_test_set_alone() {
    let images = uneven();
    let two = Split::stratified(&images, 0.2, 7).unwrap();
    assert_eq!((two.chosen_by(), two.choosing()), (ChosenBy::Test, &two.test[..]));
    let three = two.clone().set_aside(&images, 0.25, 7).unwrap();
    assert_eq!(three.test, two.test);
    assert_eq!(counts(&images, &three.validation), [20, 10, 2]);
    assert_eq!(counts(&images, &three.train), [60, 30, 6]);
    assert_eq!((three.chosen_by(), three.choosing()), (ChosenBy::Validation, &three.validation[..]));
    let mut all = [&three.train[..], &three.validation, &three.test].concat();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..160), "an image is on several sides or on none");
    assert!(three.validation.is_sorted() && three.train.is_sorted());
    assert_says(&three.source, &["20%", "25% of its training set for validation with seed 7"]);
    // the same again, another seed, another share; and another hash each
    let set_aside = |fraction, seed| two.clone().set_aside(&images, fraction, seed).unwrap();
    assert_eq!(three, set_aside(0.25, 7));
    let others = [set_aside(0.25, 8), set_aside(0.26, 7), two.clone()];
    assert!(others.iter().all(|other| other.hash != three.hash));
    assert_ne!(others[0].validation, three.validation);
    // fixed for good: a run that goes on must find its own split again
    assert_eq!(three.hash, "be76b030972fb8ac");
}

#[test]
fn a_validation_set_cuts_no_patch_of_sky() {
    let mut images = crowded();
    // fewer pairs: two sides are balanced with images that are alone
    images.sky.as_mut().unwrap()[30..60].copy_from_slice(&lonely_sky(60)[30..]);
    let sky = images.sky.as_ref().unwrap();
    let mut moved = 0;
    for seed in 0..20 {
        let two = Split::stratified(&images, 0.2, seed).unwrap();
        let drawn = two.moved;
        let three = two.set_aside(&images, 0.25, seed).unwrap();
        let sides = [&three.train, &three.validation, &three.test];
        for (one, other) in [(0, 1), (0, 2), (1, 2)] {
            for (&a, &b) in sides[one].iter().flat_map(|a| sides[other].iter().map(move |b| (a, b))) {
                let apart = sky[a as usize].separation_arcsec(sky[b as usize]);
                assert!(apart > PATCH_ARCSEC, "seed {seed}: {a} and {b} are {apart} arcseconds apart");
            }
        }
        assert_eq!(counts(&images, &three.validation), [20, 10, 2], "seed {seed}: shares are lost");
        assert_eq!(three.patches, 17);
        moved += three.moved - drawn;
    }
    assert!(moved > 0, "nothing ever moved, so this test shows nothing");
}

#[test]
fn impossible_validation_sets_are_refused() {
    let images = uneven();
    let two = Split::stratified(&images, 0.2, 7).unwrap();
    for fraction in [1.0, 1.5, -0.1, f64::NAN] {
        let error = two.clone().set_aside(&images, fraction, 7).unwrap_err().to_string();
        assert_says(&error, &["--validation is", "at least 0 and below 1"]);
    }
    let three = two.set_aside(&images, 0.1, 7).unwrap();
    let error = three.set_aside(&images, 0.1, 7).unwrap_err().to_string();
    assert_says(&error, &["--validation is 0.1", "left out", "13 validation images"]);
    // one training image of each class can be spared by none
    let few = dataset(&[0, 0, 1, 1], 1, 1);
    let error = Split::stratified(&few, 0.5, 1).unwrap().set_aside(&few, 0.5, 1).unwrap_err().to_string();
    assert_says(&error, &["the validation set has no images"]);
}

#[test]
fn impossible_splits_are_refused() {
    let mut images = uneven();
    for fraction in [0.0, 1.0, -0.5, f64::NAN] {
        let error = Split::stratified(&images, fraction, 1).unwrap_err().to_string();
        assert_says(&error, &["test fraction is", "above 0 and below 1"]);
    }
    images.sky = Some(vec![Sky { ra: 1.0, dec: 1.0 }; 160]);
    assert_says(&Split::stratified(&images, 0.2, 1).unwrap_err().to_string(), &["the test set has no images"]);
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
fn a_csv_split_may_have_three_sets() {
    let text = "index,ans,split\n5,0,train\n0,0,Val\n2,1,train\n4,1,test\n1,0,validation\n";
    let split = from_csv(text).unwrap();
    assert_eq!((&split.train, &split.validation, &split.test), (&vec![2, 5], &vec![0, 1], &vec![4]));
    assert_eq!(split.choosing(), [0, 1]);
    let two = from_csv(&text.replace("Val", "test").replace("validation", "test")).unwrap();
    assert_eq!((two.validation.len(), two.test), (0, vec![0, 1, 4]));
    assert_ne!(split.hash, two.hash);
}

#[test]
fn a_split_reads_back_as_it_was_written() {
    let images = crowded();
    let scratch = Scratch::new();
    let path = scratch.path("split.csv");
    let two = Split::stratified(&images, 0.2, 7).unwrap();
    for split in [two.clone().set_aside(&images, 0.1, 7).unwrap(), two] {
        split.write_csv(&path, &images).unwrap();
        let read = Split::from_csv(&path, &images).unwrap();
        let sides = |split: &Split| [&split.train, &split.validation, &split.test].map(Clone::clone);
        assert_eq!((sides(&read), &read.hash), (sides(&split), &split.hash));
    }
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
    line("3,1", &["2 fields instead of 3"]);
    says("index,split\n0,train\n", &["line 1", "no column `ans`"]);
    says("", &["no column `index`"]);
    says("index,ans,split\n0,0,train\n2,1,train\n", &["test set has no images"]);
    says("index,ans,split\n0,0,test\n", &["training set has no images"]);
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
    // three sides: 0 trains, 1 chooses, 3 tests
    fs::write(&path, "index,ans,split\n0,0,train\n4,1,train\n1,1,val\n2,0,test\n3,1,test\n").unwrap();
    images.labels[4] = 1;
    images.sky = Some(vec![near(0.0), near(5.0), near(400.0), near(10.0), near(800.0)]);
    assert_says(&note(&images).unwrap(), &["3 pairs", "in different sets"]);
}

/// How often each set of images that must stay together is in both sets.
fn torn(split: &Split, groups: impl Iterator<Item = Vec<u32>>) -> usize {
    let tests = |index: &u32| split.test.contains(index);
    groups.filter(|group| group.iter().any(tests) && !group.iter().all(tests)).count()
}

#[test]
fn every_galaxy_twice_keeps_the_fractions() {
    let labels: Vec<u32> = (0..400).map(|i| i / 2 % 4).collect();
    let mut images = dataset(&labels, 2, 2);
    images.sky = Some((0..400).map(|i| lonely_sky(200)[i / 2]).collect());
    for seed in 0..5 {
        let split = Split::stratified(&images, 0.2, seed).unwrap();
        assert_eq!((counts(&images, &split.test), split.test.len()), (vec![20; 3], 80), "seed {seed}");
        assert_eq!(torn(&split, (0..200).map(|k| vec![2 * k, 2 * k + 1])), 0);
        let split = split.set_aside(&images, 0.125, seed).unwrap();
        assert_eq!((counts(&images, &split.validation), split.validation.len()), (vec![10; 3], 40), "seed {seed}");
        assert!(split.unmet.is_empty());
    }
}

#[test]
fn a_crowded_field_is_cut_into_pieces() {
    // 400 galaxies on a grid of 12 arcseconds, all joined by chains, each of them there twice.
    let labels: Vec<u32> = (0..800).map(|i| i / 2 * 7 % 4).collect();
    let mut images = dataset(&labels, 2, 2);
    let step = |i: u32| f64::from(i) * 12.0 / 3600.0;
    images.sky = Some((0..800).map(|i| Sky { ra: 150.0 + step(i / 2 % 20), dec: step(i / 40) }).collect());
    let split = Split::stratified(&images, 0.2, 1).unwrap();
    assert_eq!(split.cut, 1);
    // A piece has at most 16 galaxies, which is a tenth of what is drawn, and here each is there twice.
    assert!(split.test.len().abs_diff(160) <= 32, "{} to test, {:?}", split.test.len(), split.unmet);
    assert_eq!(torn(&split, (0..400).map(|k| vec![2 * k, 2 * k + 1])), 0, "a galaxy is on both sides");
}

#[test]
fn equal_pictures_stay_together_and_what_is_unmet_is_said() {
    // Three pictures of each of three classes, four times each.
    let labels: Vec<u32> = (0..36).map(|i| i / 12).collect();
    let mut images = dataset(&labels, 4, 4);
    let mut pixels = images.pixels.to_vec();
    for i in 0..36 {
        let first = i / 12 * 12 + i % 3;
        pixels.copy_within(first * 48..(first + 1) * 48, i * 48);
    }
    images.pixels = galaxy_gpu::data::Pixels::Owned(pixels);
    let split = Split::stratified(&images, 0.2, 0).unwrap();
    let same = |k: u32| (0..4).map(|i| k / 3 * 12 + k % 3 + 3 * i).collect();
    assert_eq!((torn(&split, (0..9).map(same)), split.patches), (0, 9));
    assert_eq!(counts(&images, &split.test), [4; 3]);
    assert_says(&split.unmet.join("; "), &["12 to test instead of 6", "6 too few or too many of a class"]);
}
