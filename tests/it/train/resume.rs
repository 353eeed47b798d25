//! Runs that were cut off go on and end as if nothing had happened, to the bit; and refuse what is not theirs.

use super::{Desk, SMALL, sides};
use crate::common;
use galaxy_gpu::data::{Dataset, Split, epoch_order, simulate, write_hdf5};
use galaxy_gpu::engine::{CpuEngine, Engine, GpuEngine};
use galaxy_gpu::graph::Augment;
use galaxy_gpu::kernels::Precision;
use galaxy_gpu::model::{Model, Network};
use galaxy_gpu::plan::{Plan, Profile};
use galaxy_gpu::train::history::{EpochRecord, History};
use galaxy_gpu::train::{
    Adam, Checkpoint, Moment, Outcome, Progress, Session, Settings, Setup, State, Watch, resume, train,
};
use std::path::Path;
use std::sync::Arc;

/// Keeps the state of each moment, and its records.
#[derive(Default)]
pub(crate) struct Archive {
    pub states: Vec<Arc<State>>,
    pub records: Vec<EpochRecord>,
    pub notes: Vec<String>,
}

impl Watch for Archive {
    fn progress(&mut self, _: Progress) {}

    fn epoch(&mut self, record: &EpochRecord, _: Vec<Vec<f32>>) -> galaxy_gpu::Result<()> {
        self.records.push(record.clone());
        Ok(())
    }

    fn undo(&mut self, history: &History) {
        self.records.truncate(history.epochs.len());
    }

    fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    fn due(&mut self, _: Moment, _: u32) -> bool {
        true
    }

    fn keep(&mut self, state: Arc<State>) {
        self.states.push(state);
    }

    fn stop(&self) -> bool {
        false
    }
}

/// The tiny network with its dropout, on 30 images in two classes: six batches of 4, 22 images and 8 to test.
pub(crate) struct Stage {
    pub dataset: Dataset,
    pub network: Network,
    pub split: Split,
}

impl Stage {
    pub fn new() -> Self {
        let dataset = sides(30);
        let model = Model::load(Desk::new().path("tiny.toml").to_str().unwrap()).unwrap();
        let network = model.build(16, 16, 2).unwrap();
        let train = epoch_order(&(0..22).collect::<Vec<u32>>(), 9, 9);
        let split = Split { train, test: (22..30).collect(), ..Split::default() };
        Self { dataset, network, split }
    }

    pub fn run(
        &self,
        open: &dyn Fn(&Setup, Plan) -> Box<dyn Engine>,
        profile: &Profile,
        setup: &Setup,
        (per_submit, state): (usize, Option<&Arc<State>>),
    ) -> (Outcome, Archive) {
        let make_engine = |plan: Plan| Ok(open(setup, plan));
        let mut session = Session::new(&self.network, &self.dataset, setup, profile, make_engine).unwrap();
        let adam = Adam { learning_rate: 0.01, ..Adam::default() };
        let settings = Settings { epochs: 2, seed: 4, adam, per_submit, ..Settings::default() };
        let mut archive = Archive::default();
        let outcome = match state {
            Some(state) => resume(&mut session, &self.split, &settings, state, &mut archive),
            None => train(&mut session, &self.network, &self.split, &settings, &mut archive),
        };
        (outcome.unwrap(), archive)
    }
}

/// Apart from the time they took.
pub(crate) fn measured(history: &History) -> Vec<EpochRecord> {
    history.epochs.iter().map(|record| EpochRecord { seconds: 0.0, ..record.clone() }).collect()
}

fn device_of(state: &State) -> &[galaxy_gpu::train::DeviceTensor] {
    &state.tensors
}

