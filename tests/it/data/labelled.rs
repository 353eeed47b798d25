//! Tables that say the class of each picture: beside pictures, and with pictures in them.

use std::fs::{self, File};
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use galaxy_gpu::data::{Dataset, LoadOptions, Set};
use image::{ImageFormat, Rgb, RgbImage};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::{Scratch, assert_says};
use crate::common::desk::Desk;

/// Saves pictures of 8 pixels a side, each of another grey: 1, 2, 3, ...
fn save(folder: &Path, names: &[&str]) {
    fs::create_dir_all(folder).unwrap();
    for (number, name) in names.iter().enumerate() {
        RgbImage::from_pixel(8, 8, Rgb([number as u8 + 1; 3])).save(folder.join(name)).unwrap();
    }
}

fn greys(dataset: &Dataset) -> Vec<u8> {
    (0..dataset.len()).map(|image| dataset.image(image)[0]).collect()
}

#[test]
fn a_csv_file_names_pictures_and_classes() {
    let scratch = Scratch::new();
    save(&scratch.path("images"), &["a.png", "b.png", "c.png", "d.png"]);
    let table = scratch.path("labels.csv");
    // in a folder beside the table, names without an ending, in the order of the rows
    fs::write(
        &table,
        "id,filename,label,split,ra,dec\n1,c,spiral,train,10,-5\n2,a,disk,train,,\n3,d.png,disk,test,20,5\n",
    )
    .unwrap();
    let loaded = scratch.load(&table).unwrap();
    assert_eq!((&loaded.classes[..], &loaded.labels[..]), (&["disk".to_owned(), "spiral".into()][..], &[1, 0, 0][..]));
    assert_eq!(greys(&loaded), [3, 1, 4]);
    assert_eq!(loaded.given.as_ref().unwrap().sets, [Set::Train, Set::Train, Set::Test]);
    assert_eq!(loaded.given.as_ref().unwrap().source, "column split of labels.csv");
    let sky = loaded.sky.unwrap();
    assert_eq!((sky[0].ra, sky[2].dec, sky[1].is_known()), (10.0, 5.0, false));
    assert_says(
        &loaded.notes.join(" "),
        &["labels.csv names in the column filename, in ", "images; classes are of label"],
    );
    // the table again, with other classes and sets of the same pictures
    fs::write(&table, "path,label\nimages/a.png,1\nimages/b.png,0\n").unwrap();
    let loaded = scratch.load(&table).unwrap();
    assert_eq!((greys(&loaded), &loaded.labels[..], loaded.given.is_none()), (vec![1, 2], &[1, 0][..], true));
    assert_eq!(loaded.classes, ["class 0", "class 1"]);
    let class_names = Some(vec!["no".to_owned(), "yes".into()]);
    let named = Dataset::load(&table, &LoadOptions { class_names, ..scratch.options() }).unwrap();
    assert_eq!(named.classes, ["no", "yes"]);
    // numbers with gaps are names
    fs::write(&table, "path,label\nimages/a.png,12\nimages/b.png,3\n").unwrap();
    let loaded = scratch.load(&table).unwrap();
    assert_eq!((&loaded.classes[..], &loaded.labels[..]), (&["3".to_owned(), "12".into()][..], &[1, 0][..]));
}

#[test]
fn a_table_that_says_too_little_is_refused_by_row_and_column() {
    let scratch = Scratch::new();
    save(&scratch.path("."), &["a.png", "b.png"]);
    let refusal = |text: &str| {
        let table = scratch.path("labels.csv");
        fs::write(&table, text).unwrap();
        scratch.refusal(&table)
    };
    assert_says(&refusal("path,smooth\na.png,0.4\n"), &["has no column `label`, but path, smooth"]);
    assert_says(&refusal("objid,label\n1,a\n"), &["has no column `path`, but objid, label"]);
    assert_says(&refusal("path,label\na.png,x\nb.png,\n"), &["line 3 has nothing in the column `label`"]);
    assert_says(&refusal("path,label\na.png,x\nb.png,x\n"), &["column `label` holds 1 different values"]);
    let missing = refusal("path,label\na.png,x\nno.png,y\nneither.png,y\n");
    assert_says(&missing, &["2 of its 3 pictures are not in ", "the first no.png (line 3)"]);
    assert_says(
        &refusal("path,label,split\na.png,x,tran\nb.png,y,test\n"),
        &["line 2 has \"tran\" as `split`", "train"],
    );
    assert!(scratch.cached().is_empty());
}

