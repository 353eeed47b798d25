//! Rows as lines of text and back. Both formats write numbers with as few digits as name them exactly, so that a row that is
//! read and written again is the same line.
//!
//! A format that is no lines of text (Parquet, FITS, VOTable) can be made of the finished rows.

use super::{Columns, Row, Verdict};
use crate::data::About;
use crate::error::{Error, Result};
use crate::suggest::did_you_mean;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;
use std::str::FromStr;

/// What a table is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values (RFC 4180), with a header; what is missing is empty.
    Csv,
    /// One JSON object a line; what is missing is null.
    JsonLines,
}

/// Endings of files and their formats.
const ENDINGS: &[(&str, Format)] = &[("csv", Format::Csv), ("jsonl", Format::JsonLines)];

/// Writes and reads the lines of a format.
pub(super) trait Lines: Send {
    /// What stands before the first row: whole lines or nothing.
    fn head(&self) -> Vec<u8>;

    /// Rows as lines.
    fn lines(&self, rows: &[Row]) -> Vec<u8>;

    /// A line, without its end, as a row; `None` where it is none that [`Lines::lines`] would write.
    fn row(&mut self, line: &[u8]) -> Option<Row>;
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

    pub(super) fn lines(self, columns: Columns) -> Box<dyn Lines> {
        match self {
            Self::Csv => Box::new(Csv { columns, reader: csv_core::Reader::new() }),
            Self::JsonLines => Box::new(JsonLines { names: columns.names(), columns }),
        }
    }
}

/// A float in as few digits as name it.
fn digits<T: std::fmt::Debug>(number: T) -> String {
    format!("{number:?}")
}

/// A row of these texts, as [`Columns::names`] orders them; `None` in an absent one.
fn parse(columns: &Columns, text: impl Fn(usize) -> Option<String>) -> Option<Row> {
    let classes = columns.classes.len();
    /// The number in a text; the outer `None` where it is no number.
    fn number<T: FromStr>(text: Option<String>) -> Option<Option<T>> {
        text.map(|text| text.parse().ok()).map_or(Some(None), |number| number.map(Some))
    }
    let about = About {
        id: text(0).unwrap_or_default(),
        path: text(1).unwrap_or_default(),
        index: number(text(2))?,
        ra: number(text(3))?,
        dec: number(text(4))?,
    };
    let status = text(5 + classes + 3)?;
    if status != OK {
        return Some(Row { about, outcome: Err(status) });
    }
    let probabilities: Option<Vec<f32>> = (0..classes).map(|class| number(text(5 + class))?).collect();
    let probabilities = probabilities.filter(|all| all.iter().all(|p| (0.0..=1.0).contains(p)))?;
    Some(Row { about, outcome: Ok(probabilities) })
}

/// The status of a row with probabilities.
const OK: &str = "ok";

struct Csv {
    columns: Columns,
    reader: csv_core::Reader,
}

impl Csv {
    fn line(writer: &mut csv::Writer<Vec<u8>>, fields: &[String]) {
        // memory takes every write, and all records have the columns' length
        let _ = writer.write_record(fields);
    }

    fn fields(&self, row: &Row) -> Vec<String> {
        let About { id, path, index, ra, dec } = &row.about;
        let number = |number: &Option<f64>| number.map(digits).unwrap_or_default();
        let index = index.map(|index| index.to_string()).unwrap_or_default();
        let mut fields = vec![id.clone(), path.clone(), index, number(ra), number(dec)];
        match &row.outcome {
            Ok(probabilities) => {
                let verdict = Verdict::of(probabilities);
                fields.extend(probabilities.iter().copied().map(digits));
                fields.push(self.columns.class(verdict).unwrap_or_default().to_owned());
                fields.extend([digits(verdict.confidence), digits(verdict.entropy), OK.into()]);
            }
            Err(reason) => {
                fields.resize(fields.len() + self.columns.classes.len() + 3, String::new());
                fields.push(reason.clone());
            }
        }
        fields
    }
}

fn writer() -> csv::Writer<Vec<u8>> {
    csv::Writer::from_writer(Vec::new())
}

