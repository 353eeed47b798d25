//! `galaxy-gpu data` shows, inspects and simulates.

use crate::common::desk::Desk;
use galaxy_gpu::data::{Dataset, Pixels, Sky, write_hdf5};
use std::path::{Path, PathBuf};

/// A file of simulated galaxies.
fn simulated(desk: &Desk, name: &str) -> PathBuf {
    desk.run(&format!("data simulate --images 20 --size 24 --seed 5 --out {name}"));
    desk.path(name)
}

fn picture(path: &Path) -> image::RgbImage {
    assert_eq!(image::ImageReader::open(path).unwrap().format(), Some(image::ImageFormat::Png));
    image::open(path).unwrap().to_rgb8()
}

#[test]
fn simulated_galaxies_are_shown_four_by_four() {
    let desk = Desk::new();
    simulated(&desk, "sky.h5");
    let said = desk.run("data show sky.h5 --seed 3");
    assert!(said.starts_with("galaxies.png: 16 of 20 images of sky.h5, 24 x 24 pixels"), "{said}");
    let first = picture(&desk.path("galaxies.png"));
    assert_eq!(first.width(), 24 + 4 * (256 + 24));
    desk.run("data show sky.h5 --seed 3 --out again.png");
    desk.run("data show sky.h5 --seed 4 --out other.png");
    assert!(first == picture(&desk.path("again.png")), "the seed decides");
    assert!(first != picture(&desk.path("other.png")), "another seed chooses others");
    let said = desk.run("data show --size 16 --out drawn.png");
    assert!(said.contains("16 of 100 images of simulated galaxies (seed 1), 16 x 16 pixels"), "{said}");
}

#[test]
fn augmentations_of_an_image_are_shown_three_by_three() {
    let desk = Desk::new();
    simulated(&desk, "sky.h5");
    let said = desk.run("data show sky.h5 --augment 13 --out nine.png");
    assert!(said.starts_with("nine.png: 9 augmentations of image 13 (In-between Round Smooth Galaxy)"), "{said}");
    assert_eq!(picture(&desk.path("nine.png")).dimensions(), (24 + 3 * 280, 24 + 3 * 280));
    desk.run("data show sky.h5 --augment --out random.png");
    desk.refuses("data show sky.h5 --augment 20", &["--augment is 20, but must be below 20"]);
    desk.refuses("data show --augment sky.h5", &["stands before --augment"]);
}

#[test]
fn a_folder_of_pictures_is_shown_under_the_given_names() {
    let desk = Desk::new();
    for class in ["a", "b"] {
        std::fs::create_dir_all(desk.path("sky").join(class)).unwrap();
        image::RgbImage::from_pixel(9, 9, image::Rgb([9; 3])).save(desk.path("sky").join(class).join("1.png")).unwrap();
    }
    let said = desk.run("data show sky --size 7 --class-names round,flat");
    assert!(said.contains("2 of 2 images of sky, 7 x 7 pixels"), "{said}");
    assert_eq!(picture(&desk.path("galaxies.png")).width(), 24 + 2 * 280);
    let classes = desk.json("data inspect sky --class-names round,flat --json")["classes"].clone();
    assert_eq!((&classes[0]["name"], &classes[1]["count"]), (&"round".into(), &1.into()));
}

#[test]
fn data_that_cannot_be_shown_is_refused() {
    let desk = Desk::new();
    simulated(&desk, "sky.h5");
    std::fs::write(desk.path("notes.txt"), "no galaxies").unwrap();
    std::fs::create_dir(desk.path("empty")).unwrap();
    hdf5::File::create(desk.path("other.h5")).unwrap().new_dataset::<u8>().shape(3).create("pictures").unwrap();
    for command in ["data show", "data inspect"] {
        desk.refuses(&format!("{command} missing.h5"), &["missing.h5: there is no such file or folder"]);
        desk.refuses(&format!("{command} notes.txt"), &["notes.txt: "]);
        desk.refuses(&format!("{command} empty"), &["empty: "]);
        desk.refuses(&format!("{command} other.h5"), &["other.h5: ", "`images`"]);
        desk.refuses(
            &format!("{command} sky.h5 --class-names one,two"),
            &["class names is a list of 2", "a list of 10"],
        );
        desk.refuses(&format!("{command} --class-names one,two"), &["--class-names", "simulated galaxies"]);
        desk.refuses(&format!("{command} --size 0"), &["size is 0"]);
    }
    desk.refuses("data show sky.h5 --out galaxies.jpg", &["--out is \"galaxies.jpg\"", "ends in .png"]);
    desk.refuses("data show sky.h5 --out nowhere/galaxies.png", &["nowhere/galaxies.png: its folder does not exist"]);
}