/// A Parquet file as Hugging Face's `datasets` writes it: pictures of these greys, and labels.
fn parquet(path: &Path, rows: &[(u8, i64)], names: Option<&str>) {
    let schema = "message schema { optional group image { optional binary bytes; optional binary path (UTF8); }
                  optional int64 label; }";
    let about = names.map(|names| {
        let text = format!(r#"{{"info": {{"features": {{"label": {{"names": {names}, "_type": "ClassLabel"}}}}}}}}"#);
        vec![KeyValue { key: "huggingface".into(), value: Some(text) }]
    });
    let properties = WriterProperties::builder().set_key_value_metadata(about).build();
    let schema = Arc::new(parse_message_type(schema).unwrap());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = SerializedFileWriter::new(File::create(path).unwrap(), schema, Arc::new(properties)).unwrap();
    let picture = |grey: u8| {
        let mut bytes = Cursor::new(Vec::new());
        RgbImage::from_pixel(8, 8, Rgb([grey; 3])).write_to(&mut bytes, ImageFormat::Png).unwrap();
        ByteArray::from(bytes.into_inner())
    };
    let pictures: Vec<ByteArray> = rows.iter().map(|row| picture(row.0)).collect();
    let paths: Vec<ByteArray> = rows.iter().map(|row| ByteArray::from(&*format!("{}.png", row.0))).collect();
    let labels: Vec<i64> = rows.iter().map(|row| row.1).collect();
    let mut group = file.next_row_group().unwrap();
    for values in [pictures, paths] {
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&values, Some(&vec![2; values.len()]), None).unwrap();
        column.close().unwrap();
    }
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int64Type>().write_batch(&labels, Some(&vec![1; labels.len()]), None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    file.close().unwrap();
}

#[test]
fn parquet_files_hold_pictures() {
    let scratch = Scratch::new();
    let one = scratch.path("one.parquet");
    // more rows than are read at a time
    let rows: Vec<(u8, i64)> = (0..20).map(|row| (row, i64::from(row % 3))).collect();
    parquet(&one, &rows, Some(r#"["disk", "round", "spiral"]"#));
    let loaded = scratch.load(&one).unwrap();
    assert_eq!((loaded.height, loaded.width, &loaded.classes[1][..]), (8, 8, "round"));
    assert!(greys(&loaded).into_iter().eq(0..20) && loaded.labels[..4] == [0, 1, 2, 0] && loaded.given.is_none());
    let small = Dataset::load(&one, &LoadOptions { size: Some(4), ..scratch.options() }).unwrap();
    assert_eq!((small.height, small.image(7)), (4, &[7; 48][..]));

    // a folder of such files, whose names say the sets
    let root = scratch.path("hub");
    parquet(&root.join("data/train-00000-of-00002.parquet"), &rows[..6], None);
    parquet(&root.join("data/train-00001-of-00002.parquet"), &rows[6..12], None);
    parquet(&root.join("data/test-00000-of-00001.parquet"), &rows[12..], None);
    let loaded = scratch.load(&root).unwrap();
    assert!(greys(&loaded).into_iter().eq((12..20).chain(0..12)), "files by name");
    let given = loaded.given.unwrap();
    assert!(
        given.sets[..8].iter().all(|set| *set == Set::Test) && given.sets[8..].iter().all(|set| *set == Set::Train)
    );
    assert_eq!((given.sets.len(), &given.source[..]), (20, "names of the Parquet files"));
}

#[test]
fn rows_of_a_parquet_file_that_cannot_be_used_are_named() {
    let scratch = Scratch::new();
    let path = scratch.path("a.parquet");
    parquet(&path, &[(1, 0), (2, -1)], Some(r#"["disk", "round"]"#));
    assert_says(&scratch.refusal(&path), &["column `label` holds \"-1\", but the table describes the classes 0 to 1"]);
    parquet(&path, &[(1, 0), (2, 1), (3, 0)], None);
    let mut bytes = fs::read(&path).unwrap();
    let second = (0..bytes.len() - 8).filter(|&at| bytes[at..].starts_with(b"\x89PNG\r\n\x1a\n")).nth(1).unwrap();
    bytes[second + 1] = b'X';
    fs::write(&path, bytes).unwrap();
    assert_says(&scratch.refusal(&path), &["a.parquet, row 2: is not a picture that can be decoded"]);
}

#[test]
fn classify_takes_parquet_files_with_pictures() {
    let desk = Desk::new();
    let rows: Vec<(u8, i64)> = (0..12).map(|row| (row * 20, 0)).collect();
    parquet(&desk.path("galaxies.parquet"), &rows, None);
    desk.run("classify RUN0 galaxies.parquet --device reference --out t.csv");
    let table = desk.text("t.csv");
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 13, "{table}");
    assert!(lines[3].starts_with("40.png,galaxies.parquet,2,"), "{table}");
    // as the same pictures in files are
    for (grey, _) in &rows {
        fs::create_dir_all(desk.path("files")).unwrap();
        RgbImage::from_pixel(8, 8, Rgb([*grey; 3])).save(desk.path(&format!("files/{grey:03}.png"))).unwrap();
    }
    desk.run("classify RUN0 files --device reference --out files.csv");
    let files = desk.text("files.csv");
    let answer = |line: &str| line.splitn(6, ',').last().unwrap().to_owned();
    assert!(files.lines().map(answer).eq(table.lines().map(answer)), "{files}\n{table}");
}
