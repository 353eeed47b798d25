//! What the rows of tables say of pictures: where they are, their classes, their sets and their positions.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::data::source::{self, MOST_CLASSES};
use crate::data::tables::{Cell, Kind, TableReader, Wanted, column_of};
use crate::data::{Set, Sky};
use crate::suggest::did_you_mean;
use crate::{Error, Result};

/// Names of columns with the files of pictures, with classes and with sets; the first that a table has is taken.
const PATHS: [&str; 7] = ["path", "file_name", "filename", "file", "file_loc", "image_path", "image"];
const LABELS: [&str; 6] = ["label", "class", "class_name", "category", "target", "ans"];
const SETS: [&str; 3] = ["split", "set", "subset"];

/// The rows of tables, in order.
#[derive(Default)]
pub(super) struct Rows {
    /// File of each picture as the table writes it, and where the row is; empty where pictures are in the table itself.
    pub paths: Vec<(String, String)>,
    /// Class of each.
    pub labels: Vec<u32>,
    /// Names of the classes, unless they are just 0, 1, 2, ...
    pub class_names: Option<Vec<String>>,
    /// Number of classes.
    pub class_count: usize,
    /// Set of each.
    pub sets: Vec<Set>,
    /// Position of each, perhaps unknown.
    pub sky: Vec<Sky>,
    /// Rows of each table.
    pub counts: Vec<usize>,
    /// The columns that were taken for files, classes and sets, where they are there.
    pub columns: [Option<&'static str>; 3],
}

/// Reads tables of one form. `names` are the classes that a table describes for a column, in the order of the labels.
///
/// # Errors
/// [`Error::File`] where a table cannot be read, lacks a column, or has a row without a class or a file.
pub(super) fn read(
    files: &[PathBuf],
    kind: Kind,
    has_paths: bool,
    names: impl FnOnce(&str) -> Option<Vec<String>>,
) -> Result<Rows> {
    let Some(first) = files.first() else { return Ok(Rows::default()) };
    let path = if has_paths { Some(column_of(first, kind, &PATHS)?) } else { None };
    let label = column_of(first, kind, &LABELS)?;
    let set = column_of(first, kind, &SETS).ok();
    let mut rows = Rows { columns: [path, Some(label), set], ..Rows::default() };
    let mut texts = Vec::new();
    for file in files {
        let before = texts.len();
        rows.read(file, kind, &mut texts)?;
        rows.counts.push(texts.len() - before);
    }
    let refused = |problem: String| Error::file(first, format!("column `{label}` {problem}"), LABEL_REMEDY);
    (rows.labels, rows.class_names) = match names(label) {
        Some(names) => (described(&texts, names.len()).map_err(refused)?, Some(names)),
        None => numbered(&texts).map_err(refused)?,
    };
    let count = rows.labels.iter().max().map_or(0, |&label| label as usize + 1);
    rows.class_count = rows.class_names.as_ref().map_or(count, Vec::len);
    source::check_names(rows.class_names.as_deref().unwrap_or_default())
        .map_err(|problem| refused(format!("has {problem}")))?;
    Ok(rows)
}

const LABEL_REMEDY: &str = "give the class of each picture as a name, or as a number 0, 1, 2, ...";

impl Rows {
    /// Adds the rows of a table, and the texts of their labels.
    fn read(&mut self, file: &Path, kind: Kind, texts: &mut Vec<String>) -> Result<()> {
        let wanted = |name: Option<&str>, needed| Wanted { name: name.unwrap_or("").into(), ucd: None, needed };
        let [path, label, set] = self.columns;
        let mut columns = vec![wanted(label, true), wanted(set, false), wanted(Some("ra"), false)];
        columns.push(wanted(Some("dec"), false));
        if path.is_some() {
            columns.push(wanted(path, true));
        }
        let mut table = TableReader::open(file, kind, &columns)?;
        while let Some(cells) = table.next() {
            let cells = cells?;
            let place = table.place();
            let refused = |problem: String, remedy: &str| Error::file(file, format!("{place} {problem}"), remedy);
            let needed = |cell: &Cell, column: Option<&str>, remedy| {
                let column = column.unwrap_or_default();
                text(cell).ok_or_else(|| refused(format!("has nothing in the column `{column}`"), remedy))
            };
            texts.push(needed(&cells[0], label, "fill it, or leave the row out")?);
            self.sets.push(match text(&cells[1]) {
                None => Set::Neither,
                Some(word) => Set::named(&word).ok_or_else(|| {
                    let near = did_you_mean(&word.to_ascii_lowercase(), ["train", "test", "validation"]);
                    let column = set.unwrap_or_default();
                    refused(format!("has {word:?} as `{column}`{near}"), "write train, test or validation")
                })?,
            });
            let degrees = |cell: &Cell| text(cell).and_then(|text| text.parse().ok()).unwrap_or(f64::NAN);
            self.sky.push(Sky { ra: degrees(&cells[2]), dec: degrees(&cells[3]) });
            if let Some(cell) = cells.get(4) {
                self.paths.push((needed(cell, path, "name the file of the picture")?, place.clone()));
            }
        }
        Ok(())
    }
}

/// A value as text without blanks around it, and without a decimal point where it is whole; none where there is none.
fn text(cell: &Cell) -> Option<String> {
    match cell {
        Cell::Null => None,
        Cell::Text(text) => Some(String::from_utf8_lossy(text).trim().to_owned()).filter(|text| !text.is_empty()),
        Cell::Whole(number) => Some(number.to_string()),
        Cell::Single(number) => Some(number.to_string()),
        Cell::Double(number) => Some(number.to_string()),
    }
}

/// Labels that are numbers of `count` classes with names.
fn described(texts: &[String], count: usize) -> Result<Vec<u32>, String> {
    let label = |text: &String| match text.parse::<u32>() {
        Ok(label) if (label as usize) < count => Ok(label),
        _ => Err(format!("holds {text:?}, but the table describes the classes 0 to {}", count.saturating_sub(1))),
    };
    texts.iter().map(label).collect()
}

/// Labels and names of classes. Whole numbers keep their order, and are their own names unless they are 0, 1, 2, ...
fn numbered(texts: &[String]) -> Result<(Vec<u32>, Option<Vec<String>>), String> {
    let different: BTreeSet<&str> = texts.iter().map(String::as_str).collect();
    if !(2..=MOST_CLASSES).contains(&different.len()) {
        return Err(format!("holds {} different values, not 2 to {MOST_CLASSES}", different.len()));
    }
    let mut names: Vec<&str> = different.into_iter().collect();
    let numbers: Option<Vec<i64>> = names.iter().map(|name| name.parse().ok()).collect();
    if numbers.is_some() {
        names.sort_by_key(|name| name.parse::<i64>().unwrap_or(0));
    }
    let is_plain = names.iter().enumerate().all(|(place, name)| name.parse() == Ok(place));
    let place = |text: &String| names.iter().position(|name| name == text).unwrap_or(0) as u32;
    let labels = texts.iter().map(place).collect();
    Ok((labels, (!is_plain).then(|| names.iter().map(|name| (*name).to_owned()).collect())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_names_or_numbers() {
        let of = |texts: &[&str]| numbered(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        let names = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(of(&["b", "a", "b"]), Ok((vec![1, 0, 1], names(&["a", "b"]))));
        assert_eq!(of(&["10", "2", "10"]), Ok((vec![1, 0, 1], names(&["2", "10"]))));
        assert_eq!(of(&["1", "0", "2"]), Ok((vec![1, 0, 2], None)));
        assert!(of(&["a", "a"]).unwrap_err().contains("holds 1 different values"));
        let many: Vec<String> = (0..257).map(|number| format!("{number}.5")).collect();
        assert!(numbered(&many).unwrap_err().contains("holds 257 different values, not 2 to 256"));
        assert_eq!(described(&["1".into(), "0".into()], 3), Ok(vec![1, 0]));
        assert!(described(&["-1".into()], 3).unwrap_err().contains("holds \"-1\""));
    }
}
