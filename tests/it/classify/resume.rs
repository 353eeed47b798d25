//! Jobs that end early and go on: the rows are those of a job that was never disturbed, to the byte.

use super::{Desk, dataset, rows};
use galaxy_gpu::data::write_hdf5;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Waits until a file is longer than `length`, or the program has ended; whether it is.
pub(super) fn grows(child: &mut Child, path: &Path, length: u64) -> bool {
    let started = Instant::now();
    loop {
        if std::fs::metadata(path).is_ok_and(|about| about.len() > length) {
            return true;
        }
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        assert!(started.elapsed() < Duration::from_secs(120), "nothing happens");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Starts a job and kills it as soon as `name` is longer than `length`.
pub(super) fn kill_at(desk: &Desk, line: &str, name: &str, length: u64) -> bool {
    let mut child = desk.program(line).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let grown = grows(&mut child, &desk.path(name), length);
    let _ = child.kill();
    child.wait().unwrap();
    grown
}

/// What Ctrl-C does.
#[cfg(unix)]
pub(super) fn interrupt(child: &Child) {
    // at once: a shell's `kill` may come after the job's end
    let child = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(child, rustix::process::Signal::INT).unwrap();
}

pub(super) fn length(desk: &Desk, name: &str) -> u64 {
    std::fs::metadata(desk.path(name)).map_or(0, |about| about.len())
}

pub(super) const MANY: usize = 600;

/// A catalogue, a folder with bad pictures and an HDF5 file.
pub(super) fn many(desk: &Desk) -> &'static str {
    desk.galaxies("in", MANY);
    for number in [0, 7, 99, MANY - 1] {
        std::fs::write(desk.path(&format!("in/{number:04}.png")), "broken").unwrap();
    }
    std::fs::write(desk.path("cat.csv"), "id,path,ra\nx,in/0001.png,1.25\ny,in/none.png,\n").unwrap();
    write_hdf5(&desk.path("five.h5"), &dataset(5)).unwrap();
    "classify --device reference --batch 8 RUN0 cat.csv in five.h5 --out"
}

#[test]
fn a_killed_job_continues_to_the_same_bytes() {
    let desk = Desk::new();
    let line = many(&desk);
    let (code, said, _) = desk.ended(&format!("{line} whole.csv"));
    assert_eq!((code, said.trim_end()), (1, "602 classified, 5 failed; see whole.csv"));
    let whole = desk.text("whole.csv");

    let go_on = format!("{line} t.csv --continue");
    let mut killed = 0;
    for part in 1..6 {
        // once nothing is left of the earlier rows, the table itself grows
        let goal = whole.len() as u64 * part / 6;
        killed += u32::from(kill_at(&desk, &go_on, "t.csv", goal));
        assert!(length(&desk, "t.csv") <= whole.len() as u64);
    }
    assert!(killed >= 3, "{killed} kills came in time");
    let (code, said, _) = desk.ended(&go_on);
    assert!(code == 1 && said.starts_with("602 classified, 5 failed, "), "{said}");
    assert_eq!(desk.text("t.csv"), whole);
    assert!(!desk.path("t.csv.part").exists());
}

/// The second try fills gaps, and it may be killed as well: before, while and after rows are taken over.
#[test]
fn failed_rows_are_tried_again_in_their_places() {
    let desk = Desk::new();
    desk.galaxies("good", MANY);
    let line = "classify --device reference --batch 8 RUN0 in --out";
    for ending in ["csv", "jsonl"] {
        // each job finds half of the pictures
        desk.galaxies("in", MANY);
        let pictures = |every: usize| (0..MANY).filter(move |n| n % every == 0).map(|n| format!("{n:04}.png"));
        let table = format!("t.{ending}");
        assert_eq!(desk.ended(&format!("{line} whole.{ending}")).0, 0);
        pictures(2).for_each(|name| std::fs::write(desk.path(&format!("in/{name}")), "broken").unwrap());
        assert_eq!(desk.ended(&format!("{line} {table}")).1, format!("300 classified, 300 failed; see {table}\n"));
        let before = desk.text(&table);
        for name in pictures(1) {
            std::fs::copy(desk.path(&format!("good/{name}")), desk.path(&format!("in/{name}"))).unwrap();
        }
        let (go_on, part) = (format!("{line} {table} --continue"), format!("{table}.part"));
        let mut killed = 0;
        for goal in [0, 1, 2, 3] {
            let goal = length(&desk, &part).max(desk.text(&format!("whole.{ending}")).len() as u64 * goal / 5);
            killed += u32::from(kill_at(&desk, &go_on, &part, goal));
            assert!(!desk.path(&part).exists() || desk.text(&table) == before, "the table is whole until its end");
        }
        assert!(killed >= 2, "{killed} kills came in time");
        let (code, said, notes) = desk.ended(&go_on);
        assert_eq!(code, 0, "{said}{notes}");
        assert_eq!(desk.text(&table), desk.text(&format!("whole.{ending}")));
    }
}

#[test]
fn torn_and_damaged_lines_are_made_again() {
    let desk = Desk::new();
    desk.galaxies("in", 12);
    desk.classify(0, "RUN0 in --out t.csv");
    let whole = desk.text("t.csv");
    let lines: Vec<&str> = whole.lines().collect();
    let head = lines[0].len() + 1;
    for length in [0, 3, head - 1, head, head + 1, whole.len() / 2, whole.len() - 1] {
        std::fs::write(desk.path("t.csv"), &whole[..length]).unwrap();
        desk.classify(0, "RUN0 in --out t.csv --continue");
        assert_eq!(desk.text("t.csv"), whole, "cut at {length}");
    }
    let mut damaged = lines.clone();
    (damaged[3], damaged[5], damaged[7]) = ("\0\0\0\0", "in/0004.png", "\"");
    std::fs::write(desk.path("t.csv"), damaged.join("\n") + "\n").unwrap();
    let said = desk.classify(0, "RUN0 in --out t.csv --continue");
    assert_eq!(said, "12 classified, 0 failed, 9 of these rows kept; see t.csv");
    assert_eq!(desk.text("t.csv"), whole);
    // a successor that does not begin as this job does is cut off where it differs
    std::fs::write(desk.path("t.csv.part"), [lines[0], lines[1], lines[4], "x"].join("\n")).unwrap();
    desk.classify(0, "RUN0 in --out t.csv --continue");
    assert_eq!(desk.text("t.csv"), whole);
}

#[test]
fn pictures_may_come_and_go_between_jobs() {
    let desk = Desk::new();
    desk.galaxies("in", 10);
    desk.classify(0, "RUN0 in --out t.csv");
    for gone in [0, 4, 9] {
        std::fs::remove_file(desk.path(&format!("in/{gone:04}.png"))).unwrap();
    }
    for (new, number) in [("in/0004a.png", 20), ("in/a.png", 21), ("in/b.png", 22)] {
        desk.galaxy(new, number);
    }
    let said = desk.classify(0, "RUN0 in --out t.csv --continue");
    assert_eq!(said, "10 classified, 0 failed, 7 of these rows kept; see t.csv");
    desk.classify(0, "RUN0 in --out whole.csv");
    assert_eq!(desk.text("t.csv"), desk.text("whole.csv"));
    // other settings of the columns are no other rows
    desk.classify(0, "RUN0 in --out t.csv --continue --min-confidence 1");
    assert!(rows(&desk.text("t.csv")).iter().all(|row| row["class"].is_empty() && row["status"] == "ok"));
}

#[cfg(unix)]
#[test]
fn the_first_interrupt_leaves_whole_rows_and_says_how_to_continue() {
    let desk = Desk::new();
    let line = many(&desk);
    desk.ended(&format!("{line} whole.csv"));
    let mut command = desk.program(&format!("{line} t.csv"));
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    assert!(grows(&mut child, &desk.path("t.csv"), 4000));
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(75), "{said}");
    assert!(
        said.starts_with("stopped: ")
            && said.contains("continue with: galaxy-gpu classify ")
            && said.ends_with(" t.csv --continue\n"),
        "{said}"
    );
    let (stopped, whole) = (desk.text("t.csv"), desk.text("whole.csv"));
    assert!(stopped.len() < whole.len() && stopped.ends_with('\n') && whole.starts_with(&stopped));
    assert_eq!(desk.ended(&format!("{line} t.csv --continue")).0, 1);
    assert_eq!(desk.text("t.csv"), whole);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_whole_rows() {
    let desk = Desk::new();
    let line = many(&desk);
    desk.ended(&format!("{line} whole.csv"));
    let (code, _, said) = desk.ended_on_a_full_disk(64, &format!("{line} t.csv"));
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("t.csv: cannot be written") && said.contains("rows are in t.csv"), "{said}");
    let (stopped, whole) = (desk.text("t.csv"), desk.text("whole.csv"));
    assert!(stopped.len() > 10_000 && stopped.ends_with('\n') && whole.starts_with(&stopped), "{}", stopped.len());
    assert_eq!(desk.ended(&format!("{line} t.csv --continue")).0, 1);
    assert_eq!(desk.text("t.csv"), whole);
}
