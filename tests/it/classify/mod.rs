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

pub(crate) use crate::common::desk::Desk;
use galaxy_gpu::catalogue::Provenance;
use galaxy_gpu::data::{Dataset, Pixels, Sky};
use std::path::Path;

/// Side of the images.
pub(crate) const SIDE: usize = 16;
/// Bytes of one.
pub(crate) const BYTES: usize = SIDE * SIDE * 3;

impl Desk {
    /// Runs `classify` on the twins with this exit code, and returns its last line.
    pub fn classify(&self, code: i32, line: &str) -> String {
        let (found, out, err) = self.ended(&format!("classify --device reference {line}"));
        assert_eq!(found, code, "{line}: {out}{err}");
        out.trim_end().to_owned()
    }

    /// A job is refused in one sentence that has these parts.
    pub fn refuses_job(&self, line: &str, parts: &[&str]) {
        self.refuses(&format!("classify --device reference {line}"), parts);
    }

    /// Saves image `number` of [`pixels`] as a PNG.
    pub fn galaxy(&self, name: &str, number: usize) {
        save(&self.path(name), pixels(number));
    }

    /// Pictures `folder/0000.png`, `folder/0001.png`, ...
    pub fn galaxies(&self, folder: &str, count: usize) {
        (0..count).for_each(|number| self.galaxy(&format!("{folder}/{number:04}.png"), number));
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
        given: None,
        notes: Vec::new(),
    }
}

/// What rows of no network were made with.
pub(crate) fn made() -> Provenance {
    Provenance {
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
