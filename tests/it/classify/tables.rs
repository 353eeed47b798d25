//! Parquet, FITS and VOTable: the same rows as CSV, and jobs that end early and go on to the same bytes.

#[cfg(unix)]
use super::resume::interrupt;
use super::resume::{MANY, grows, kill_at, length, many};
use super::{Desk, probabilities, rows};
use galaxy_gpu::data::tables::{Cell, Kind, TableReader, Wanted};
use std::process::Stdio;

const FORMATS: [(&str, Kind); 3] = [("parquet", Kind::Parquet), ("fits", Kind::Fits), ("vot", Kind::VoTable)];

/// The columns of a table of ten classes, named as tables of these formats name them.
fn columns(csv: &str) -> Vec<Wanted> {
    let names = csv.lines().next().unwrap().split(',');
    let safe = |name: &str| name.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    names.map(|name| Wanted { name: safe(name), ucd: None, needed: true }).collect()
}

/// A value as CSV has it.
fn text(cell: &Cell) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Text(text) => String::from_utf8(text.clone()).unwrap(),
        Cell::Whole(number) => number.to_string(),
        Cell::Single(number) => format!("{number:?}"),
        Cell::Double(number) => format!("{number:?}"),
    }
}

/// Holds a table to the CSV of the same job; FITS may have cut off reasons.
fn same(desk: &Desk, csv: &str, table: &str, kind: Kind) {
    let csv = desk.text(csv);
    let wanted = columns(&csv);
    let found: Vec<Vec<String>> = TableReader::open(&desk.path(table), kind, &wanted)
        .unwrap()
        .map(|row| row.unwrap().iter().map(text).collect())
        .collect();
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let rows: Vec<Vec<String>> = reader.records().map(|row| row.unwrap().iter().map(String::from).collect()).collect();
    assert_eq!(found.len(), rows.len(), "{table}");
    for (found, row) in found.iter().zip(&rows) {
        let last = row.len() - 1;
        assert_eq!(found[..last], row[..last], "{table}");
        let whole = if kind == Kind::Fits { &row[last][..row[last].len().min(160)] } else { &row[last] };
        assert_eq!(found[last], whole);
    }
}

fn catalogue(desk: &Desk) {
    desk.galaxies("in", 8);
    std::fs::write(desk.path("in/0003.png"), "broken").unwrap();
    let rows: String = (0..8).map(|n| format!("N{n},in/000{n}.png,{},{}\n", f64::from(n) / 3.0, -n)).collect();
    let odd = "\"a, <&> \"\"b\"\" 'c'\",in/0001.png,,\n,in/none%.png,,1e-300\n";
    std::fs::write(desk.path("cat.csv"), format!("id,path,ra,dec\n{rows}{odd}")).unwrap();
}

#[test]
fn every_format_says_what_csv_says() {
    let desk = Desk::new();
    catalogue(&desk);
    for options in ["", " --views 8 --batch 16 --min-confidence 0.2"] {
        let said = desk.classify(1, &format!("RUN0 cat.csv --force --out t.csv{options}"));
        for (ending, kind) in FORMATS {
            let table = format!("t.{ending}");
            let this = desk.classify(1, &format!("RUN0 cat.csv --force --out {table}{options}"));
            assert_eq!(this, said.replace("t.csv", &table));
            same(&desk, "t.csv", &table, kind);
            assert!(
                !desk.path(&format!("{table}.rows.csv")).exists() && desk.path(&format!("{table}.meta.json")).exists()
            );
        }
    }
    // the limit has told some apart
    let sure: Vec<bool> = rows(&desk.text("t.csv")).iter().map(|row| row["class"].is_empty()).collect();
    assert!(sure.iter().any(|&empty| empty));
    // no rows are a table as well
    std::fs::write(desk.path("none.csv"), "path\n").unwrap();
    desk.classify(0, "RUN0 none.csv --out none_out.csv");
    for (ending, kind) in FORMATS {
        desk.classify(0, &format!("RUN0 none.csv --out none.{ending}"));
        same(&desk, "none_out.csv", &format!("none.{ending}"), kind);
    }
}

#[test]
fn a_killed_job_continues_to_the_same_table() {
    let desk = Desk::new();
    let line = many(&desk);
    desk.ended(&format!("{line} whole.csv"));
    let lines = length(&desk, "whole.csv");
    for (ending, kind) in FORMATS {
        let (whole, table) = (format!("whole.{ending}"), format!("t.{ending}"));
        desk.ended(&format!("{line} {whole}"));
        same(&desk, "whole.csv", &whole, kind);
        let go_on = format!("{line} {table} --continue");
        let mut killed = 0;
        for part in 1..4 {
            killed += u32::from(kill_at(&desk, &go_on, &format!("{table}.rows.csv"), lines * part / 4));
            assert!(!desk.path(&table).exists(), "half a table");
        }
        assert!(killed >= 2, "{killed} kills came in time");
        let (code, said, _) = desk.ended(&go_on);
        assert!(code == 1 && said.starts_with("602 classified, 5 failed, "), "{said}");
        assert!(std::fs::read(desk.path(&table)).unwrap() == std::fs::read(desk.path(&whole)).unwrap(), "{table}");
        assert!(!desk.path(&format!("{table}.rows.csv")).exists());
    }
}

