//! Apache Parquet: columns of text and numbers that do not repeat, a few rows at a time.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use parquet::basic::{ConvertedType, LogicalType, Type};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::DataType;
use parquet::errors::Result as Decoded;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;

use super::{Cell, Described, LONGEST_ROW, Rows, Wanted, find, pages};

/// Rows that are decoded at a time: few, as each text may be long.
const ROWS: usize = 64;
/// Longest description of a file at its end, in bytes.
const LONGEST_FOOTER: u32 = 64 << 20;

/// A column that is being read.
struct Column {
    /// Its number in the file.
    number: usize,
    is_optional: bool,
    is_unsigned: bool,
    /// Its reader in the current row group.
    reader: Option<ColumnReader>,
    /// Decoded cells that are not taken yet, last first.
    cells: Vec<Cell>,
}

/// An open Parquet file.
pub(super) struct Parquet {
    file: SerializedFileReader<File>,
    /// The same file, to look at pages.
    pages: BufReader<File>,
    columns: Vec<Option<Column>>,
    /// The next row group.
    group: usize,
    /// Rows of the group that are not decoded yet, and decoded ones.
    left: u64,
    ready: usize,
    /// Rows that were read.
    row: u64,
}

impl Parquet {
    pub fn open(path: &Path, wanted: &[Wanted]) -> Result<Self, String> {
        let failed = |error: &dyn std::fmt::Display| format!("cannot be read ({error})");
        let mut file = File::open(path).map_err(|error| failed(&error))?;
        let mut end = [0; 4];
        let footer = file.seek(SeekFrom::End(-8)).and_then(|_| file.read_exact(&mut end));
        footer.map_err(|_| failed(&"it is no Parquet file"))?;
        if u32::from_le_bytes(end) > LONGEST_FOOTER {
            return Err(failed(&"its footer is longer than 64 MiB"));
        }
        let pages = BufReader::new(file.try_clone().map_err(|error| failed(&error))?);
        // each reader seeks: they may not share one position
        let file = File::open(path).map_err(|error| failed(&error))?;
        let file = SerializedFileReader::new(file).map_err(|error| failed(&error))?;
        let schema = file.metadata().file_metadata().schema_descr();
        let name = |column: &ColumnDescriptor| column.path().parts().join(".");
        let described: Vec<Described> =
            schema.columns().iter().map(|column| Described { name: name(column), ..Described::default() }).collect();
        let mut columns = Vec::new();
        for (place, wanted) in find(&described, wanted)?.into_iter().zip(wanted) {
            let column = |number: usize| Column::new(&schema.column(number), number, &wanted.name);
            columns.push(place.map(column).transpose()?);
        }
        Ok(Self { file, pages, columns, group: 0, left: 0, ready: 0, row: 0 })
    }

    /// Opens the next row group that has rows; false where there is none.
    fn open_group(&mut self) -> Result<bool, String> {
        while self.left == 0 {
            if self.group == self.file.num_row_groups() {
                return Ok(false);
            }
            let about = self.file.metadata().row_group(self.group).clone();
            self.left = u64::try_from(about.num_rows()).map_err(|_| "a row group has fewer rows than none")?;
            let group = self.file.get_row_group(self.group).map_err(|error| error.to_string())?;
            for column in self.columns.iter_mut().flatten() {
                let chunk = about.columns().get(column.number).ok_or("a row group lacks a column")?;
                let (start, length) = chunk.byte_range();
                pages::check(&mut self.pages, start, length)?;
                column.reader = Some(group.get_column_reader(column.number).map_err(|error| error.to_string())?);
            }
            drop(group);
            self.group += 1;
        }
        Ok(true)
    }
}

impl Rows for Parquet {
    fn next(&mut self) -> Result<Option<Vec<Cell>>, String> {
        self.row += 1;
        if self.ready == 0 {
            if !self.open_group()? {
                return Ok(None);
            }
            self.ready = self.left.min(ROWS as u64) as usize;
            for column in self.columns.iter_mut().flatten() {
                column.decode(self.ready)?;
            }
            self.left -= self.ready as u64;
        }
        self.ready -= 1;
        let cell = |column: &mut Option<Column>| column.as_mut().and_then(|column| column.cells.pop());
        Ok(Some(self.columns.iter_mut().map(|column| cell(column).unwrap_or(Cell::Null)).collect()))
    }

