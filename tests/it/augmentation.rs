//! `augment.warp` against Keras's own outputs, through the twin and on the adapter, and `augment.draw` against the
//! four maps it is made of.

use crate::common;
use crate::common::npz::Npz;
use galaxy_gpu::engine::validate::{Compile, Values, prepared_engine, run_twin};
use galaxy_gpu::engine::{Engine, read_floats};
use galaxy_gpu::kernels::{Case, Constants, Contract, Precision, StepParams, augment};
use galaxy_gpu::plan::Program;

/// Keras's answer may be off by this much of 255: positions are rounded differently by about 1e-5 places, and
/// neighbours in the images of noise are up to 255 apart.
const TOLERANCE: f32 = 0.05;

/// One case of the fixture.
struct Sample {
    name: String,
    group: Group,
    matrix: [f32; 6],
    want: Vec<f32>,
}

/// What a batch of cases has in common.
#[derive(Clone, PartialEq)]
struct Group {
    image: String,
    mode: usize,
    fill: f64,
}

fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/keras/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// An array of the fixture and its sizes.
fn array(name: &str) -> (Vec<f32>, Vec<usize>) {
    Npz::fixture("augmentation.npz").array(name)
}

/// All cases with bilinear interpolation.
fn samples() -> Vec<Sample> {
    let text = std::fs::read_to_string(fixture("augmentation_cases.json")).expect("the list of cases opens");
    let list: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let cases = list["cases"].as_array().expect("a list").iter();
    let samples = cases.filter(|case| case["interpolation"] == "bilinear").map(|case| {
        let text = |key: &str| case[key].as_str().expect("a word").to_owned();
        let matrix = array(&format!("matrix_{}", text("id"))).0;
        assert_eq!(matrix[6..], [0.0, 0.0], "affine");
        let modes = ["reflect", "wrap", "nearest", "constant"];
        let mode = modes.iter().position(|mode| *mode == text("mode")).expect("a fill mode");
        let group = Group { image: text("image"), mode, fill: case["fill"].as_f64().unwrap_or(0.0) };
        let want = array(&format!("out_{}", text("id"))).0;
        Sample { name: text("name"), group, matrix: matrix[..6].try_into().expect("six"), want }
    });
    samples.collect()
}

/// The cases of a group as one call on the image `bytes`; every row of the batch shows image 0.
fn call(sizes: &[usize], bytes: &[u8], transforms: &[f32], mode: usize, fill: f64) -> (Case, Vec<Values>) {
    let batch = transforms.len() / 6;
    let gather =
        augment::GatherSizes { shard_images: 1, ..augment::GatherSizes::new(batch, batch, sizes[0], sizes[1]) };
    let word = |bytes: &[u8]| (0..4).fold(0, |word, i| word | u32::from(*bytes.get(i).unwrap_or(&0)) << (8 * i));
    let start = vec![
        Values::Index(bytes.chunks(4).map(word).collect()),
        Values::Index(vec![0, 1]),
        Values::Index(vec![0; batch]),
        Values::Float(transforms.to_vec()),
        Values::Float(vec![f32::NAN; batch * bytes.len()]),
    ];
    (Case::new("keras", gather.warp(mode, fill)), start)
}

/// How a call runs: on the twin or on the adapter. Returns its last binding.
type Run<'a> = &'a dyn Fn(&'static Contract, &Case, &[Values]) -> Vec<f32>;

fn on_twin(contract: &'static Contract, case: &Case, start: &[Values]) -> Vec<f32> {
    let Some(Values::Float(images)) = run_twin(contract, case, Precision::F32, start).pop() else { panic!("floats") };
    images
}

/// The image through `transforms`, 0..255. Images are bytes and bilinear sampling is linear in the image, so the image
/// goes through twice: its whole parts, and its fractions in 255ths.
fn warp(run: Run, group: &Group, transforms: &[f32]) -> Vec<f32> {
    let (image, sizes) = array(&format!("image_{}", group.image));
    let whole: Vec<u8> = image.iter().map(|v| v.floor() as u8).collect();
    let parts: Vec<u8> = image.iter().map(|v| (v.fract() * 255.0).round() as u8).collect();
    let (case, start) = call(&sizes, &whole, transforms, group.mode, group.fill);
    let whole = run(&augment::WARP, &case, &start);
    let (case, start) = call(&sizes, &parts, transforms, group.mode, 0.0);
    let parts = run(&augment::WARP, &case, &start);
    whole.iter().zip(parts).map(|(whole, part)| whole * 255.0 + part).collect()
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, |worst, d| if d > worst || d.is_nan() { d } else { worst })
}