/// The rows of a finished table are lines again before the next job; it may be killed while they are taken over.
#[test]
fn failed_rows_are_tried_again_and_pictures_come_and_go() {
    let desk = Desk::new();
    desk.galaxies("good", MANY);
    let line = "classify --device reference --batch 8 RUN0 in --out";
    for (ending, kind) in FORMATS {
        desk.galaxies("in", MANY);
        let picture = |n: usize| format!("{n:04}.png");
        (0..MANY).step_by(2).for_each(|n| std::fs::write(desk.path("in").join(picture(n)), "broken").unwrap());
        let (table, rows) = (format!("t.{ending}"), format!("t.{ending}.rows.csv"));
        assert_eq!(desk.ended(&format!("{line} {table}")).1, format!("300 classified, 300 failed; see {table}\n"));
        let before = std::fs::read(desk.path(&table)).unwrap();
        (0..MANY)
            .step_by(2)
            .for_each(|n| drop(std::fs::copy(desk.path("good").join(picture(n)), desk.path("in").join(picture(n)))));
        std::fs::remove_file(desk.path("in/0007.png")).unwrap();
        desk.galaxy("in/0100 ü.png", 7);
        let go_on = format!("{line} {table} --continue");
        assert!(kill_at(&desk, &go_on, &format!("{rows}.part"), 9000), "the kill came too late");
        assert!(std::fs::read(desk.path(&table)).unwrap() == before, "the table is whole until its end");
        let (code, said, notes) = desk.ended(&go_on);
        assert!(code == 0 && said.contains(" of these rows kept; see "), "{said}{notes}");
        desk.ended(&format!("{line} whole.{ending}"));
        let [found, whole] = [&table, &format!("whole.{ending}")].map(|name| std::fs::read(desk.path(name)).unwrap());
        assert!(found == whole, "{table}");
        if kind != Kind::Fits {
            desk.ended(&format!("{line} whole.csv --force"));
            same(&desk, "whole.csv", &table, kind);
        }
        std::fs::remove_file(desk.path("in/0100 ü.png")).unwrap();
        assert!(!desk.path(&rows).exists() && !desk.path(&format!("{rows}.part")).exists());
    }
}

#[cfg(unix)]
#[test]
fn an_interrupt_leaves_a_table_of_the_rows_so_far() {
    let desk = Desk::new();
    desk.galaxies("in", 1);
    let catalogue = |rows: usize| {
        let rows: String = (0..rows).map(|n| format!("{n},in/0000.png\n")).collect();
        std::fs::write(desk.path("cat.csv"), format!("id,path\n{rows}")).unwrap();
    };
    // so many that the interrupt comes in time
    catalogue(50_000);
    let line = "classify --device reference --batch 8 RUN0 cat.csv --out";
    let mut child = desk.program(&format!("{line} t.fits")).stdout(Stdio::piped()).spawn().unwrap();
    assert!(grows(&mut child, &desk.path("t.fits.rows.csv"), 4000));
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.code() == Some(75) && said.starts_with("stopped: ") && said.contains("see t.fits\n"),
        "{said}"
    );
    let id = [Wanted { name: "id".into(), ucd: None, needed: true }];
    let stopped = TableReader::open(&desk.path("t.fits"), Kind::Fits, &id).unwrap();
    let stopped: Vec<String> = stopped.map(|row| text(&row.unwrap()[0])).collect();
    assert!(stopped.len() > 8 && stopped.len() < 50_000, "{}", stopped.len());
    assert!(stopped.iter().enumerate().all(|(number, id)| *id == number.to_string()));
    catalogue(stopped.len() + 20);
    assert_eq!(desk.ended(&format!("{line} t.fits --continue")).0, 0);
    assert_eq!(desk.ended(&format!("{line} whole.fits")).0, 0);
    assert!(std::fs::read(desk.path("t.fits")).unwrap() == std::fs::read(desk.path("whole.fits")).unwrap());
}

