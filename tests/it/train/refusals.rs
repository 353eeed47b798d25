//! Input at fault: exit code 2, one error that says what and where, and nothing left behind.

use super::{Desk, SMALL, sides};
use galaxy_gpu::data::write_hdf5;

/// A file in Galaxy10's layout with these labels, of 16x16 pixels.
fn labelled(desk: &Desk, name: &str, labels: &[i64]) {
    let file = hdf5::File::create(desk.path(name)).unwrap();
    file.new_dataset_builder().with_data(labels).create("ans").unwrap();
    let images = file.new_dataset::<u8>().shape((labels.len(), 16, 16, 3)).create("images").unwrap();
    images.write_raw(&vec![9u8; labels.len() * 16 * 16 * 3]).unwrap();
    file.close().unwrap();
}

/// A desk with a trained `run` of simulated galaxies and `sides.h5`.
fn trained() -> Desk {
    let desk = Desk::new();
    desk.run(&format!("{SMALL} --epochs 1 --device reference --out run"));
    write_hdf5(&desk.path("sides.h5"), &sides(20)).unwrap();
    desk
}

#[test]
fn data_that_cannot_be_trained_on() {
    let desk = Desk::new();
    labelled(&desk, "negative.h5", &[0, 1, -1, 1]);
    labelled(&desk, "huge.h5", &[0, 1, 1, 1 << 40]);
    labelled(&desk, "gap.h5", &[0, 0, 2, 2]);
    labelled(&desk, "single.h5", &[0, 0, 0, 0]);
    labelled(&desk, "few.h5", &[0, 1]);
    std::fs::create_dir_all(desk.path("folder/full")).unwrap();
    std::fs::create_dir_all(desk.path("folder/empty")).unwrap();
    image::RgbImage::new(8, 8).save(desk.path("folder/full/1.png")).unwrap();
    let refused = |data: &str, parts: &[&str]| {
        desk.refuses(&format!("train --model tiny.toml --device reference --out run --data {data}"), parts);
    };
    refused("missing.h5", &["missing.h5: there is no such file or folder"]);
    refused("tiny.toml", &["tiny.toml: "]);
    refused("negative.h5", &["negative.h5: ", "-1"]);
    refused("huge.h5", &["huge.h5: ", "1099511627776"]);
    refused("gap.h5", &["gap.h5: class 1 has no images"]);
    refused("single.h5", &["single.h5: all images have the same class"]);
    refused("few.h5", &["the test set has no images"]);
    refused("folder", &["folder/empty: this class has no PNG, JPEG or FITS pictures"]);
    refused("few.h5 --class-names one", &["class names is a list of 1"]);
}

#[test]
fn splits_that_do_not_fit() {
    let desk = Desk::new();
    write_hdf5(&desk.path("sides.h5"), &sides(6)).unwrap();
    let refused = |rows: &str, parts: &[&str]| {
        std::fs::write(desk.path("split.csv"), format!("index,ans,split\n{rows}")).unwrap();
        let line = "train --data sides.h5 --split split.csv --model tiny.toml --device reference --out run";
        desk.refuses(line, parts);
    };
    refused("0,0,train\n1,0,test\n", &["split.csv: line 3: ans is \"0\", but image 1 has the label 1"]);
    refused("0,0,train\n9,1,test\n", &["split.csv: line 3: index 9 is outside 0 to 5"]);
    refused("0,0,train\n1,1,train\n", &["the test set has no images"]);
    refused("0,0,train\n1,1,test\n", &["class 1 (round) has no training images"]);
    refused("0,0,train\n1,1,maybe\n", &["line 3: split is \"maybe\""]);
    desk.refuses("train --data sides.h5 --split none.csv --model tiny.toml --device reference", &["none.csv: "]);
}

#[test]
fn networks_that_do_not_fit() {
    let desk = Desk::new();
    desk.pictures(4);
    desk.refuses(
        "train --data data --size 8 --device reference --out run",
        &["layer max_pool2d_3: a 2x2 window does not fit"],
    );
    desk.refuses("train --size 8 --device reference --out run", &["size is 8, but must be between 16 and 1024"]);
    desk.refuses("train --model conv5 --device reference --out run", &["the model is \"conv5\"", "conv3, conv4"]);
    desk.refuses("train --model none.toml --device reference --out run", &["none.toml: "]);
    std::fs::write(desk.path("other.toml"), "name = 'other'\n[[layer]]\ntype = 'lstm'\n").unwrap();
    desk.refuses("train --model other.toml --device reference --out run", &["other.toml: "]);
}