/// From the state of every step, each with another number of steps at a time and other room for images.
fn every_step_resumes(open: &dyn Fn(&Setup, Plan) -> Box<dyn Engine>, profile: &Profile, precision: Precision) {
    let stage = Stage::new();
    let setup = |data_memory| Setup {
        training: true,
        augment: Some(Augment::default()),
        precision,
        data_memory,
        ..Setup::inference(4)
    };
    let (whole, archive) = stage.run(open, profile, &setup(None), (1, None));
    let bits = |parameters: &[Vec<f32>]| -> Vec<u32> { parameters.iter().flatten().map(|v| v.to_bits()).collect() };
    // before each of 6 steps, between the epochs, before each of 6, and at the end
    assert_eq!(archive.states.len(), 14);
    let rooms = [None, Some(0), Some(8 * 768)];
    for (number, state) in archive.states.iter().enumerate() {
        let setup = setup(rooms[number % 3]);
        let (found, after) = stage.run(open, profile, &setup, ([1, 2, 8][number / 3 % 3], Some(state)));
        assert!(bits(&found.parameters) == bits(&whole.parameters), "weights from state {number}");
        assert_eq!((found.steps, found.refused), (whole.steps, whole.refused), "state {number}");
        assert_eq!(measured(&found.history), measured(&whole.history), "history from state {number}");
        let ends = [&archive, &after].map(|archive| device_of(archive.states.last().unwrap()));
        assert!(ends[0] == ends[1] && state.is_finite(), "moments, scale and counts from state {number}");
        let seconds = state.standing.seconds as f32;
        assert!(after.records.first().is_none_or(|record| record.seconds >= seconds), "time is added up");
    }
    // a state that is not put back would not be noticed by a test in which all states are alike
    assert!(archive.states.windows(2).filter(|pair| device_of(&pair[0]) != device_of(&pair[1])).count() >= 12);
}

#[test]
fn every_step_resumes_on_the_twins() {
    every_step_resumes(&|_, plan| Box::new(CpuEngine::<f32>::new(plan)), &Profile::cpu(), Precision::F32);
}

#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn every_step_resumes_on_the_adapter() {
    every_step_resumes_on_gpu(Precision::F32);
}

#[test]
#[cfg_attr(no_f16, ignore = "needs 16-bit floats")]
fn every_step_resumes_on_the_adapter_in_mixed_precision() {
    every_step_resumes_on_gpu(Precision::Mixed);
}

fn every_step_resumes_on_gpu(precision: Precision) {
    let gpu = common::gpu();
    let open = |_: &Setup, plan: Plan| Box::new(GpuEngine::new(&gpu, plan, false).unwrap()) as Box<dyn Engine>;
    every_step_resumes(&open, gpu.profile(), precision);
}

#[test]
fn a_state_of_another_network_or_precision_is_refused() {
    let stage = Stage::new();
    let open = |_: &Setup, plan: Plan| Box::new(CpuEngine::<f32>::new(plan)) as Box<dyn Engine>;
    let setup = Setup { training: true, ..Setup::inference(4) };
    let (_, archive) = stage.run(&open, &Profile::cpu(), &setup, (1, None));
    let make_engine = |plan: Plan| Ok(Box::new(CpuEngine::<f32>::new(plan)) as Box<dyn Engine>);
    let mut session = Session::new(&stage.network, &stage.dataset, &setup, &Profile::cpu(), make_engine).unwrap();
    let good = device_of(&archive.states[3]).to_vec();
    let before = session.device_state().unwrap();
    let mut short = good.clone();
    short[0].bytes.truncate(400);
    let mut more = good.clone();
    more.push(galaxy_gpu::train::DeviceTensor { name: "half_parameters".into(), ..good[0].clone() });
    for (tensors, part) in [(&good[1..], "parameters"), (&short[..], "parameters"), (&more[..], "tensors")] {
        let message = session.set_device_state(tensors).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
        assert!(session.device_state().unwrap() == before, "a refusal changes nothing");
    }
    session.set_device_state(&good).unwrap();
    assert!(session.device_state().unwrap() == good);
}

