//! Comma-separated values (RFC 4180) with a header; what is missing is empty.

use super::fields::{Value, values};
use super::{Lines, digits, parse};
use crate::catalogue::{Columns, Row};
use std::borrow::Cow;

/// Lines of CSV.
pub(super) struct Csv {
    columns: Columns,
    reader: csv_core::Reader,
}

impl Csv {
    pub fn new(columns: Columns) -> Self {
        Self { columns, reader: csv_core::Reader::new() }
    }

    fn line(writer: &mut csv::Writer<Vec<u8>>, fields: &[String]) {
        // Writing to memory cannot fail, and all records have the same length.
        let _ = writer.write_record(fields);
    }
}

fn field(value: Value) -> String {
    match value {
        Value::Text(text) => text.unwrap_or_default().to_owned(),
        Value::Whole(number) => number.map(|number| number.to_string()).unwrap_or_default(),
        Value::Double(number) => number.map(digits).unwrap_or_default(),
        Value::Single(number) => number.map(digits).unwrap_or_default(),
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
        for row in rows {
            let fields: Vec<String> = values(&self.columns, row).into_iter().map(field).collect();
            Self::line(&mut writer, &fields);
        }
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
        parse(&self.columns, |number| field(number).filter(|text| !text.is_empty()).map(Cow::Borrowed))
    }
}
