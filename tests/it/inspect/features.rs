//! The inspector and its command.

use crate::common::desk::Desk;
use crate::common::{Device, on_every_device};
use galaxy_gpu::engine::{CpuEngine, Engine};
use galaxy_gpu::model::{Model, initialise};
use galaxy_gpu::plan::{Plan, Profile};
use galaxy_gpu::train::inspect::{Inspector, Smooth};
use galaxy_gpu::train::{Card, PREPROCESSING, Setup, Weights};
use safetensors::SafeTensors;

const SIZE: usize = 16;

fn weights() -> Weights {
    let model = Model::preset("conv3").unwrap();
    let network = model.build(SIZE, SIZE, 3).unwrap();
    let tensors = network.parameters().enumerate().map(|(i, parameter)| initialise(parameter, i, 5)).collect();
    let card = serde_json::json!({
        "model": model, "classes": ["round", "spiral", "edge-on"], "height": SIZE, "width": SIZE,
        "preprocessing": PREPROCESSING, "data": "test", "seed": 5, "split_hash": "", "epochs": 0, "step": 0, "val_accuracy": null,
    });
    Weights { card: serde_json::from_value::<Card>(card).unwrap(), tensors }
}

fn pixels() -> Vec<u8> {
    (0..SIZE * SIZE * 3).map(|i| (i * 7919 % 256) as u8).collect()
}

#[test]
fn smoothing_averages_gradients_of_noisy_pictures() {
    let make_engine = |plan: Plan| Ok(Box::new(CpuEngine::<f32>::new(plan)) as Box<dyn Engine>);
    let mut inspector = Inspector::new(&weights(), &Setup::inference(1), &Profile::cpu(), make_engine).unwrap();
    let mut look = |samples, noise, seed, class| inspector.inspect(&pixels(), class, Smooth { samples, noise, seed });
    let plain = look(0, 0.5, 1, None).unwrap();
    assert!((plain.scores.iter().sum::<f32>() - 1.0).abs() < 1e-5, "softmax adds up to one");
    assert_eq!(plain.scores.iter().copied().fold(0.0, f32::max), plain.scores[plain.class]);
    assert_eq!(plain.blocks.len(), 5, "three blocks of convolutions and two dense ones");
    // without noise, the mean of equal gradients is each of them, within the rounding of a sum of three
    let still = look(3, 0.0, 1, None).unwrap();
    assert!(still.gradient.iter().zip(&plain.gradient).all(|(a, b)| (a - b).abs() <= 1e-6 * b.abs()));
    let noisy = look(3, 0.5, 1, None).unwrap();
    assert_ne!(noisy.gradient, plain.gradient);
    assert_eq!(noisy.blocks, plain.blocks, "features are those of the picture itself");
    assert_eq!(noisy, look(3, 0.5, 1, None).unwrap(), "the same seed");
    assert_ne!(noisy.gradient, look(3, 0.5, 2, None).unwrap().gradient, "another seed");
    let other = look(0, 0.0, 1, Some((plain.class + 1) % 3)).unwrap();
    assert!(other.gradient != plain.gradient && other.scores == plain.scores, "another class");
    assert!(look(0, 0.0, 1, Some(3)).is_err());
    assert!(inspector.inspect(&[0; 7], None, Smooth { samples: 0, noise: 0.0, seed: 0 }).is_err());
}

on_every_device!(the_command_writes_a_picture_or_a_folder_of_everything);

fn the_command_writes_a_picture_or_a_folder_of_everything(device: Device) {
    let desk = Desk::new();
    weights().save(&desk.path("w.safetensors")).unwrap();
    let picture = image::RgbImage::from_raw(SIZE as u32, SIZE as u32, pixels()).unwrap();
    picture.save(desk.path("galaxy.png")).unwrap();
    let line = format!("inspect w.safetensors galaxy.png --smooth 2 --device {device}");
    let text = desk.run(&format!("{line} --class edge-on"));
    assert!(text.contains("saliency  of \"edge-on\"") && text.ends_with("written   inspection.png\n"), "{text}");
    assert!(image::open(desk.path("inspection.png")).unwrap().width() > 1000);
    let report = desk.json(&format!("{line} --class 1 --out seen --json"));
    assert_eq!((&report["explained"], &report["blocks"][0]["layers"][0]), (&"spiral".into(), &"conv2d".into()));
    assert_eq!(
        report,
        serde_json::from_slice::<serde_json::Value>(&std::fs::read(desk.path("seen/inspection.json")).unwrap())
            .unwrap()
    );
    for name in ["overview", "conv2d", "conv2d_1", "conv2d_2"] {
        image::open(desk.path(&format!("seen/{name}.png"))).unwrap();
    }
    let bytes = std::fs::read(desk.path("seen/inspection.safetensors")).unwrap();
    let data = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(data.tensor("saliency").unwrap().shape(), [SIZE, SIZE]);
    assert_eq!(data.tensor("picture").unwrap().data(), pixels());
    assert_eq!(data.tensor("features.max_pool2d").unwrap().shape(), [8, 8, 16]);
}