#[test]
fn settings_out_of_range() {
    let desk = Desk::new();
    let cases: [(&str, &[&str]); 19] = [
        ("--batch 0", &["--batch is 0, but must be from 1 to 65536"]),
        ("--batch 70000", &["--batch is 70000"]),
        ("--epochs 0", &["--epochs"]),
        ("--images 0", &["images is 0"]),
        ("--learning-rate -1", &["--learning-rate is -1, but must be above 0 and at most 1"]),
        ("--learning-rate nan", &["--learning-rate", "it must be a finite number"]),
        ("--label-smoothing 1", &["--label-smoothing is 1"]),
        ("--rotation 2", &["--rotation is 2, but must be from 0 to 0.5"]),
        ("--shift -0.1", &["--shift is -0.1"]),
        ("--zoom 0.2 0.1", &["--zoom LOW is 0.2"]),
        ("--zoom -1 0", &["--zoom LOW is -1"]),
        ("--zoom nan 0", &["--zoom", "it must be a finite number"]),
        ("--clip-norm inf", &["--clip-norm", "it must be a finite number"]),
        ("--fill blur", &["reflect, wrap, nearest or constant"]),
        ("--steps-per-submit 0", &["--steps-per-submit"]),
        ("--use conv2d.forward=nope", &["conv2d.forward", "nope", "direct"]),
        ("--use fft.forward=direct", &["fft.forward"]),
        ("--adapter 0", &["--adapter is given with --device reference"]),
        ("--out tiny.toml", &["tiny.toml"]),
    ];
    for (more, parts) in cases {
        let out = if more.contains("--out") { "" } else { "--out run" };
        desk.refuses(&format!("train --size 16 --model tiny.toml --device reference {out} {more}"), parts);
    }
}

#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn adapters_that_are_not_there() {
    let desk = Desk::new();
    desk.refuses(&format!("{SMALL} --out run --adapter nonsense"), &["--adapter is \"nonsense\"", "0 = "]);
    desk.refuses(&format!("{SMALL} --out run --adapter 99"), &["--adapter is \"99\"", "0 = "]);
}

#[test]
fn runs_that_hold_no_usable_weights() {
    let desk = trained();
    std::fs::create_dir(desk.path("bare")).unwrap();
    let good = std::fs::read(desk.path("run/weights/best.safetensors")).unwrap();
    std::fs::write(desk.path("cut.safetensors"), &good[..good.len() - 100]).unwrap();
    std::fs::write(desk.path("header.safetensors"), &good[..40]).unwrap();
    let mut wrong = good.clone();
    let place = wrong.windows(6).position(|bytes| bytes == b"F32\",\"").unwrap();
    wrong[place..place + 3].copy_from_slice(b"I32");
    std::fs::write(desk.path("integers.safetensors"), wrong).unwrap();
    image::RgbImage::new(16, 16).save(desk.path("dark.png")).unwrap();
    for (run, part) in [
        ("bare", "bare: it holds no weights"),
        ("missing", "missing: it holds no weights"),
        ("cut.safetensors", "cut.safetensors: no safetensors file"),
        ("header.safetensors", "header.safetensors: no safetensors file"),
        ("integers.safetensors", "is I32 "),
        ("tiny.toml", "tiny.toml: no safetensors file"),
    ] {
        desk.refuses(&format!("evaluate {run} --images 40 --size 16 --device reference"), &[part]);
        desk.refuses(&format!("predict {run} dark.png --device reference"), &[part]);
    }
}

#[test]
fn data_and_pictures_that_the_network_does_not_know() {
    let desk = trained();
    let evaluate = |more: &str, parts: &[&str]| desk.refuses(&format!("evaluate run --device reference {more}"), parts);
    evaluate("--images 20 --size 24", &["24x24 images of 10 classes, the network is for 16x16 and 10"]);
    evaluate(
        "--data sides.h5",
        &["sides.h5: its classes are edge, round, but the network was trained on Disturbed Galaxy"],
    );
    evaluate("--data missing.h5", &["missing.h5: there is no such file or folder"]);
    evaluate("--images 40 --size 16 --batch 0", &["--batch is 0"]);
    evaluate("--images 40 --size 16 --out nowhere/a.png", &["nowhere/a.png"]);
    evaluate("--all --split tiny.toml", &["--all", "--split"]);

    std::fs::write(desk.path("text.png"), "no picture").unwrap();
    desk.refuses("predict run text.png --device reference", &["text.png: is not a picture that can be decoded"]);
    desk.refuses("predict run missing.png --device reference", &["missing.png: cannot be read"]);
    desk.refuses("predict run data --device reference", &["data: "]);
}

#[test]
fn an_output_that_is_no_folder() {
    let desk = Desk::new();
    desk.refuses(&format!("{SMALL} --out tiny.toml"), &["tiny.toml: it is no folder", "--out"]);
    desk.refuses(&format!("{SMALL} --out tiny.toml/run --force"), &["tiny.toml: it is no folder"]);
    desk.refuses(&format!("{SMALL} --class-names a,b"), &["--class-names is given without --data"]);
}

/// No machine has memory for 65536 images of this size.
#[cfg(target_os = "linux")]
#[test]
fn twins_that_do_not_fit_into_memory_are_refused() {
    let desk = Desk::new();
    let line = "train --device reference --model conv3 --size 512 --images 20 --batch 65536 --out run";
    desk.refuses(line, &["--device reference needs", "of memory", "smaller --batch"]);
    assert!(!desk.path("run").exists());
}