impl Lines for Csv {
    fn head(&self) -> Vec<u8> {
        let mut writer = writer();
        Self::line(&mut writer, &self.columns.names());
        writer.into_inner().unwrap_or_default()
    }

    fn lines(&self, rows: &[Row]) -> Vec<u8> {
        let mut writer = writer();
        rows.iter().for_each(|row| Self::line(&mut writer, &self.fields(row)));
        writer.into_inner().unwrap_or_default()
    }

    fn row(&mut self, line: &[u8]) -> Option<Row> {
        let width = self.columns.classes.len() + 9;
        let (mut text, mut ends) = (vec![0; line.len()], vec![0; width + 1]);
        self.reader.reset();
        let (_, _, written, fields) = self.reader.read_record(line, &mut text, &mut ends);
        // the end of the input ends the last field
        let (_, _, _, rest) = self.reader.read_record(&[], &mut text[written..], &mut ends[fields..]);
        if fields + rest != width {
            return None;
        }
        let field = |number: usize| {
            let start = if number == 0 { 0 } else { ends[number - 1] };
            text.get(start..ends[number]).and_then(|bytes| std::str::from_utf8(bytes).ok())
        };
        (0..width).all(|number| field(number).is_some()).then_some(())?;
        parse(&self.columns, |number| field(number).filter(|text| !text.is_empty()).map(str::to_owned))
    }
}

struct JsonLines {
    columns: Columns,
    names: Vec<String>,
}

impl JsonLines {
    fn values(&self, row: &Row) -> Vec<serde_json::Value> {
        use serde_json::Value;
        let About { id, path, index, ra, dec } = &row.about;
        // as text first: an f32 in as few digits as name it, which are more as f64
        let float = |number: f32| serde_json::from_str(&digits(number)).unwrap_or(Value::Null);
        let id = if id.is_empty() { Value::Null } else { id.as_str().into() };
        let mut values = vec![id, path.as_str().into(), (*index).into(), (*ra).into(), (*dec).into()];
        match &row.outcome {
            Ok(probabilities) => {
                let verdict = Verdict::of(probabilities);
                values.extend(probabilities.iter().copied().map(float));
                values.push(self.columns.class(verdict).into());
                values.extend([float(verdict.confidence), float(verdict.entropy), OK.into()]);
            }
            Err(reason) => {
                values.resize(values.len() + self.columns.classes.len() + 3, Value::Null);
                values.push(reason.as_str().into());
            }
        }
        values
    }
}

impl Lines for JsonLines {
    fn head(&self) -> Vec<u8> {
        Vec::new()
    }

    fn lines(&self, rows: &[Row]) -> Vec<u8> {
        let mut text = Vec::new();
        for row in rows {
            let object: serde_json::Map<_, _> = self.names.iter().cloned().zip(self.values(row)).collect();
            text.extend(serde_json::Value::Object(object).to_string().into_bytes());
            text.push(b'\n');
        }
        text
    }

    fn row(&mut self, line: &[u8]) -> Option<Row> {
        let fields: HashMap<Cow<str>, &RawValue> = serde_json::from_slice(line).ok()?;
        let field = |number: usize| fields.get(&self.names[number][..]).map(|value| value.get());
        (0..self.names.len()).all(|number| field(number).is_some()).then_some(())?;
        // Numbers by their digits, as a detour by f64 may round twice.
        parse(&self.columns, |number| match field(number)? {
            "null" => None,
            text if text.starts_with('"') => serde_json::from_str(text).ok(),
            text => Some(text.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Columns {
        Columns { classes: vec!["round, smooth".into(), "edge \"on\"".into()], min_confidence: 0.5 }
    }

    fn rows() -> Vec<Row> {
        let about = About { path: "a, \"b\"/ü.png".into(), ..About::default() };
        let known = About { id: "7".into(), index: Some(12), ra: Some(180.0), dec: Some(-0.1), ..about.clone() };
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
        assert!(Format::of(Path::new("a.CSV")).is_ok() && Format::of(Path::new("a.fits")).is_err());
    }
}