    fn place(&self) -> String {
        format!("row {}", self.row)
    }
}

impl Column {
    /// Refuses columns that are neither text nor one number.
    fn new(about: &ColumnDescriptor, number: usize, name: &str) -> Result<Self, String> {
        use ConvertedType as C;
        let (converted, logical) = (about.converted_type(), about.logical_type_ref());
        let is_plain = about.max_rep_level() == 0 && about.max_def_level() <= 1;
        let sound = match about.physical_type() {
            Type::FLOAT | Type::DOUBLE => converted == C::NONE && logical.is_none(),
            Type::BYTE_ARRAY => matches!(converted, C::NONE | C::UTF8 | C::ENUM),
            Type::INT32 | Type::INT64 => {
                let narrow = matches!(converted, C::INT_8 | C::INT_16 | C::INT_32 | C::INT_64 | C::NONE);
                let wide = matches!(converted, C::UINT_8 | C::UINT_16 | C::UINT_32 | C::UINT_64);
                (narrow || wide) && logical.is_none_or(|logical| matches!(logical, LogicalType::Integer { .. }))
            }
            _ => false,
        };
        if !is_plain || !sound {
            let kind = about.physical_type();
            return Err(format!(
                "has a column `{name}` that is neither text nor one number (type {kind}, {converted})"
            ));
        }
        let is_unsigned = matches!(converted, C::UINT_8 | C::UINT_16 | C::UINT_32 | C::UINT_64);
        Ok(Self { number, is_optional: about.max_def_level() == 1, is_unsigned, reader: None, cells: Vec::new() })
    }

    /// Decodes `count` rows.
    fn decode(&mut self, count: usize) -> Result<(), String> {
        let (optional, unsigned) = (self.is_optional, self.is_unsigned);
        let reader = self.reader.as_mut().ok_or("a row group lacks a column")?;
        let cells = match reader {
            ColumnReader::Int32ColumnReader(reader) => cells(reader, count, optional, |&number| match unsigned {
                true => Cell::Whole((number as u32).into()),
                false => Cell::Whole(number.into()),
            }),
            ColumnReader::Int64ColumnReader(reader) => cells(reader, count, optional, |&number| match unsigned {
                true => Cell::Whole((number as u64).into()),
                false => Cell::Whole(number.into()),
            }),
            ColumnReader::FloatColumnReader(reader) => cells(reader, count, optional, |&number| Cell::single(number)),
            ColumnReader::DoubleColumnReader(reader) => cells(reader, count, optional, |&number| Cell::double(number)),
            ColumnReader::ByteArrayColumnReader(reader) => {
                cells(reader, count, optional, |text| Cell::text(text.data()))
            }
            _ => return Err("a column is neither text nor numbers".into()),
        };
        self.cells = cells.map_err(|error| error.to_string())?;
        if self.cells.len() != count {
            return Err("a row group has fewer rows than it says".into());
        }
        let longest = |cell: &Cell| matches!(cell, Cell::Text(text) if text.len() > LONGEST_ROW);
        if self.cells.iter().any(longest) {
            return Err("a text is longer than 1 MiB".into());
        }
        self.cells.reverse();
        Ok(())
    }
}

/// The next rows of a column.
fn cells<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    count: usize,
    optional: bool,
    cell: impl Fn(&T::T) -> Cell,
) -> Decoded<Vec<Cell>> {
    let (mut levels, mut values) = (Vec::new(), Vec::with_capacity(count));
    reader.read_records(count, optional.then_some(&mut levels), None, &mut values)?;
    let mut values = values.iter().map(cell);
    if !optional {
        return Ok(values.collect());
    }
    Ok(levels.iter().map(|&level| if level == 0 { Cell::Null } else { values.next().unwrap_or(Cell::Null) }).collect())
}