fn agrees_with_keras(run: Run) {
    let mut left = samples();
    assert_eq!(left.len(), 68, "bilinear cases of the fixture");
    while let Some(first) = left.first() {
        let group = first.group.clone();
        let (now, later) = left.into_iter().partition(|sample| sample.group == group);
        left = later;
        let now: Vec<Sample> = now;
        let transforms: Vec<f32> = now.iter().flat_map(|sample| sample.matrix).collect();
        let images = warp(run, &group, &transforms);
        for (got, sample) in images.chunks(now[0].want.len()).zip(&now) {
            let difference = largest_difference(got, &sample.want);
            assert!(difference <= TOLERANCE, "image {}, {}: off by {difference}", group.image, sample.name);
        }
    }
}

fn flips_like_keras(run: Run) {
    for name in ["A", "B"] {
        let (_, sizes) = array(&format!("image_{name}"));
        let (right, bottom) = (sizes[1] as f32 - 1.0, sizes[0] as f32 - 1.0);
        let group = Group { image: name.to_owned(), mode: 0, fill: 0.0 };
        let images = warp(run, &group, &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, -1.0, 0.0, right, 0.0, -1.0, bottom]);
        let (plain, turned) = images.split_at(images.len() / 2);
        assert!(largest_difference(plain, &array(&format!("flip_{name}_0")).0) <= TOLERANCE, "{name} unflipped");
        assert!(largest_difference(turned, &array(&format!("flip_{name}_1")).0) <= TOLERANCE, "{name} flipped");
    }
}

#[test]
fn the_twin_warps_like_keras() {
    agrees_with_keras(&on_twin);
    flips_like_keras(&on_twin);
}

#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn the_adapter_warps_like_keras() {
    let gpu = common::gpu();
    let run = |contract: &'static Contract, case: &Case, start: &[Values]| {
        let direct = contract.implementation("direct").expect("every contract has one");
        let mut engine =
            prepared_engine(&gpu, contract, direct, case, Precision::F32, &Compile::own(true)).expect("an engine");
        for (tensor, values) in start.iter().enumerate() {
            let bytes: &[u8] = match values {
                Values::Float(values) => bytemuck::cast_slice(values),
                Values::Index(values) => bytemuck::cast_slice(values),
            };
            engine.write(tensor, bytes).expect("written");
        }
        engine.run(Program::Train, &[case.step]).expect("queued");
        read_floats(&mut engine, start.len() - 1).expect("read")
    };
    agrees_with_keras(&run);
    flips_like_keras(&run);
}

const BATCH: usize = 400;
const HEIGHT: f64 = 40.0;
const WIDTH: f64 = 64.0;

