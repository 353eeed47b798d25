//! `classify` as a user meets it: what becomes of good and bad items, of options, of jobs that end early and go on, and how it
//! refuses.

mod catalogues;
mod inputs;
mod job;
mod options;
mod refusals;
mod resume;
mod scale;
mod tables;

use assert_cmd::Command;
use galaxy_gpu::catalogue::Made;
use galaxy_gpu::data::{Dataset, Pixels, Sky};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tempfile::TempDir;

/// A network that trains in a moment, with every kind of layer that has weights.
const TINY: &str = "name = 'tiny'
layer = [
    { type = 'conv2d', filters = 4 },
    { type = 'relu' },
    { type = 'max_pool2d' },
    { type = 'flatten' },
    { type = 'dense' },
]
";

/// Side of the images.
pub(crate) const SIDE: usize = 16;
/// Bytes of one.
pub(crate) const BYTES: usize = SIDE * SIDE * 3;

/// A folder to work in, with the cache inside.
pub(crate) struct Desk {
    folder: TempDir,
}

/// Run folders of two trained networks, made once: seeds 0 and 1.
fn runs() -> &'static Path {
    static RUNS: OnceLock<TempDir> = OnceLock::new();
    let train = || {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tiny.toml"), TINY).unwrap();
        for seed in [0, 1] {
            let line = format!(
                "train --device cpu --model tiny.toml --size 16 --images 60 --epochs 2 --batch 17 --learning-rate 0.01 \
                 --seed {seed} --out run{seed}"
            );
            let mut command = Command::new(assert_cmd::cargo::cargo_bin!("galaxy-gpu"));
            command.current_dir(folder.path()).args(line.split_whitespace()).assert().success();
        }
        folder
    };
    RUNS.get_or_init(train).path()
}

impl Desk {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program, to be run here; RUN0 and RUN1 stand for the trained networks.
    pub fn program(&self, line: &str) -> std::process::Command {
        let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("galaxy-gpu"));
        let words = line.split_whitespace().map(|word| match word {
            "RUN0" => runs().join("run0").display().to_string(),
            "RUN1" => runs().join("run1").display().to_string(),
            _ => word.to_owned(),
        });
        command.current_dir(self.folder.path()).args(words);
        command.env("XDG_CACHE_HOME", self.path(".cache")).env("XDG_RUNTIME_DIR", self.folder.path());
        // tables that carry a date are the same to the byte
        command.env("SOURCE_DATE_EPOCH", "86400");
        command
    }

    /// Exit code, standard output and standard error.
    pub fn run(&self, line: &str) -> (i32, String, String) {
        let output = self.program(line).output().unwrap();
        let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        assert!(!err.contains("panicked"), "{line}: {err}");
        (output.status.code().unwrap(), out, err)
    }

    /// Runs `classify` on the twins with this exit code, and returns its last line.
    pub fn classify(&self, code: i32, line: &str) -> String {
        let (found, out, err) = self.run(&format!("classify --device cpu {line}"));
        assert_eq!(found, code, "{line}: {out}{err}");
        out.trim_end().to_owned()
    }

    /// A command is refused with code 2 and one sentence that has these parts, and leaves no table.
    pub fn refuses(&self, line: &str, parts: &[&str]) {
        let (code, out, err) = self.run(&format!("classify --device cpu {line}"));
        assert_eq!((code, &out[..]), (2, ""), "{line}: {err}");
        for part in parts {
            assert!(err.contains(part), "{line}: {part:?} is not in: {err}");
        }
    }

    pub fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Saves image `number` of [`pixels`] as a PNG.
    pub fn picture(&self, name: &str, number: usize) {
        save(&self.path(name), pixels(number));
    }

    /// Pictures `folder/0000.png`, `folder/0001.png`, ...
    pub fn pictures(&self, folder: &str, count: usize) {
        (0..count).for_each(|number| self.picture(&format!("{folder}/{number:04}.png"), number));
    }
}

pub(crate) fn save(path: &Path, pixels: Vec<u8>) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    image::RgbImage::from_raw(SIDE as u32, SIDE as u32, pixels).unwrap().save(path).unwrap();
}

/// Pixels of image `number`: noise, brighter on one side.
pub(crate) fn pixels(number: usize) -> Vec<u8> {
    let mut noise = vec![0; BYTES];
    blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(&mut noise);
    let bright = |place: usize| if place / 3 % SIDE >= number % SIDE { 150 } else { 10 };
    noise.iter().enumerate().map(|(place, noise)| noise / 4 + bright(place)).collect()
}

/// Images 0 to `count` of [`pixels`] as a data set of two classes; the position of every fourth is unknown.
pub(crate) fn dataset(count: usize) -> Dataset {
    let position = |number: usize| match number % 4 {
        3 => Sky { ra: f64::NAN, dec: f64::NAN },
        _ => Sky { ra: number as f64 / 3.0, dec: -0.25 * number as f64 },
    };
    Dataset {
        name: "made up".into(),
        height: SIDE,
        width: SIDE,
        pixels: Pixels::Owned((0..count).flat_map(pixels).collect()),
        labels: (0..count as u32).map(|number| number % 2).collect(),
        classes: ["a", "b"].map(String::from).to_vec(),
        sky: Some((0..count).map(position).collect()),
        notes: Vec::new(),
    }
}

/// What rows of no network were made with.
pub(crate) fn made() -> Made {
    Made {
        program: "0".into(),
        weights_hash: "0".into(),
        data: "none".into(),
        fits: "none".into(),
        network: serde_json::Value::Null,
        precision: "f32".into(),
        views: 1,
        batch: 4,
        device: "none".into(),
    }
}

/// A row of a CSV table by the names of its columns.
pub(crate) type Row = std::collections::HashMap<String, String>;

/// The rows of a CSV table.
pub(crate) fn rows(text: &str) -> Vec<Row> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.deserialize().map(|row| row.unwrap()).collect()
}

/// The probabilities of a row, in the order of the columns of Galaxy10.
pub(crate) fn probabilities(row: &Row) -> Vec<f32> {
    let classes = galaxy_gpu::data::GALAXY10_CLASSES;
    classes.iter().map(|class| row[&format!("p_{class}")].parse().unwrap()).collect()
}