/// The results of a run folder, without the time that epochs took.
fn results(desk: &Desk, run: &str) -> (Vec<EpochRecord>, [Vec<u8>; 2]) {
    let history = History::read(&desk.path(&format!("{run}/history.csv"))).unwrap();
    let file = |name: &str| std::fs::read(desk.path(&format!("{run}/weights/{name}.safetensors"))).unwrap();
    (measured(&history), [file("best"), file("last")])
}

/// Trains with a checkpoint after each epoch, and leaves the run as it was after `epochs` of `of`: the checkpoint of that
/// moment beside the files of the end.
fn cut_off(desk: &Desk, settings: &str, epochs: u32) {
    desk.run(&format!("train {settings} --epochs {epochs} --out run"));
}

const SETTINGS: &str = "--images 40 --size 16 --batch 10 --model tiny.toml --seed 7 --device reference --learning-rate 0.003 \
                        --label-smoothing 0.1 --zoom -0.3 0.07";

#[test]
fn a_run_resumes_with_its_own_settings() {
    let desk = Desk::new();
    let hash = Desk::said(&desk.run(&format!("train {SETTINGS} --epochs 5 --out whole")), "weights  hash");
    cut_off(&desk, SETTINGS, 2);
    let text = desk.run("train --resume run --epochs 5 --steps-per-submit 3 --data-memory 0");
    assert_eq!(Desk::said(&text, "weights  hash"), hash);
    assert!(text.contains("resumed  in epoch 3, 0 images in, step 6\n"), "{text}");
    assert!(results(&desk, "run") == results(&desk, "whole"));
    // what has ended can be gone on with, too: nothing is left to do, or more than before
    let before = results(&desk, "run");
    desk.run("train --resume run");
    assert!(results(&desk, "run") == before);
    assert_eq!(desk.json("train --resume run --epochs 6 --json")["steps"], 18);
    let options = "--resume run --batch 10 --zoom -0.3 0.07 --learning-rate 0.003 --model tiny.toml --seed 7";
    desk.run(&format!("train {options} --epochs 7"));
}