/// A FITS image of the planes g, r and z, whose values grow from pixel to pixel.
fn cube() -> Vec<u8> {
    let cards =
        [("SIMPLE", "T"), ("BITPIX", "-32"), ("NAXIS", "3"), ("NAXIS1", "16"), ("NAXIS2", "16"), ("NAXIS3", "3")];
    let mut bytes: Vec<u8> =
        cards.iter().flat_map(|(name, value)| format!("{:<80}", format!("{name:<8}= {value}")).into_bytes()).collect();
    bytes.extend(b"END");
    bytes.resize(2880, b' ');
    bytes.extend((0..3 * 256).flat_map(|n| ((n % 256) as f32 / 1000.0).to_be_bytes()));
    bytes.resize(bytes.len().next_multiple_of(2880), 0);
    bytes
}

#[test]
fn a_fits_image_is_seen_through_the_stretch_that_is_asked_for() {
    let desk = Desk::new();
    weights().save(&desk.path("w.safetensors")).unwrap();
    std::fs::write(desk.path("a.fits"), cube()).unwrap();
    let picture = |options: &str, out: &str| {
        let text =
            desk.run(&format!("inspect w.safetensors a.fits --device reference --smooth 0 --out {out}{options}"));
        let bytes = std::fs::read(desk.path(&format!("{out}/inspection.safetensors"))).unwrap();
        (text, SafeTensors::deserialize(&bytes).unwrap().tensor("picture").unwrap().data().to_vec())
    };
    let (text, own) = picture("", "own");
    assert!(text.starts_with("a.fits: ") && text.contains("\nplace on the sky not known: "), "{text}");
    let other = picture(" --fits-stretch Q=5", "other").1;
    assert!(own.len() == SIZE * SIZE * 3 && own != other);
    desk.refuses("inspect w.safetensors a.fits a.fits --device reference --out two", &["IMAGE is 2 files"]);
    assert!(!desk.path("two").exists());
}

#[test]
fn the_answer_lists_its_largest_values() {
    let desk = Desk::new();
    weights().save(&desk.path("w.safetensors")).unwrap();
    image::RgbImage::from_raw(SIZE as u32, SIZE as u32, pixels()).unwrap().save(desk.path("a.png")).unwrap();
    let line = "inspect w.safetensors a.png --device reference --smooth 0 --out seen";
    let text = desk.run(line);
    let found = desk.json(&format!("{line} --json"));
    let scores: Vec<f64> =
        ["round", "spiral", "edge-on"].iter().map(|class| found["scores"][class].as_f64().unwrap()).collect();
    let mut order = [0, 1, 2];
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let order: Vec<String> = order.iter().map(usize::to_string).collect();
    assert!(text.contains(&format!(": 3, largest values {}\n", order.join(", "))), "{order:?} {text}");
}

#[test]
fn bad_input_is_refused_before_anything_is_written() {
    let desk = Desk::new();
    weights().save(&desk.path("w.safetensors")).unwrap();
    desk.write("text.png", "no picture");
    let line = "inspect w.safetensors text.png --device reference --out seen";
    desk.refuses(line, &["text.png: is not a picture"]);
    desk.refuses(&format!("{line} --class lens"), &["--class is \"lens\"", "round, spiral, edge-on"]);
    desk.refuses(&format!("{line} --noise 2"), &["--noise is 2"]);
    desk.refuses("inspect w.safetensors text.png --out text.png/x", &["it is no folder"]);
    assert!(!desk.path("seen").exists());
}