/// Transforms of one batch with these ranges.
fn draw(step: StepParams, ranges: &[(&'static str, f64)]) -> Vec<[f64; 6]> {
    let (height, width) = (HEIGHT as usize, WIDTH as usize);
    let plain = Constants::from(augment::DrawSizes { batch: BATCH, height, width, ..Default::default() });
    let constants = ranges.iter().fold(plain, |constants, &(name, value)| constants.with(name, value));
    let case = Case::new("draw", constants).at(step);
    let transforms = on_twin(&augment::DRAW, &case, &[Values::Float(vec![f32::NAN; 6 * BATCH])]);
    transforms.chunks(6).map(|t| std::array::from_fn(|i| f64::from(t[i]))).collect()
}

const FLIP: (&str, f64) = ("FLIP", 1.0);
const TURN: (&str, f64) = ("ROTATION", 0.5);
const ZOOM: [(&str, f64); 2] = [("ZOOM_LOW", -0.5), ("ZOOM_HIGH", 0.1)];
const SHIFT: (&str, f64) = ("SHIFT", 0.08);

#[test]
fn a_draw_is_flip_of_rotation_of_zoom_of_translation() {
    let step = StepParams { first: 31, step: 5, seed: 99, ..Default::default() };
    let all = draw(step, &[FLIP, TURN, ZOOM[0], ZOOM[1], SHIFT]);
    let parts = [draw(step, &[FLIP]), draw(step, &[TURN]), draw(step, &ZOOM), draw(step, &[SHIFT])];
    for (i, all) in all.iter().enumerate() {
        for (x, y) in [(0.0, 0.0), (WIDTH, 3.0), (7.0, HEIGHT)] {
            let apply = |t: &[f64; 6], (x, y): (f64, f64)| (t[0] * x + t[1] * y + t[2], t[3] * x + t[4] * y + t[5]);
            let want = parts.iter().rev().fold((x, y), |place, part| apply(&part[i], place));
            let got = apply(all, (x, y));
            assert!((want.0 - got.0).abs() + (want.1 - got.1).abs() < 1e-3, "image {i}: {got:?} is not {want:?}");
        }
    }
}

#[test]
fn each_part_has_the_form_and_range_of_keras() {
    let (centre_x, centre_y) = ((WIDTH - 1.0) / 2.0, (HEIGHT - 1.0) / 2.0);
    let step = StepParams { seed: 3, ..Default::default() };
    let mut angles = Vec::new();
    for [a0, a1, a2, b0, b1, b2] in draw(step, &[TURN]) {
        assert!((a0 - b1).abs() < 1e-6 && (a1 + b0).abs() < 1e-6 && (a0.hypot(b0) - 1.0).abs() < 1e-6);
        let centre = (a2 - (centre_x - centre_x * a0 - centre_y * a1), b2 - (centre_y - centre_x * b0 - centre_y * b1));
        assert!(centre.0.abs() + centre.1.abs() < 1e-4);
        angles.push(b0.atan2(a0).to_degrees());
    }
    spans(&angles, -180.0, 180.0);
    let zooms = draw(step, &ZOOM);
    assert!(zooms.iter().all(|t| t[0] == t[4] && (t[1], t[3]) == (0.0, 0.0)));
    assert!(
        zooms.iter().all(|t| (t[2] - centre_x * (1.0 - t[0])).abs() + (t[5] - centre_y * (1.0 - t[0])).abs() < 1e-4)
    );
    spans(&zooms.iter().map(|t| t[0]).collect::<Vec<_>>(), 0.5, 1.1);
    let shifts = draw(step, &[SHIFT]);
    assert!(shifts.iter().all(|t| (t[0], t[1], t[3], t[4]) == (1.0, 0.0, 0.0, 1.0)));
    spans(&shifts.iter().map(|t| t[2]).collect::<Vec<_>>(), -0.08 * WIDTH, 0.08 * WIDTH);
    spans(&shifts.iter().map(|t| t[5]).collect::<Vec<_>>(), -0.08 * HEIGHT, 0.08 * HEIGHT);
    let flips = draw(step, &[FLIP]);
    for mirrored in [(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)] {
        let count = flips.iter().filter(|t| (t[0], t[4]) == mirrored).count();
        // a quarter of 400, give or take five standard deviations
        assert!((57..=143).contains(&count), "{mirrored:?}: {count}");
    }
}

/// Whether values lie in a range and reach the twentieths at its ends.
fn spans(values: &[f64], low: f64, high: f64) {
    let edge = (high - low) / 20.0;
    let (least, most) = values.iter().fold((high, low), |(a, b), &v| (v.min(a), v.max(b)));
    assert!(least >= low - 1e-4 && least < low + edge, "{least} is not just above {low}");
    assert!(most <= high + 1e-4 && most > high - edge, "{most} is not just below {high}");
}

#[test]
fn images_and_steps_draw_differently() {
    let first = draw(StepParams::default(), &[TURN]);
    assert_ne!(first[0], first[1]);
    assert_ne!(first, draw(StepParams { step: 1, ..Default::default() }, &[TURN]));
    assert_eq!(first[1], draw(StepParams { first: 1, ..Default::default() }, &[TURN])[0]);
}
