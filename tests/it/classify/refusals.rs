//! What is refused before any work is done.

use super::{Desk, dataset};
use galaxy_gpu::data::write_hdf5;

#[test]
fn impossible_jobs_are_refused_and_leave_nothing() {
    let desk = Desk::new();
    desk.galaxies("in", 1);
    std::fs::create_dir(desk.path("empty")).unwrap();
    std::fs::write(desk.path("cat.csv"), "file,ra\na.png,1\n").unwrap();
    desk.refuses_job("RUN0 in --out t.txt", &["--out is \"t.txt\"", ".csv or .jsonl or .parquet"]);
    desk.refuses_job("RUN0 in --out none/t.csv", &["its folder does not exist"]);
    desk.refuses_job("RUN0 none --out t.csv", &["none: there is no such file or folder"]);
    desk.refuses_job("RUN0 in empty --out t.csv", &["empty: has nothing to classify"]);
    desk.refuses_job("RUN0 in/*.jpg --out t.csv", &["in/*.jpg: has nothing to classify"]);
    desk.refuses_job("RUN0 cat.csv --out t.csv", &["cat.csv: has no column `path`, but file, ra"]);
    desk.refuses_job("in in --out t.csv", &["in", "galaxy-gpu train"]);
    desk.refuses_job("RUN0 in --out t.csv --views 3", &["choose 1 or 8"]);
    desk.refuses_job("RUN0 in --out t.csv --views 8 --batch 7", &["--batch is 7", "at least 8"]);
    desk.refuses_job("RUN0 in --out t.csv --batch 0", &["--batch is 0"]);
    desk.refuses_job("RUN0 in --out t.csv --min-confidence 1.5", &["--min-confidence is 1.5", "from 0 to 1"]);
    desk.refuses_job("RUN0 in --out t.csv --continue --force", &["--continue"]);
    desk.refuses_job("RUN0 --out t.csv", &["INPUT"]);
    let names =
        std::fs::read_dir(desk.path("")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let tables: Vec<String> = names.filter(|name| name.starts_with("t.")).collect();
    assert!(tables.is_empty(), "{tables:?}");
}

#[test]
fn a_table_is_never_overwritten_unasked() {
    let desk = Desk::new();
    desk.galaxies("in", 3);
    desk.classify(0, "RUN0 in --out t.csv");
    let before = desk.text("t.csv");
    desk.refuses_job("RUN0 in --out t.csv", &["t.csv: exists already", "--continue", "--force"]);
    desk.refuses_job("RUN1 in --out t.csv --continue", &["its rows were made with other weights", "--force"]);
    desk.refuses_job("RUN0 in --out t.csv --continue --views 8", &["other --views (1, now 8)"]);
    assert_eq!(desk.text("t.csv"), before);
    let (code, _, notes) = desk.ended("classify RUN0 in --device reference --batch 9 --out t.csv --continue");
    assert!(code == 0 && notes.contains("another --batch (64, now 9)"), "{notes}");
    assert_eq!(desk.text("t.csv"), before);
    desk.classify(0, "RUN1 in --out t.csv --force");
    assert_ne!(desk.text("t.csv"), before);

    std::fs::write(desk.path("mine.csv"), "a,b\n1,2\n").unwrap();
    desk.refuses_job("RUN0 in --out mine.csv --continue", &["not known what its rows were made with"]);
    std::fs::copy(desk.path("t.csv.meta.json"), desk.path("mine.csv.meta.json")).unwrap();
    desk.refuses_job("RUN1 in --out mine.csv --continue", &["its columns are not those of this job"]);
    assert_eq!(desk.text("mine.csv"), "a,b\n1,2\n");
}

#[test]
fn two_processes_do_not_share_a_table() {
    let desk = Desk::new();
    desk.galaxies("in", 1);
    desk.classify(0, "RUN0 in --out t.csv");
    let held = std::fs::File::options().append(true).open(desk.path("t.csv")).unwrap();
    held.try_lock().unwrap();
    for option in ["--continue", "--force"] {
        desk.refuses_job(&format!("RUN0 in --out t.csv {option}"), &["t.csv: another process is writing it"]);
    }
    drop(held);
    desk.classify(0, "RUN0 in --out t.csv --continue");
}

/// A data set is refused by its reader, as one item.
#[test]
fn an_hdf5_file_of_another_layout_is_a_failed_item_and_a_note() {
    let desk = Desk::new();
    let mut one_class = dataset(4);
    one_class.labels.fill(0);
    write_hdf5(&desk.path("bad.h5"), &one_class).unwrap();
    let (code, said, notes) = desk.ended("classify RUN0 bad.h5 --device reference --out t.csv");
    assert_eq!((code, said.trim_end()), (1, "0 classified, 1 failed; see t.csv"));
    assert!(notes.starts_with("note: ") && notes.contains("bad.h5"), "{notes}");
}

#[test]
fn rows_of_other_fits_settings_are_not_mixed() {
    let desk = Desk::new();
    desk.galaxies("in", 1);
    desk.classify(0, "RUN0 in --out t.csv --fits-stretch Q=10");
    let other = ["t.csv: its rows were made with other FITS settings", "Q=10", "now whole images", "Q=20"];
    desk.refuses_job("RUN0 in --out t.csv --continue", &other);
    desk.refuses_job(
        "RUN0 in --out t.csv --continue --fits-stretch Q=10 --crop-arcsec 67",
        &["now pieces of 67 arcseconds"],
    );
    desk.classify(0, "RUN0 in --out t.csv --continue --fits-stretch m=0.03,Q=10");
    // tables from before it was said are gone on with
    let meta = desk.text("t.csv.meta.json");
    let without: String = meta.lines().filter(|line| !line.contains("\"fits\"")).collect();
    assert_ne!(meta.len(), without.len());
    std::fs::write(desk.path("t.csv.meta.json"), without).unwrap();
    desk.classify(0, "RUN0 in --out t.csv --continue");
}

#[test]
fn tables_that_are_not_read_are_refused_with_a_way_out() {
    let desk = Desk::new();
    for (name, said) in [
        ("cat.parquet.gz", "is a packed table; unpack it"),
        ("cat.csv.zip", "unpack it"),
        ("cat.ecsv", "save it as CSV, FITS, VOTable or Parquet"),
        ("cat.TSV", "save it as CSV"),
    ] {
        std::fs::write(desk.path(name), "path\n").unwrap();
        desk.refuses_job(&format!("RUN0 {name} --out t.csv"), &[name, said]);
    }
}
