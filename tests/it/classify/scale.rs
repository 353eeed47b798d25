//! More rows than a row group holds. `GALAXY_GPU_ROWS=10000000` makes it a measurement: it prints how long each format takes,
//! and the most memory the process has held.

use super::{Desk, made};
use galaxy_gpu::catalogue::{Columns, Mode, Row, TableFile};
use galaxy_gpu::data::tables::{Cell, Kind, TableReader, Wanted};
use galaxy_gpu::data::{GALAXY10_CLASSES, ItemInfo, Items, LoadOptions};
use std::time::Instant;

fn row(number: u64) -> Row {
    // as hard to compress as probabilities are
    let part = |class: u64| ((number * 10 + class).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f32 / 167_772_160.0;
    let about = ItemInfo {
        id: format!("J{number:09}"),
        path: format!("cutouts/{:03}/{number:09}.jpg", number % 1000),
        index: None,
        ra: Some(number as f64 * 0.618_033_988_7 % 360.0),
        dec: Some(number as f64 * 0.381_966_011_3 % 180.0 - 90.0),
    };
    let outcome = match number % 1000 {
        999 => Err(format!("{}: is not a picture that can be decoded; replace or remove it", about.path)),
        _ => Ok((0..10).map(part).collect()),
    };
    Row { about, outcome }
}

/// The most memory this process has held, in MiB; 0 where that is not known.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}

#[test]
fn tables_of_many_rows() {
    let desk = Desk::new();
    let rows: u64 = std::env::var("GALAXY_GPU_ROWS").ok().map_or(140_000, |rows| rows.parse().unwrap());
    let columns = Columns { classes: GALAXY10_CLASSES.map(String::from).to_vec(), min_confidence: 0.0 };
    let made = made();
    for (name, kind) in [("t.parquet", Kind::Parquet), ("t.fits", Kind::Fits), ("t.vot", Kind::VoTable)] {
        let path = desk.path(name);
        let mut items = Items::new(&[], LoadOptions::default());
        let (mut table, _) = TableFile::open(&path, Mode::New, &made, &columns, &mut items).unwrap();
        for first in (0..rows).step_by(4096) {
            table.write(&(first..rows.min(first + 4096)).map(row).collect::<Vec<_>>()).unwrap();
        }
        let started = Instant::now();
        assert_eq!(table.finish(&columns, &made).unwrap(), path);
        let (written, started) = (started.elapsed(), Instant::now());
        let wanted = ["id", "ra", "p_Merging_Galaxies", "p_Merging_Galaxy", "status"];
        let wanted = wanted.map(|name| Wanted { name: name.into(), ucd: None, needed: name == "id" });
        let mut count = 0;
        for (number, cells) in TableReader::open(&path, kind, &wanted).unwrap().enumerate() {
            let (cells, row) = (cells.unwrap(), row(number as u64));
            assert_eq!(cells[0], Cell::Text(row.about.id.into()));
            assert_eq!(cells[1], Cell::Double(row.about.ra.unwrap()));
            assert_eq!(cells[4] == Cell::Text(b"ok".to_vec()), row.outcome.is_ok());
            count += 1;
        }
        assert_eq!(count, rows, "{name}");
        let megabytes = std::fs::metadata(&path).unwrap().len() / 1_000_000;
        println!("{name}: {rows} rows, {megabytes} MB, written in {written:.1?}, read in {:.1?}", started.elapsed());
        println!("at most {} MiB so far", peak());
        std::fs::remove_file(&path).unwrap();
    }
}
