//! The program as a user meets it: what it prints, what it writes, how it refuses and what it leaves behind.

use crate::common::desk::Desk;
use galaxy_gpu::data::{Dataset, Pixels, Sky, write_hdf5};
use predicates::prelude::{PredicateBooleanExt, predicate};
use predicates::str::contains;
use serde_json::Value;
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
    let line = "train --data twins.h5 --model tiny.toml --device cpu --epochs 1 --out run";
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

#[test]
fn a_model_is_summarised_as_keras_does() {
    let desk = Desk::new();
    let text = desk.run("model summary");
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.contains(&"conv2d_3 (conv2d)          (None, 32, 32, 128)       73,856"), "{text}");
    assert!(lines.contains(&"Parameters:       8,520,490 (32.5 MiB)"), "{text}");
    let summary = desk.json("model summary conv3 --size 64 --classes 4 --batch 7 --json");
    assert_eq!((&summary["image"], &summary["batch"]), (&serde_json::json!([64, 64, 3]), &7.into()));
    let layers = summary["layers"].as_array().unwrap();
    assert_eq!(layers.last().unwrap()["output"], serde_json::json!([4]));
    let sum: u64 = layers.iter().map(|layer| layer["parameters"].as_u64().unwrap()).sum();
    assert_eq!(summary["parameters"].as_u64().unwrap(), sum);
    assert_eq!(summary["weight_bytes"].as_u64().unwrap(), 4 * sum);
    assert!(summary["training_bytes"].as_u64().unwrap() > 16 * sum);
    let [forward, training] =
        ["forward", "training"].map(|of| summary[format!("{of}_flops_per_image")].as_f64().unwrap());
    assert!(forward > 1e6 && training > 2.0 * forward);
}

#[test]
fn a_model_goes_through_its_file_unchanged() {
    let desk = Desk::new();
    std::fs::write(desk.path("mine.toml"), desk.run("model summary conv4 --toml")).unwrap();
    assert_eq!(desk.run("model summary mine.toml"), desk.run("model summary conv4"));
    assert_eq!(desk.run("model summary mine.toml --toml"), desk.run("model summary conv4 --toml"));
}

#[test]
fn models_that_cannot_be_built_are_refused() {
    let desk = Desk::new();
    std::fs::write(desk.path("flat.toml"), "name = 'flat'\n[[layer]]\ntype = 'flatten'\n").unwrap();
    for command in ["model summary", "plan --device cpu --model"] {
        desk.refuses(&format!("{command} conv4 --size 8"), &["layer max_pool2d_3: a 2x2 window does not fit"]);
        desk.refuses(&format!("{command} conv9"), &["the model is \"conv9\"", "conv3, conv4"]);
        desk.refuses(&format!("{command} missing.toml"), &["missing.toml: "]);
        desk.refuses(&format!("{command} flat.toml"), &["layer flatten: ", "there are 10 classes"]);
        desk.refuses(&format!("{command} conv4 --size 0"), &["--size is 0, but must be from 1 to 8192"]);
        desk.refuses(&format!("{command} conv4 --classes 0"), &["--classes is 0"]);
        desk.refuses(&format!("{command} conv4 --batch 99999999999"), &["--batch is 99999999999"]);
    }
}

#[test]
fn a_plan_needs_no_adapter() {
    let desk = Desk::new();
    let line = "plan --device cpu --model conv3 --size 32 --batch 4 --images 30";
    let text = desk.run(line);
    assert!(text.starts_with("conv3 on CPU twins, f32\nbatch 4, 30 images of 32 x 32 pixels in 1 shard\n"), "{text}");
    assert!(text.contains("augment.warp") && text.contains("conv_block.backward_weights"), "{text}");
    let plain = desk.json(&format!("{line} --no-augment --no-fuse --use maxpool2d.forward=direct --json"));
    let train = plain["train"].as_array().unwrap();
    assert!(train.iter().all(|step| step["contract"] != "augment.warp" && step["contract"] != "conv_block.forward"));
    assert!(train.iter().any(|step| step["reason"] == "chosen by --use"));
    let buffers: u64 =
        plain["buffers"].as_array().unwrap().iter().map(|buffer| buffer["bytes"].as_u64().unwrap()).sum();
    assert_eq!(plain["total_bytes"].as_u64().unwrap(), buffers);
    assert_eq!(plain["data_set_bytes"], 30 * 32 * 32 * 3);
    let streamed = format!("{line} --data-memory 20000");
    assert!(desk.run(&streamed).contains("30 images of 32 x 32 pixels in 1 shard, streamed\n"));
    assert_eq!(desk.json(&format!("{streamed} --json"))["data_set_bytes"], 4 * 32 * 32 * 3, "one batch");
    desk.refuses("plan --device cpu --images 0", &["--images is 0"]);
    desk.refuses("plan --device cpu --adapter 0", &["--adapter"]);
}

