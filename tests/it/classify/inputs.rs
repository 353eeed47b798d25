//! Folders, globs, catalogues and HDF5 files, with good and bad items.

use super::{Desk, dataset, pixels, probabilities, rows};
use crate::common::{Device, on_every_device};
use galaxy_gpu::data::write_hdf5;
use serde_json::Value;

/// Ends in the middle of its pixels.
fn truncate(desk: &Desk, name: &str) {
    let whole = std::fs::read(desk.path(name)).unwrap();
    std::fs::write(desk.path(name), &whole[..whole.len() / 2]).unwrap();
}

#[test]
fn a_folder_with_good_and_bad_pictures_gives_a_row_each() {
    let desk = Desk::new();
    desk.galaxies("in", 5);
    desk.galaxies("in/b", 2);
    truncate(&desk, "in/0003.png");
    std::fs::write(desk.path("in/0001a.JPG"), "no picture").unwrap();
    std::fs::write(desk.path("in/notes.txt"), "passed over").unwrap();
    std::fs::write(desk.path("in/.hidden.png"), "passed over").unwrap();
    // 67 million pixels in a file of some kilobytes
    image::GrayImage::new(8200, 8200).save(desk.path("in/bomb.png")).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("nowhere.png", desk.path("in/c.png")).unwrap();
    #[cfg(unix)]
    std::fs::write(desk.path("in/line\nbreak.png"), "x").unwrap();

    assert_eq!(desk.classify(1, "RUN0 in --out t.csv --batch 3"), "6 classified, 5 failed; see t.csv");
    let table = rows(&desk.text("t.csv"));
    let found: Vec<(&str, bool)> = table.iter().map(|row| (&row["path"][..], row["status"] == "ok")).collect();
    assert_eq!(
        found,
        [
            ("in/0000.png", true),
            ("in/0001.png", true),
            ("in/0001a.JPG", false),
            ("in/0002.png", true),
            ("in/0003.png", false),
            ("in/0004.png", true),
            ("in/b/0000.png", true),
            ("in/b/0001.png", true),
            ("in/bomb.png", false),
            ("in/c.png", false),
            ("in/line\u{fffd}break.png", false),
        ]
    );
    for (row, reason) in [(2, "can be decoded"), (4, "can be decoded"), (8, "smaller than"), (10, "control")] {
        let row = &table[row];
        assert!(row["status"].contains(reason) && row["class"].is_empty() && row["confidence"].is_empty(), "{row:?}");
    }
    for row in table.iter().filter(|row| row["status"] == "ok") {
        let all = probabilities(row);
        let largest = all.iter().copied().fold(0.0, f32::max);
        assert_eq!(row["confidence"].parse(), Ok(largest));
        assert_eq!(row[&format!("p_{}", row["class"])], row["confidence"]);
        let entropy: f32 = all.iter().map(|p| -p * p.ln()).sum();
        assert!((row["entropy"].parse::<f32>().unwrap() - entropy).abs() < 1e-5, "{row:?}");
    }
    assert_eq!(probabilities(&table[0]), probabilities(&table[6]), "the same picture twice");
}

on_every_device!(json_lines_say_the_same_and_predict_agrees_to_the_bit);

fn json_lines_say_the_same_and_predict_agrees_to_the_bit(device: Device) {
    let desk = Desk::new();
    desk.galaxies("in", 4);
    truncate(&desk, "in/0002.png");
    let job = format!("classify RUN0 in --device {device} --force");
    assert_eq!(desk.ended(&format!("{job} --out t.csv")).0, 1);
    assert_eq!(desk.ended(&format!("{job} --out t.jsonl")).0, 1);
    let (table, lines) = (rows(&desk.text("t.csv")), desk.text("t.jsonl"));
    assert_eq!(lines.lines().count(), 4);
    for (row, line) in table.iter().zip(lines.lines()) {
        let object: Value = serde_json::from_str(line).unwrap();
        assert_eq!(object.as_object().unwrap().len(), row.len());
        for (name, text) in row {
            let same = match &object[name] {
                Value::Null => text.is_empty(),
                Value::String(value) => value == text,
                number => number.as_f64() == text.parse().ok(),
            };
            assert!(same, "{name}: {text:?} and {}", object[name]);
        }
        if row["status"] != "ok" {
            continue;
        }
        let (code, said, _) = desk.ended(&format!("predict RUN0 {} --json --device {device}", row["path"]));
        assert_eq!(code, 0);
        let predicted: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(predicted["class"], row["class"]);
        let scores = predicted["probabilities"].as_object().unwrap().values();
        let scores: Vec<f32> = scores.map(|score| score.to_string().parse().unwrap()).collect();
        assert_eq!(scores, probabilities(row), "{}", row["path"]);
    }
}

