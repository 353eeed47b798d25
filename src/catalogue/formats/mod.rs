//! The formats of tables, one file each.
//!
//! CSV and JSON Lines are lines of text, and a job appends rows to them. Both write the fewest digits that identify a number, so
//! that a row that is read and written again gives the same line. Parquet, FITS and VOTable are written from the finished rows
//! (`finish.rs`), which are lines of CSV until then.

mod csv;
mod facts;
mod fields;
mod fits;
mod json_lines;
mod parquet;
mod votable;

pub(super) use facts::{Fact, facts};
pub(super) use fields::fields;
pub(super) use fits::{Extent, decoded};

use super::{Columns, Row};
use crate::data::ItemInfo;
use crate::data::tables::Kind;
use crate::error::{Error, Result};
use crate::suggest::did_you_mean;
use std::borrow::Cow;
use std::io::{self, Write};
use std::path::Path;
use std::str::FromStr;

/// What a table is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values (RFC 4180), with a header; what is missing is empty.
    Csv,
    /// One JSON object a line; what is missing is null.
    JsonLines,
    /// Apache Parquet; what is missing is null.
    Parquet,
    /// A binary table of FITS; missing text is empty, a missing index TNULL, another missing number NaN.
    Fits,
    /// A VOTable 1.4; what is missing is an empty cell.
    VoTable,
}

/// Endings of files and their formats.
const ENDINGS: &[(&str, Format)] = &[
    ("csv", Format::Csv),
    ("jsonl", Format::JsonLines),
    ("parquet", Format::Parquet),
    ("fits", Format::Fits),
    ("vot", Format::VoTable),
    ("votable", Format::VoTable),
    ("xml", Format::VoTable),
];

/// Writes and reads the lines of a format.
pub(super) trait Lines: Send {
    /// The lines before the first row, if any.
    fn head(&self) -> Vec<u8>;

    /// Rows as lines.
    fn lines(&self, rows: &[Row]) -> Vec<u8>;

    /// The row of a line without its line break; `None` where [`Lines::lines`] would not have written it.
    fn row(&mut self, line: &[u8]) -> Option<Row>;
}

/// Writes the rows of a format that is not lines of text, one after the other.
pub(super) trait Sink {
    /// Writes a row.
    fn write(&mut self, row: &Row) -> io::Result<()>;

    /// Writes what follows the last row.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

impl Format {
    /// The endings of all formats.
    pub fn endings() -> Vec<&'static str> {
        ENDINGS.iter().map(|(ending, _)| *ending).collect()
    }

    /// The format of a file, by its ending.
    ///
    /// # Errors
    /// [`Error::Setting`] for another ending.
    pub fn of(path: &Path) -> Result<Self> {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        let found = ENDINGS.iter().find(|(name, _)| ending.as_deref() == Some(*name));
        found.map(|(_, format)| *format).ok_or_else(|| {
            let near = did_you_mean(ending.as_deref().unwrap_or_default(), Self::endings());
            let allowed = format!("a file name that ends in .{}{near}", Self::endings().join(" or ."));
            Error::setting("--out", format!("\"{}\"", path.display()), allowed)
        })
    }

    /// The reader of tables of this format; `None` for lines of text.
    pub(super) fn kind(self) -> Option<Kind> {
        match self {
            Self::Csv | Self::JsonLines => None,
            Self::Parquet => Some(Kind::Parquet),
            Self::Fits => Some(Kind::Fits),
            Self::VoTable => Some(Kind::VoTable),
        }
    }

    /// The lines that rows are kept in while a job runs.
    pub(super) fn lines(self, columns: Columns) -> Box<dyn Lines> {
        match self {
            Self::JsonLines => Box::new(json_lines::JsonLines::new(columns)),
            _ => Box::new(csv::Csv::new(columns)),
        }
    }

    /// The writer of tables of this format; `None` for lines of text.
    pub(super) fn sink<'a, W: Write + Send>(
        self,
        out: &'a mut W,
        columns: &Columns,
        facts: &[Fact],
        extent: &Extent,
    ) -> io::Result<Option<Box<dyn Sink + 'a>>> {
        Ok(match self {
            Self::Csv | Self::JsonLines => None,
            Self::Parquet => Some(Box::new(parquet::Parquet::new(out, columns, facts)?)),
            Self::Fits => Some(Box::new(fits::Fits::new(out, columns, facts, extent)?)),
            Self::VoTable => Some(Box::new(votable::VoTable::new(out, columns, facts)?)),
        })
    }
}

/// A float in as few digits as identify it.
fn digits<T: std::fmt::Debug>(number: T) -> String {
    format!("{number:?}")
}