#[test]
fn from_another_folder_and_without_the_model_file() {
    let desk = Desk::new();
    write_hdf5(&desk.path("sides.h5"), &sides(20)).unwrap();
    let settings = "--data sides.h5 --batch 4 --model tiny.toml --device reference";
    desk.run(&format!("train {settings} --epochs 3 --out whole"));
    cut_off(&desk, settings, 1);
    std::fs::remove_file(desk.path("tiny.toml")).unwrap();
    std::fs::create_dir(desk.path("below")).unwrap();
    let output = desk.program("train --resume ../run --epochs 3").current_dir(desk.path("below")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(results(&desk, "run") == results(&desk, "whole"));
}

#[test]
fn options_that_contradict_the_run_are_refused_by_name() {
    let desk = Desk::new();
    cut_off(&desk, SETTINGS, 2);
    std::fs::write(desk.path("other.toml"), crate::common::desk::TINY.replace("filters = 4", "filters = 5")).unwrap();
    write_hdf5(&desk.path("sides.h5"), &sides(40)).unwrap();
    std::fs::write(desk.path("split.csv"), "index,ans,split\n0,0,train\n").unwrap();
    let cases: [(&str, &[&str]); 12] = [
        ("--batch 5", &["--batch is 5", "10", "--resume"]),
        ("--learning-rate 0.01", &["--learning-rate is 0.01", "0.003"]),
        ("--seed 8", &["--seed is 8", "the run's own, 7"]),
        ("--augment off", &["--augment is off", "on"]),
        ("--zoom -0.3 0.08", &["--zoom is -0.3 0.08", "-0.3 0.07"]),
        ("--label-smoothing 0", &["--label-smoothing is 0"]),
        ("--images 50", &["--images is 50", "40"]),
        ("--use dense.forward=direct", &["--use is dense.forward=direct"]),
        ("--no-fuse", &["--no-fuse is true"]),
        ("--epochs 1", &["--epochs is 1", "at least 2"]),
        ("--model other.toml", &["--model is \"tiny\"", "same layers"]),
        ("--data sides.h5", &["sides.h5: it holds 40 images", "--data"]),
    ];
    for (option, parts) in cases {
        desk.refuses(&format!("train --resume run {option}"), parts);
    }
    desk.refuses("train --resume run --out other", &["--resume", "--out"]);
    desk.refuses("train --resume nowhere", &["nowhere: it holds no checkpoint", "--out"]);
    desk.refuses("train --resume tiny.toml", &["tiny.toml"]);
    desk.refuses(&format!("train {SETTINGS} --out run"), &["run: it already holds a run", "--resume", "--force"]);
    desk.refuses(&format!("{SMALL} --checkpoint-minutes 0"), &["--checkpoint-minutes is 0"]);
}

#[test]
fn a_damaged_checkpoint_falls_back_to_the_one_before() {
    let desk = Desk::new();
    desk.run(&format!("train {SETTINGS} --epochs 4 --out whole"));
    let files = ["current", "previous"].map(|name| desk.path(&format!("run/checkpoint/{name}.safetensors")));
    let [current, previous] = &files;
    let flip = |path: &Path, place: usize| {
        let mut bytes = std::fs::read(path).unwrap();
        let place = if place == 0 { bytes.len() / 2 } else { place };
        bytes[place] ^= 1;
        std::fs::write(path, bytes).unwrap();
    };
    // a flipped bit in the tensors, in the length of the header and in a setting; a short file; none
    for damage in 0..5 {
        desk.run(&format!("train {SETTINGS} --epochs 3 --out run --force --checkpoint-every 1"));
        assert!(previous.is_file());
        match damage {
            3 => std::fs::write(current, &std::fs::read(current).unwrap()[..1000]).unwrap(),
            4 => std::fs::remove_file(current).unwrap(),
            2 => {
                let bytes = std::fs::read(current).unwrap();
                flip(current, bytes.windows(13).position(|bytes| bytes == b"learning_rate").unwrap() + 20);
            }
            place => flip(current, place * 3),
        }
        let (text, notes) = desk.both("train --resume run --epochs 4 --checkpoint-every 1000");
        assert!(notes.contains("current.safetensors: it is"), "{damage}: {notes}");
        assert!(notes.contains("the checkpoint before it is used"), "{damage}: {notes}");
        assert!(text.contains("resumed  in epoch "), "{damage}: {text}");
        assert!(results(&desk, "run") == results(&desk, "whole"), "{damage}");
        // the damaged one has not taken the good one's place
        flip(current, 0);
        desk.run("train --resume run");
    }
    flip(current, 0);
    flip(previous, 0);
    desk.refuses("train --resume run", &["current.safetensors: it is damaged", "so is the checkpoint before it"]);
}

#[test]
fn foreign_and_newer_checkpoints_are_refused() {
    let desk = Desk::new();
    cut_off(&desk, SETTINGS, 2);
    let current = desk.path("run/checkpoint/current.safetensors");
    let good = std::fs::read(&current).unwrap();
    std::fs::copy(desk.path("run/weights/last.safetensors"), &current).unwrap();
    desk.refuses("train --resume run", &["current.safetensors: it is not a checkpoint of this program"]);
    let place = good.windows(12).position(|bytes| bytes == b"version\\\":3,").unwrap() + 10;
    let mut newer = good.clone();
    newer[place] = b'4';
    std::fs::write(&current, newer).unwrap();
    desk.refuses("train --resume run", &["version 4 of the layout, this program knows 3", "the program that wrote it"]);
    std::fs::write(&current, good).unwrap();
    let (checkpoint, note) = Checkpoint::load(&desk.path("run")).unwrap();
    assert!(note.is_none() && checkpoint.state.standing.steps == 6);
    // data of the same name, size and labels, but for one bit of a pixel
    let mut dataset = simulate::simulate(&simulate::Settings { images: 40, size: 16, seed: 1 }).unwrap();
    let split = Split::stratified(&dataset, 0.2, 7).unwrap();
    let model = checkpoint.identity.card.model.clone();
    checkpoint.identity.check(&model, &dataset, &split).unwrap();
    let other = Split::stratified(&dataset, 0.2, 8).unwrap();
    assert!(checkpoint.identity.check(&model, &dataset, &other).unwrap_err().to_string().contains("--split"));
    let mut pixels = dataset.pixels.to_vec();
    pixels[12345] ^= 1;
    dataset.pixels = galaxy_gpu::data::Pixels::Owned(pixels);
    assert!(checkpoint.identity.check(&model, &dataset, &split).unwrap_err().to_string().contains("--data"));
}

#[test]
fn a_history_that_is_ahead_is_cut_to_the_checkpoint() {
    let desk = Desk::new();
    desk.run(&format!("train {SETTINGS} --epochs 4 --out whole"));
    cut_off(&desk, SETTINGS, 2);
    let path = desk.path("run/history.csv");
    let mut text = std::fs::read_to_string(&path).unwrap();
    text += "3,0.5,0.5,0.5,0.5,1\n4,0.4,0.";
    std::fs::write(&path, text).unwrap();
    std::fs::write(desk.path("run/weights/.unfinishedAbCdEf"), "half").unwrap();
    let (_, notes) = desk.both("train --resume run --epochs 4");
    assert!(notes.contains("history.csv: epochs after the checkpoint dropped: 1, and half a line"), "{notes}");
    assert!(results(&desk, "run") == results(&desk, "whole"));
    assert!(!desk.path("run/weights/.unfinishedAbCdEf").exists());
}

/// Files may not grow beyond 20 KiB, which the weights do not need.
#[cfg(unix)]
#[test]
fn a_checkpoint_that_cannot_be_written_is_a_note() {
    let desk = Desk::new();
    let whole = desk.run(&format!("train {SETTINGS} --epochs 3 --out whole"));
    let line = format!("train {SETTINGS} --epochs 3 --out run");
    let (code, text, notes) = desk.ended_on_a_full_disk(40, &line);
    assert_eq!(code, 0, "{notes}");
    assert!(notes.contains("note: no checkpoint was written, the one before it stays: run/checkpoint/"), "{notes}");
    assert_eq!(Desk::said(&text, "weights  hash"), Desk::said(&whole, "weights  hash"));
    assert!(results(&desk, "run") == results(&desk, "whole"));
    assert_eq!(std::fs::read_dir(desk.path("run/checkpoint")).unwrap().count(), 0, "nothing half-written is left");
    // with a checkpoint there, it stays; nothing at all fits, and that is an error in the end
    cut_off(&desk, &format!("{SETTINGS} --force"), 1);
    let before = desk.files();
    let (code, _, notes) = desk.ended_on_a_full_disk(0, "train --resume run --epochs 2");
    assert_eq!(code, 2, "{notes}");
    assert!(notes.contains("history.csv"), "{notes}");
    assert!(desk.files() == before);
    desk.run("train --resume run --epochs 3");
    assert!(results(&desk, "run") == results(&desk, "whole"));
}

#[test]
fn a_vanished_folder_is_made_again() {
    let desk = Desk::new();
    let mut child = desk
        .program("train --images 400 --size 32 --model conv3 --batch 10 --epochs 2 --device reference --out run")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut reader = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    while !text.contains("training ") {
        assert!(std::io::BufRead::read_line(&mut reader, &mut text).unwrap() > 0, "{text}");
    }
    let second = "train --images 40 --size 16 --model tiny.toml --device reference --out run --force";
    let refused = desk.program(second).output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(2) && said.contains("run: another process is training into it"), "{said}");
    std::fs::remove_dir_all(desk.path("run")).unwrap();
    std::io::Read::read_to_string(&mut reader, &mut text).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(History::read(&desk.path("run/history.csv")).unwrap().epochs.len(), 2);
    assert!(Checkpoint::load(&desk.path("run")).unwrap().1.is_none());
}