#[test]
fn a_catalogue_carries_its_columns_through() {
    let desk = Desk::new();
    desk.galaxies("deep/cut outs", 3);
    let catalogue = "RA,z,Path,id,dec\n\
                     180,0.1,cut outs/0000.png,NGC 1,-0.50\n\
                     ,0.1,cut outs/0001.png,\"a, b\",\n\
                     12:30:00,0.1,cut outs/0002.png,bad,1\n\
                     1,0.1,cut outs/none.png,gone,90.5\n\
                     nan,0.1,cut outs/none.png,gone,nan\n\
                     1,0.1,,empty,1\n\
                     1\n\
                     1.5,0.1,cut outs,folder,2\n";
    std::fs::write(desk.path("deep/cat.csv"), catalogue).unwrap();
    assert_eq!(desk.classify(1, "RUN0 deep/cat.csv --out t.csv"), "2 classified, 6 failed; see t.csv");
    let table = rows(&desk.text("t.csv"));
    let known = |row: usize| ["id", "path", "ra", "dec"].map(|name| &table[row][name][..]);
    assert_eq!(known(0), ["NGC 1", "cut outs/0000.png", "180.0", "-0.5"]);
    assert_eq!(known(1), ["a, b", "cut outs/0001.png", "", ""]);
    assert_eq!(known(3), ["gone", "cut outs/none.png", "1.0", ""]);
    let reasons = [(2, "line 4 has \"12:30:00\" as ra"), (3, "line 5 has \"90.5\" as dec"), (4, "cannot be read")];
    for (row, reason) in reasons.into_iter().chain([(5, "has no path"), (6, "has no path"), (7, "is no file")]) {
        assert!(table[row]["status"].contains(reason), "{row}: {}", table[row]["status"]);
    }
    // alone, the pictures have the same scores
    desk.classify(0, "RUN0 deep --out alone.csv");
    let alone = rows(&desk.text("alone.csv"));
    assert_eq!(probabilities(&alone[1]), probabilities(&table[1]));
}

#[test]
fn a_catalogue_that_breaks_off_ends_in_a_row_that_says_so() {
    let desk = Desk::new();
    desk.galaxies("in", 2);
    let open = format!("path\nin/0000.png\n\"in/0001.png\n{}", "x".repeat(2 << 20));
    std::fs::write(desk.path("cat.csv"), open).unwrap();
    assert_eq!(desk.classify(1, "RUN0 cat.csv in/0001.png --out t.csv"), "2 classified, 1 failed; see t.csv");
    let table = rows(&desk.text("t.csv"));
    assert!(table[1]["status"].contains("line 3") && table[1]["status"].contains("quote"), "{}", table[1]["status"]);
    assert_eq!(table[2]["status"], "ok");
}

#[test]
fn an_hdf5_file_is_its_images_and_as_good_as_pictures() {
    let desk = Desk::new();
    desk.galaxies("in", 9);
    write_hdf5(&desk.path("nine.h5"), &dataset(9)).unwrap();
    assert_eq!(desk.classify(0, "RUN0 nine.h5 --out h5.csv --batch 4"), "9 classified, 0 failed; see h5.csv");
    desk.classify(0, "RUN0 in --out in.csv --batch 4");
    let (images, pictures) = (rows(&desk.text("h5.csv")), rows(&desk.text("in.csv")));
    assert_eq!((images.len(), pictures.len()), (9, 9));
    for (number, (image, picture)) in images.iter().zip(&pictures).enumerate() {
        assert_eq!((&image["path"][..], &image["index"]), ("nine.h5", &number.to_string()));
        assert_eq!(probabilities(image), probabilities(picture));
        assert_eq!(image["ra"].parse().ok(), (number % 4 != 3).then_some(number as f64 / 3.0));
    }
    // a damaged one costs a row, and the job goes on
    let whole = std::fs::read(desk.path("nine.h5")).unwrap();
    std::fs::write(desk.path("half.h5"), &whole[..whole.len() / 2]).unwrap();
    assert_eq!(desk.classify(1, "RUN0 half.h5 in/0003.png --out t.csv"), "1 classified, 1 failed; see t.csv");
    let table = rows(&desk.text("t.csv"));
    assert!(table[0]["status"].starts_with("half.h5: ") && table[1]["status"] == "ok", "{table:?}");
}

#[test]
fn globs_find_what_a_shell_would_and_sizes_are_fitted() {
    let desk = Desk::new();
    desk.galaxies("in/a", 2);
    desk.galaxies("in/b", 3);
    let large: Vec<u8> = pixels(1).chunks(super::SIDE * 3).flat_map(|row| [row, row].concat()).collect();
    image::RgbImage::from_raw(32, 16, large).unwrap().save(desk.path("in/a/wide.png")).unwrap();
    assert_eq!(desk.classify(0, "RUN0 in/*/*[1e].png --out t.csv"), "3 classified, 0 failed; see t.csv");
    let paths: Vec<String> = rows(&desk.text("t.csv")).iter().map(|row| row["path"].clone()).collect();
    assert_eq!(paths, ["in/a/0001.png", "in/a/wide.png", "in/b/0001.png"]);
    desk.classify(0, "RUN0 in/** in/a/0000.png --out all.csv");
}