/// A row of these texts, as [`Columns::names`] orders them; `None` in an absent one.
pub(super) fn parse<'a>(columns: &Columns, text: impl Fn(usize) -> Option<Cow<'a, str>>) -> Option<Row> {
    let classes = columns.classes.len();
    /// The number in a text; the outer `None` where it is not one.
    fn number<T: FromStr>(text: Option<Cow<str>>) -> Option<Option<T>> {
        text.map(|text| text.parse().ok()).map_or(Some(None), |number| number.map(Some))
    }
    let about = ItemInfo {
        id: text(0).unwrap_or_default().into_owned(),
        path: text(1).unwrap_or_default().into_owned(),
        index: number(text(2))?,
        ra: number(text(3))?,
        dec: number(text(4))?,
    };
    let status = text(5 + classes + 3)?;
    if status != OK {
        return Some(Row { about, outcome: Err(status.into_owned()) });
    }
    let probabilities: Option<Vec<f32>> = (0..classes).map(|class| number(text(5 + class))?).collect();
    let probabilities = probabilities.filter(|all| all.iter().all(|p| (0.0..=1.0).contains(p)))?;
    Some(Row { about, outcome: Ok(probabilities) })
}

/// The status of a row with probabilities.
const OK: &str = "ok";

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Columns {
        Columns { classes: vec!["round, smooth".into(), "edge \"on\"".into()], min_confidence: 0.5 }
    }

    fn rows() -> Vec<Row> {
        let about = ItemInfo { path: "a, \"b\"/ü.png".into(), ..ItemInfo::default() };
        let known = ItemInfo { id: "7".into(), index: Some(12), ra: Some(180.0), dec: Some(-0.1), ..about.clone() };
        let seventh = 1.0 / 7.0f32;
        vec![
            Row { about: known, outcome: Ok(vec![seventh, 1.0 - seventh]) },
            Row { about: about.clone(), outcome: Ok(vec![f32::MIN_POSITIVE, 1.0e-30]) },
            Row { about, outcome: Err("cannot be read, it \"says\"; mend it".into()) },
        ]
    }

    #[test]
    fn rows_survive_a_round_trip_to_the_bit() {
        for format in [Format::Csv, Format::JsonLines] {
            let mut format = format.lines(columns());
            let text = String::from_utf8(format.lines(&rows())).unwrap();
            let read: Vec<Row> = text.lines().map(|line| format.row(line.as_bytes()).unwrap()).collect();
            assert_eq!(read, rows(), "{text}");
            assert_eq!(String::from_utf8(format.lines(&read)).unwrap(), text);
            for line in text.lines() {
                // the last byte may be a quote that CSV does without; only lines with their end are ever read
                for end in 0..line.len() - 1 {
                    assert_ne!(
                        format.row(&line.as_bytes()[..end]),
                        format.row(line.as_bytes()),
                        "cut at {end}: {line}"
                    );
                }
            }
        }
    }

    #[test]
    fn lines_are_what_they_should_be() {
        let format = Format::Csv.lines(columns());
        let text = String::from_utf8([format.head(), format.lines(&rows()[..2])].concat()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            "id,path,index,ra,dec,\"p_round, smooth\",\"p_edge \"\"on\"\"\",class,confidence,entropy,status"
        );
        assert!(
            lines[1].starts_with("7,\"a, \"\"b\"\"/ü.png\",12,180.0,-0.1,0.14285715,0.85714287,\"edge \"\"on\"\"\",")
        );
        assert!(lines[2].contains(",,,,1.1754944e-38,1e-30,,1e-30,"), "an abstention has no class: {}", lines[2]);
        let format = Format::JsonLines.lines(columns());
        let text = String::from_utf8(format.lines(&rows())).unwrap();
        let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert!(last["class"].is_null() && last["status"].as_str().unwrap().contains("mend it"));
    }

    #[test]
    fn strangers_are_no_rows() {
        let mut csv = Format::Csv.lines(columns());
        for line in ["", ",", "1,a,,,,0.5,nan,a,1,1,ok", "1,a,x,,,0.5,0.5,a,1,1,ok", "1,a,,,,0.5,1.5,a,1,1,ok"] {
            assert_eq!(csv.row(line.as_bytes()), None, "{line}");
        }
        assert_eq!(csv.row(b"1,a,,,,0.5,0.5,a,1,1,ok,more"), None);
        let mut json = Format::JsonLines.lines(columns());
        for line in ["", "{}", "[1]", "{\"path\": 1}", "\0\0\0"] {
            assert_eq!(json.row(line.as_bytes()), None, "{line}");
        }
        assert!(Format::of(Path::new("a.CSV")).is_ok() && Format::of(Path::new("a.txt")).is_err());
    }
}