#[test]
fn kernels_are_listed_with_their_implementations() {
    let desk = Desk::new();
    let text = desk.run("kernels list");
    let line = text.lines().find(|line| line.starts_with("relu.backward ")).unwrap();
    assert!(line.contains("direct") && line.ends_with("ELEMENTS"), "{line}");
    assert_eq!(text.lines().count(), 2 + galaxy_gpu::kernels::registry().len());
}

#[test]
fn unknown_kernels_are_refused() {
    let desk = Desk::new();
    for command in ["validate", "time"] {
        desk.refuses(&format!("kernels {command} fft"), &["the filter is \"fft\"", "conv2d, conv_block, maxpool2d"]);
    }
}

#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn kernels_are_validated_and_timed_on_the_adapter() {
    let desk = Desk::new();
    let text = desk.run("kernels validate relu.forward --checked");
    assert!(text.contains("relu.forward  direct") && text.ends_with(" 0 failed, 0 skipped\n"), "{text}");
    let report = desk.json("kernels validate relu.forward::direct:: --json");
    let results = report["results"].as_array().unwrap();
    assert_eq!((report["passed"].as_u64().unwrap(), &report["failed"]), (results.len() as u64, &0.into()));
    assert!(report["adapter"].is_string() && report["driver"].is_string());
    for result in results {
        assert_eq!((&result["contract"], &result["implementation"]), (&"relu.forward".into(), &"direct".into()));
        assert_eq!((&result["verdict"], &result["worst_error"]), (&"passed".into(), &0.0.into()));
        assert!(result["case"].is_string() && result["worst_output"].is_string() && result["tolerance"].is_number());
    }
    let report = desk.json("kernels time relu.forward --json");
    let results = report["results"].as_array().unwrap();
    assert!(!results.is_empty());
    for name in ["milliseconds", "gflops", "gigabytes_per_second"] {
        assert!(results.iter().all(|result| result[name].as_f64().unwrap() > 0.0), "{name}");
    }
    desk.refuses("kernels validate relu --adapter nonsense", &["--adapter is \"nonsense\"", "0 = "]);
}

#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn adapters_are_listed_by_their_numbers() {
    let desk = Desk::new();
    let adapters = desk.json("devices --json")["adapters"].clone();
    let name = adapters[0]["name"].as_str().unwrap();
    assert_eq!(adapters[0]["number"], 0);
    assert!(adapters[0]["binding_bytes"].as_u64().unwrap() >= 128 << 20);
    let text = desk.run("devices");
    assert!(text.lines().any(|line| line.starts_with("name ") && line.contains(name)), "{text}");
}

/// The Vulkan loader finds no driver where it is told to look at nothing.
#[cfg(target_os = "linux")]
#[test]
fn a_machine_without_adapters_is_told_what_to_do() {
    let desk = Desk::new();
    for line in ["devices", "kernels validate relu", "plan"] {
        let mut command = desk.command(line);
        command.env("VK_DRIVER_FILES", "/nonexistent").env("VK_ICD_FILENAMES", "/nonexistent");
        let told = contains("error: no GPU adapter was found; install a Vulkan driver").and(contains("--device cpu"));
        command.assert().code(1).stdout("").stderr(told);
    }
    let mut command = desk.command("devices --json");
    command.env("VK_DRIVER_FILES", "/nonexistent").env("VK_ICD_FILENAMES", "/nonexistent");
    let empty =
        |text: &str| serde_json::from_str::<Value>(text).is_ok_and(|value| value["adapters"] == serde_json::json!([]));
    command.assert().code(1).stdout(predicate::function(empty));
}

/// A reader that leaves early closes the pipe.
#[cfg(unix)]
#[test]
fn a_reader_that_leaves_is_no_failure() {
    let desk = Desk::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = desk.program("model summary").stdout(writer).status().unwrap();
    assert!(status.success(), "{status}");
}
