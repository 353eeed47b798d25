//! The job itself, with devices that fail as none here would.

use super::{BYTES, Desk, SIDE, made, rows};
use galaxy_gpu::catalogue::{Columns, Mode, Monitor, Scorer, Summary, TableFile, Task, run};
use galaxy_gpu::data::{GALAXY10_CLASSES, Items, LoadOptions};
use galaxy_gpu::train::find_weights;
use galaxy_gpu::{Error, Result};
use std::path::PathBuf;

/// Gives every image the same scores, some of them not numbers, and is lost after some submissions.
struct Broken {
    submissions: usize,
    lost_after: usize,
    queued: usize,
}

impl Scorer for Broken {
    fn capacity(&self) -> usize {
        4
    }

    fn next(&mut self, images: &[&[u8]]) -> Result<Vec<f32>> {
        assert!(images.len() <= 4 && images.iter().all(|image| image.len() == BYTES));
        let scores = self.finish()?;
        self.submissions += 1;
        self.queued = images.len();
        Ok(scores)
    }

    fn finish(&mut self) -> Result<Vec<f32>> {
        if self.submissions > self.lost_after {
            return Err(Error::device("the device is lost", "check the driver"));
        }
        // the third of each submission
        let score = |number: usize| if number / 10 % 4 == 2 { f32::NAN } else { 0.1 };
        Ok((0..10 * std::mem::take(&mut self.queued)).map(score).collect())
    }
}

struct Silent;

impl Monitor for Silent {
    fn progress(&mut self, _: &Summary, _: Option<u64>) {}

    fn note(&mut self, note: String) {
        panic!("{note}");
    }

    fn stop(&self) -> bool {
        false
    }
}

fn job(desk: &Desk, mode: Mode, lost_after: usize) -> Result<Summary> {
    let columns = Columns { classes: GALAXY10_CLASSES.map(String::from).to_vec(), min_confidence: 0.0 };
    let mut items = Items::new(&[desk.path("in")], LoadOptions::default());
    // a child that another test starts holds every lock of this process until it has become another program
    let (mut table, earlier) = loop {
        match TableFile::open(&desk.path("t.csv"), mode, &made(), &columns, &mut items) {
            Err(error) if error.to_string().contains("another process is writing it") => std::thread::yield_now(),
            opened => break opened?,
        }
    };
    let task = Task { items, size: (SIDE, SIDE), views: 1, columns };
    let mut scorer = Broken { submissions: 0, lost_after, queued: 0 };
    run(&mut scorer, (&mut table, earlier), task, &mut Silent)
}

#[test]
fn a_lost_device_keeps_earlier_rows_and_scores_that_are_not_numbers_fail() {
    let desk = Desk::new();
    desk.galaxies("in", 18);
    let error = job(&desk, Mode::New, 3).unwrap_err();
    assert!(matches!(error, Error::Device { .. }) && error.exit_code() == 1, "{error}");
    let before = desk.text("t.csv");
    assert_eq!(rows(&before).len(), 12);
    assert!(before.ends_with('\n'));
    // nine items are made again, in lots of four
    let summary = job(&desk, Mode::Continue, 100).unwrap();
    assert_eq!(summary, Summary { classified: 16, failed: 2, kept: 9, ..Summary::default() });
    let table = rows(&desk.text("t.csv"));
    assert_eq!(table.len(), 18);
    assert!(table.iter().all(|row| row["status"] == "ok" || row["status"].contains("not finite numbers")));
}

/// Every command that answers refuses an answer that is none.
#[test]
fn a_network_whose_numbers_overflow_has_no_answer() {
    let desk = Desk::new();
    desk.galaxies("in", 2);
    let run = desk.program("RUN0").get_args().next().map(PathBuf::from).unwrap();
    let mut weights = find_weights(&run, false).unwrap();
    weights.tensors.iter_mut().flatten().for_each(|weight| *weight = 1e38);
    weights.save(&desk.path("nan.safetensors")).unwrap();
    for command in [
        "predict nan.safetensors in/0000.png",
        "inspect nan.safetensors in/0000.png",
        "evaluate nan.safetensors --images 20 --size 16",
    ] {
        let (code, said, error) = desk.ended(&format!("{command} --device reference"));
        assert_eq!((code, &said[..]), (1, ""), "{command}: {error}");
        assert!(error.contains("its scores are not finite numbers"), "{command}: {error}");
    }
    assert_eq!(desk.ended("classify nan.safetensors in --device reference --out t.csv").0, 1);
    assert!(
        rows(&desk.text("t.csv")).iter().all(|row| row["class"].is_empty() && row["status"].contains("not finite"))
    );
}