#[test]
fn inspect_counts_classes_and_positions() {
    let desk = Desk::new();
    simulated(&desk, "sky.h5");
    let text = desk.run("data inspect sky.h5");
    assert!(text.starts_with("sky.h5: 20 images of 24 x 24 pixels, 33.8 KiB"), "{text}");
    assert!(text.lines().any(|line| line == "    5  Barred Spiral Galaxy                 2  10.0 %"), "{text}");
    let found = desk.json("data inspect sky.h5 --json");
    assert_eq!((&found["count"], &found["height"], &found["width"]), (&20.into(), &24.into(), &24.into()));
    assert_eq!(found["classes"].as_array().unwrap().len(), 10);
    assert_eq!((&found["sky"]["positions"], &found["sky"]["duplicate_pairs"]), (&20.into(), &0.into()));
}

#[test]
fn inspect_lists_the_first_twenty_contradictions() {
    let desk = Desk::new();
    let count = 23;
    // Each galaxy twice, once with each label.
    let dataset = Dataset {
        name: "twins".into(),
        height: 2,
        width: 2,
        // no two alike
        pixels: Pixels::Owned(
            (0..2 * count).flat_map(|index| [100 + index as u8 % 2, index as u8].repeat(6)).collect(),
        ),
        labels: (0..2 * count as u32).map(|index| index % 2).collect(),
        classes: vec!["left".into(), "right".into()],
        sky: Some((0..2 * count).map(|index| Sky { ra: (index / 2) as f64, dec: 10.0 }).collect()),
        given: None,
        notes: Vec::new(),
    };
    write_hdf5(&desk.path("twins.h5"), &dataset).unwrap();
    let text = desk.run("data inspect twins.h5");
    assert!(
        text.contains("23 pairs within 1 arcsecond show the same galaxy, 23 of them with two different labels"),
        "{text}"
    );
    assert!(text.contains("\n23 galaxies with different labels, in 46 images:\n"), "{text}");
    let listed = text.lines().filter(|line| line.ends_with("  position  left, right")).count();
    assert_eq!(listed, 20, "{text}");
    assert!(text.ends_with("and 3 more (all of them with --json)\n"), "{text}");
    let found = desk.json("data inspect twins.h5 --json");
    assert_eq!(found["sky"]["conflicts"].as_array().unwrap().len(), 23);
    assert_eq!(found["conflicts"].as_array().unwrap().len(), 23);
    assert_eq!(found["conflicts"][22], serde_json::json!({"images": [44, 45], "labels": [0, 1], "same": "position"}));
    // a training says so once
    let line = "train --data twins.h5 --model tiny.toml --device reference --epochs 1 --out run";
    let (_, notes) = desk.both(line);
    let note = "note: 23 galaxies have different labels, in 46 images; `galaxy-gpu data inspect twins.h5` lists them\n";
    assert_eq!(notes.matches(note).count(), 1, "{notes}");
}

#[test]
fn a_simulated_file_is_what_was_asked_for_and_is_not_lost() {
    let desk = Desk::new();
    let path = simulated(&desk, "sky.h5");
    let first = std::fs::read(&path).unwrap();
    desk.refuses("data simulate --images 5 --size 16 --out sky.h5", &["sky.h5: it exists already", "--force"]);
    assert!(first == std::fs::read(&path).unwrap(), "the old file is untouched");
    desk.run("data simulate --images 5 --size 16 --out sky.h5 --force");
    let found = desk.json("data inspect sky.h5 --json");
    assert_eq!((&found["count"], &found["height"]), (&5.into(), &16.into()));
    let (dataset, images) = (desk.json("data inspect sky.h5 --json"), 5);
    assert_eq!(dataset["bytes"], 3 * 16 * 16 * images);
}

#[test]
fn simulations_out_of_range_are_refused() {
    let desk = Desk::new();
    desk.refuses("data simulate --size 0 --out a.h5", &["size is 0, but must be between 16 and 1024"]);
    desk.refuses("data simulate --images 0 --out a.h5", &["images is 0"]);
    desk.refuses("data simulate --out a.png", &["--out is \"a.png\"", ".h5 or .hdf5"]);
    desk.refuses("data simulate --out nowhere/a.h5", &["its folder does not exist"]);
    desk.refuses("data simulate", &["--out"]);
}
