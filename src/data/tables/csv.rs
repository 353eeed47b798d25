//! Comma-separated values with a header (RFC 4180); rows may be of any length.

use std::path::Path;

use csv::{ByteRecord, Position, Reader, ReaderBuilder};

use super::limit::{LimitedFile, RowLimit};
use super::{Cell, Described, Rows, Wanted, find};

/// An open CSV file.
pub(super) struct Csv {
    reader: Reader<LimitedFile>,
    limit: RowLimit,
    record: ByteRecord,
    columns: Vec<Option<usize>>,
    /// Where the row begins; its error may be noticed lines later.
    line: u64,
}

impl Csv {
    pub fn open(path: &Path, wanted: &[Wanted]) -> Result<Self, String> {
        let failed = |error: &dyn std::fmt::Display| format!("cannot be read ({error})");
        let opened = LimitedFile::open(path, "a row is longer than 1 MiB: a quote may not be closed");
        let (file, limit) = opened.map_err(|error| failed(&error))?;
        let mut reader = ReaderBuilder::new().flexible(true).from_reader(file);
        let header = reader.byte_headers().map_err(|error| failed(&error))?;
        let name = |field: &[u8]| String::from_utf8_lossy(field).trim_start_matches('\u{feff}').to_owned();
        let described: Vec<Described> =
            header.iter().map(|field| Described { name: name(field), ..Described::default() }).collect();
        let columns = find(&described, wanted)?;
        Ok(Self { reader, limit, record: ByteRecord::new(), columns, line: 1 })
    }
}

impl Rows for Csv {
    fn next(&mut self) -> Result<Option<Vec<Cell>>, String> {
        self.limit.reset();
        self.line = self.reader.position().line();
        if !self.reader.read_byte_record(&mut self.record).map_err(|error| error.to_string())? {
            return Ok(None);
        }
        self.line = self.record.position().map_or(0, Position::line);
        let field = |place: &Option<usize>| place.and_then(|place| self.record.get(place)).unwrap_or_default();
        Ok(Some(self.columns.iter().map(|place| Cell::text(field(place))).collect()))
    }

    fn place(&self) -> String {
        format!("line {}", self.line)
    }
}
