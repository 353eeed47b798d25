//! Training, evaluation and prediction as a user meets them: what they print, what they leave in a run folder, and
//! how they refuse.

mod compare;
mod config;
#[cfg(target_os = "linux")]
mod disk;
mod faults;
#[cfg(unix)]
mod interrupt;
mod learning;
mod micro;
mod optimizer;
mod rates;
mod refusals;
mod repeat;
mod resume;
mod runs;
mod science;
mod streams;

use assert_cmd::Command;
use galaxy_gpu::data::{Dataset, Pixels};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A network that trains in a moment; dropout makes its result depend on every seed there is.
pub(crate) const TINY: &str = "name = 'tiny'
layer = [
    { type = 'conv2d', filters = 4 },
    { type = 'relu' },
    { type = 'max_pool2d' },
    { type = 'dropout', rate = 0.2 },
    { type = 'flatten' },
    { type = 'dense' },
]
";

/// Training of that network on a few simulated galaxies: 30 to train with, 10 to test, of 10 classes.
pub(crate) const SMALL: &str = "train --images 40 --size 16 --batch 10 --model tiny.toml";

/// The classes of [`sides`].
pub(crate) const CLASSES: [&str; 2] = ["edge", "round"];

/// A folder to work in, apart from which nothing is written.
pub(crate) struct Desk {
    folder: TempDir,
    /// Cache, and the sockets that drivers ask for.
    elsewhere: TempDir,
}

impl Desk {
    /// An empty one, apart from `tiny.toml`.
    pub fn new() -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap(), elsewhere: tempfile::tempdir().unwrap() };
        std::fs::write(desk.path("tiny.toml"), TINY).unwrap();
        desk
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program, to be run here with these arguments.
    pub fn program(&self, line: &str) -> std::process::Command {
        let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("galaxy-gpu"));
        command.current_dir(self.folder.path()).args(line.split_whitespace());
        command.env("XDG_CACHE_HOME", self.elsewhere.path()).env("XDG_RUNTIME_DIR", self.elsewhere.path());
        // a child that another test starts while this process writes an HDF5 file inherits it open, and with it its lock
        command.env("HDF5_USE_FILE_LOCKING", "FALSE");
        command
    }

    /// Standard output and standard error of a command that succeeds.
    pub fn both(&self, line: &str) -> (String, String) {
        let assert = Command::from_std(self.program(line)).assert().success();
        let output = assert.get_output();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (text(&output.stdout), text(&output.stderr))
    }

    /// Standard output of a command that succeeds.
    pub fn run(&self, line: &str) -> String {
        self.both(line).0
    }

    /// The one JSON object that a command prints.
    pub fn json(&self, line: &str) -> Value {
        let value: Value = serde_json::from_str(&self.run(line)).unwrap();
        assert!(value.is_object(), "{line}: not an object");
        value
    }

    /// A command fails with exit code 2, prints nothing, says `parts` in its one error and changes no file.
    pub fn refuses(&self, line: &str, parts: &[&str]) {
        let before = self.files();
        let assert = Command::from_std(self.program(line)).assert().code(2).stdout("");
        let said = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
        let errors = said.lines().filter(|line| line.starts_with("error: ") && !line.contains("XDG_RUNTIME_DIR"));
        let error = errors.collect::<Vec<_>>().join("\n");
        assert!(!error.is_empty() && !error.contains('\n'), "{line}: {said}");
        assert!(!said.contains("panicked"), "{line}: {said}");
        for part in parts {
            assert!(error.contains(part), "{line}: {part:?} is not in: {said}");
        }
        assert!(before == self.files(), "{line} changed something");
    }

    /// Content of every file, by path; folders have none.
    pub fn files(&self) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        fn visit(folder: &Path, found: &mut BTreeMap<PathBuf, Option<Vec<u8>>>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let content = path.is_file().then(|| std::fs::read(&path).unwrap());
                if content.is_none() {
                    visit(&path, found);
                }
                found.insert(path, content);
            }
        }
        let mut found = BTreeMap::new();
        visit(self.folder.path(), &mut found);
        found
    }

    /// Makes `data/edge` and `data/round` with the pictures of [`sides`].
    pub fn pictures(&self, count: usize) {
        let dataset = sides(count);
        for (index, &label) in dataset.labels.iter().enumerate() {
            let folder = self.path("data").join(CLASSES[label as usize]);
            std::fs::create_dir_all(&folder).unwrap();
            let picture = image::RgbImage::from_raw(16, 16, dataset.image(index).to_vec()).unwrap();
            picture.save(folder.join(format!("{index:03}.png"))).unwrap();
        }
    }

    /// Value of the line of a text that begins with `label`, such as `weights  hash`.
    pub fn said(text: &str, label: &str) -> String {
        let line = text.lines().find_map(|line| line.strip_prefix(label));
        line.unwrap_or_else(|| panic!("no {label:?} in {text}")).trim().to_owned()
    }
}

/// Images of 16x16 noisy pixels, bright on the left (class 0) or on the right (class 1) in turn: easy to tell apart.
pub(crate) fn sides(count: usize) -> Dataset {
    let mut noise = vec![0; count * 16 * 16 * 3];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    let bright = |place: usize| usize::from(place / 3 % 16 >= 8) == place / (16 * 16 * 3) % 2;
    let pixel = |(place, noise): (usize, &u8)| noise / 4 + if bright(place) { 160 } else { 20 };
    Dataset {
        name: "sides".into(),
        height: 16,
        width: 16,
        pixels: Pixels::Owned(noise.iter().enumerate().map(pixel).collect()),
        labels: (0..count as u32).map(|index| index % 2).collect(),
        classes: CLASSES.map(String::from).to_vec(),
        sky: None,
        notes: Vec::new(),
    }
}

/// A PNG that can be decoded and is not blank.
pub(crate) fn drawing(path: &Path) -> image::RgbImage {
    assert_eq!(image::ImageReader::open(path).unwrap().format(), Some(image::ImageFormat::Png));
    let picture = image::open(path).unwrap().to_rgb8();
    assert!(picture.pixels().any(|pixel| pixel != picture.get_pixel(0, 0)), "{} is blank", path.display());
    picture
}

/// Two numbers differ by at most `tolerance`.
pub(crate) fn assert_close(a: &Value, b: &Value, tolerance: f64) {
    let (left, right) = (a.as_f64().unwrap(), b.as_f64().unwrap());
    assert!((left - right).abs() <= tolerance, "{left} and {right} are further apart than {tolerance}");
}
