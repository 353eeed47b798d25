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

/// Text that a spreadsheet shows as text: what it would take for a formula begins with an apostrophe here. A number is none, and what
/// begins with apostrophes before such a text gets one more, so that [`unguarded`] gives every text back.
pub fn guarded(text: &str) -> Cow<'_, str> {
    if is_formula(text) { format!("'{text}").into() } else { text.into() }
}

/// The text that [`guarded`] was given.
fn unguarded(text: &str) -> &str {
    text.strip_prefix('\'').filter(|rest| is_formula(rest)).unwrap_or(text)
}

fn is_formula(text: &str) -> bool {
    let start = text.trim_start_matches('\'');
    start.starts_with(['=', '+', '-', '@', '\t', '\r']) && start.parse::<f64>().is_err()
}

fn field(value: Value) -> String {
    match value {
        Value::Text(text) => guarded(text.unwrap_or_default()).into_owned(),
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
        let names: Vec<String> = self.columns.names().iter().map(|name| guarded(name).into_owned()).collect();
        Self::line(&mut writer, &names);
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
            text.get(start..ends[number]).and_then(|bytes| std::str::from_utf8(bytes).ok()).map(unguarded)
        };
        (0..width).all(|number| field(number).is_some()).then_some(())?;
        parse(&self.columns, |number| field(number).filter(|text| !text.is_empty()).map(Cow::Borrowed))
    }
}

#[cfg(test)]
mod tests {
    use super::{guarded, unguarded};

    #[test]
    fn formulas_are_shown_as_text_and_read_back() {
        for (text, shown) in [
            ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
            ("+cmd", "'+cmd"),
            ("-a", "'-a"),
            ("@x", "'@x"),
            ("'=x", "''=x"),
            ("-12.5", "-12.5"),
            ("'tis", "'tis"),
            ("NGC 1", "NGC 1"),
            ("", ""),
        ] {
            assert_eq!(guarded(text), shown);
            assert_eq!(unguarded(shown), text);
        }
    }
}
