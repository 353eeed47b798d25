//! Data that brings its split along: folders `train`, `val` and `test`.

use galaxy_gpu::data::{ChosenBy, Set, Split};
use image::{Rgb, RgbImage};

use super::{Scratch, assert_says};
use crate::common::desk::Desk;

/// Saves pictures of 16 pixels, each of another grey.
fn save(root: &std::path::Path, names: &[&str]) {
    for (number, name) in names.iter().enumerate() {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        RgbImage::from_pixel(16, 16, Rgb([number as u8 + 1; 3])).save(path).unwrap();
    }
}

const THREE: [&str; 7] = [
    "train/disk/1.png",
    "train/disk/2.png",
    "train/round/1.png",
    "Validation/disk/1.png",
    "Validation/round/9.png",
    "test/round/1.png",
    "test/round/2.png",
];

#[test]
fn folders_of_sets_are_one_data_set_and_its_split() {
    let scratch = Scratch::new();
    let root = scratch.path("galaxies");
    save(&root, &THREE);
    let loaded = scratch.load(&root).unwrap();
    assert_eq!(loaded.classes, ["disk", "round"]);
    assert_eq!(loaded.labels, [0, 0, 1, 1, 1, 0, 1], "train, test, validation");
    let greys: Vec<u8> = (0..7).map(|image| loaded.image(image)[0]).collect();
    assert_eq!(greys, [1, 2, 3, 6, 7, 4, 5]);
    let split = Split::of(&loaded, 0.2, 0).unwrap();
    assert_eq!((&split.train[..], &split.test[..], &split.validation[..]), (&[0, 1, 2][..], &[3, 4][..], &[5, 6][..]));
    assert_eq!(split.source, "folders train, test, Validation");
    assert_eq!(
        split,
        Split::of(&scratch.load(&root).unwrap(), 0.5, 9).unwrap(),
        "from the cache, and whatever the seed"
    );

    assert_eq!(split.note_on_copies(&loaded), None);

    // a picture that moves to another set takes its label along, and needs no new pixels
    std::fs::remove_dir_all(root.join("Validation")).unwrap();
    let two = Split::of(&scratch.load(&root).unwrap(), 0.2, 0).unwrap();
    assert_eq!((two.test.len(), two.chosen_by()), (2, ChosenBy::Test));
    // without a test set the validation set is the test set
    std::fs::rename(root.join("test"), root.join("val")).unwrap();
    assert_eq!(Split::of(&scratch.load(&root).unwrap(), 0.2, 0).unwrap().test, [3, 4]);
}

#[test]
fn pictures_that_are_in_two_sets_are_told() {
    let scratch = Scratch::new();
    let root = scratch.path("galaxies");
    save(&root, &["train/a/1.png", "train/b/1.png", "test/a/1.png"]);
    for (name, shift) in [("train/a/1.png", 0), ("train/b/1.png", 1), ("test/a/1.png", 0), ("train/b/2.png", 1)] {
        RgbImage::from_fn(8, 8, |x, y| Rgb([x as u8 + shift, y as u8, 7])).save(root.join(name)).unwrap();
    }
    let loaded = scratch.load(&root).unwrap();
    let note = Split::of(&loaded, 0.2, 0).unwrap().note_on_copies(&loaded).unwrap();
    assert_says(&note, &["1 images are in another set of the split (folders train, test)", "such as 0 and 3"]);
}

#[test]
fn a_class_may_be_called_test() {
    let scratch = Scratch::new();
    save(&scratch.path("flat"), &["train/1.png", "test/1.png"]);
    let loaded = scratch.load(&scratch.path("flat")).unwrap();
    assert_eq!((&loaded.classes[..], loaded.given.is_none()), (&["test".to_owned(), "train".to_owned()][..], true));
    save(&scratch.path("deep"), &["train/test/1.png", "train/val/1.png", "test/val/1.png"]);
    let loaded = scratch.load(&scratch.path("deep")).unwrap();
    assert_eq!(loaded.classes, ["test", "val"]);
    assert_eq!(loaded.given.unwrap().sets, [Set::Train, Set::Train, Set::Test]);
}

#[test]
fn a_set_without_classes_or_a_class_that_nothing_trains_is_refused() {
    let scratch = Scratch::new();
    let root = scratch.path("galaxies");
    save(&root, &["train/disk/1.png", "train/round/1.png", "test/1.png"]);
    assert_says(&scratch.refusal(&root), &["galaxies/test: has no class folders", "one folder of "]);
    std::fs::remove_file(root.join("test/1.png")).unwrap();
    save(&root, &["test/spiral/1.png"]);
    let error = Split::of(&scratch.load(&root).unwrap(), 0.2, 0).unwrap_err().to_string();
    assert_says(&error, &["folders train, test", "class 2 (spiral) has no training images"]);
    std::fs::remove_dir_all(root.join("train/round")).unwrap();
    assert_says(&scratch.refusal(&root), &["galaxies/train: has only one class folder, disk"]);
}

#[test]
fn commands_take_the_split_of_the_data() {
    let desk = Desk::new();
    save(&desk.path("galaxies"), &THREE);
    let said = desk.run("data split galaxies --out split.csv");
    assert_says(&said, &["folders train, test, Validation: 3 to train, 2 to validate, 2 to test"]);
    let lines =
        "index,ans,split\n0,0,train\n1,0,train\n2,1,train\n3,1,test\n4,1,test\n5,0,validation\n6,1,validation\n";
    assert_eq!(desk.text("split.csv"), lines);
    let train = "train --data galaxies --model tiny.toml --device reference --epochs 1 --batch 3";
    let run = desk.json(&format!("{train} --json --out run"));
    let sizes = ["train", "validation", "test"].map(|side| run["split"][side].as_u64().unwrap());
    assert_eq!((sizes, &run["split"]["chosen_by"]), ([3, 2, 2], &"validation".into()));
    // a split that is named counts more
    desk.write("other.csv", lines.replace("4,1,test", "4,1,train"));
    let other = desk.json(&format!("{train} --json --split other.csv --out other"));
    assert_eq!(other["split"]["train"], 4);
}