#[test]
fn tables_are_not_overwritten_and_damage_is_reported() {
    let desk = Desk::new();
    desk.galaxies("in", 3);
    desk.classify(0, "RUN0 in --out t.csv");
    for (ending, _) in FORMATS {
        let table = format!("t.{ending}");
        desk.classify(0, &format!("RUN0 in --out {table}"));
        let before = std::fs::read(desk.path(&table)).unwrap();
        desk.refuses_job(&format!("RUN0 in --out {table}"), &[&table, "exists already", "--continue", "--force"]);
        desk.refuses_job(&format!("RUN1 in --out {table} --continue"), &["its rows were made with other weights"]);
        assert!(std::fs::read(desk.path(&table)).unwrap() == before);
        // nothing to do is done without harm
        let said = desk.classify(0, &format!("RUN0 in --out {table} --continue"));
        assert_eq!(said, format!("3 classified, 0 failed, 3 of these rows kept; see {table}"));
        assert!(std::fs::read(desk.path(&table)).unwrap() == before);
        // killed after the table was there, and before its rows were removed; half a table is written over
        std::fs::copy(desk.path("t.csv"), desk.path(&format!("{table}.rows.csv"))).unwrap();
        std::fs::write(desk.path(&format!("{table}.unfinished")), "half").unwrap();
        assert_eq!(desk.classify(0, &format!("RUN0 in --out {table} --continue")), said);
        assert!(std::fs::read(desk.path(&table)).unwrap() == before);
        assert!(!desk.path(&format!("{table}.unfinished")).exists());
        std::fs::write(desk.path(&table), &before[..before.len() / 3]).unwrap();
        desk.refuses_job(&format!("RUN0 in --out {table} --continue"), &[&table, "cannot be gone on with", "--force"]);
        let left = |name: &str| desk.path(&format!("{table}{name}")).exists();
        assert!(!left(".rows.csv") && !left(".rows.csv.unfinished") && !left(".unfinished"));
        // rows of a job that was killed are not overwritten either
        std::fs::remove_file(desk.path(&table)).unwrap();
        std::fs::write(desk.path(&format!("{table}.rows.csv")), "").unwrap();
        desk.refuses_job(&format!("RUN0 in --out {table}"), &[".rows.csv: exists already", "--continue"]);
        desk.classify(0, &format!("RUN0 in --out {table} --force"));
        assert!(std::fs::read(desk.path(&table)).unwrap() == before);
    }
}

/// The rows stay, and become the table later.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_keeps_the_rows() {
    let desk = Desk::new();
    desk.galaxies("in", 40);
    desk.classify(0, "RUN0 in --out whole.vot");
    // the lines are shorter than the XML: 16 blocks are between them
    let (code, _, said) = desk.ended_on_a_full_disk(16, "classify --device reference RUN0 in --out t.vot");
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("t.vot: cannot be written") && said.contains("40 rows are in t.vot.rows.csv"), "{said}");
    assert!(!desk.path("t.vot").exists() && !desk.path("t.vot.unfinished").exists());
    let said = desk.classify(0, "RUN0 in --out t.vot --continue");
    assert_eq!(said, "40 classified, 0 failed, 40 of these rows kept; see t.vot");
    assert_eq!(desk.text("t.vot"), desk.text("whole.vot"));
}

#[test]
fn probabilities_are_those_of_csv_to_the_bit() {
    let desk = Desk::new();
    desk.galaxies("in", 5);
    desk.classify(0, "RUN0 in --out t.csv");
    let csv = desk.text("t.csv");
    let wanted: Vec<Wanted> = columns(&csv).into_iter().filter(|column| column.name.starts_with("p_")).collect();
    for (ending, kind) in FORMATS {
        desk.classify(0, &format!("RUN0 in --out t.{ending}"));
        let table = TableReader::open(&desk.path(&format!("t.{ending}")), kind, &wanted).unwrap();
        for (cells, row) in table.zip(rows(&csv)) {
            let wanted: Vec<Cell> = probabilities(&row).into_iter().map(Cell::Single).collect();
            assert_eq!(cells.unwrap(), wanted, "{ending}");
        }
    }
}

/// The folder of a catalogue is part of its rows' reasons, and may be called anything; a row is one line all the same.
#[cfg(unix)]
#[test]
fn reasons_of_several_lines_do_not_break_a_table() {
    let desk = Desk::new();
    std::fs::create_dir(desk.path("two\nlines")).unwrap();
    std::fs::write(desk.path("two\nlines/cat.csv"), "path\nno.png\n").unwrap();
    for (ending, _) in FORMATS {
        for option in ["--force", "--continue"] {
            let mut job = desk.program(&format!("classify --device reference RUN0 --out t.{ending} {option}"));
            let done = job.arg("two\nlines/cat.csv").output().unwrap();
            assert_eq!(done.status.code(), Some(1), "{}", String::from_utf8_lossy(&done.stderr));
            assert!(String::from_utf8_lossy(&done.stdout).starts_with("0 classified, 1 failed"));
        }
        assert!(desk.path(&format!("t.{ending}")).exists() && !desk.path(&format!("t.{ending}.rows.csv")).exists());
    }
}
