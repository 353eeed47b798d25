//! Apache Parquet: columns of text, numbers and pictures that do not repeat, a few rows at a time.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::panic::catch_unwind;
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
/// The same of a column of pictures.
const PICTURE_ROWS: usize = 8;
/// Longest description of a file at its end, in bytes.
const LONGEST_FOOTER: u32 = 64 << 20;
/// Largest picture, in bytes.
const LARGEST_PICTURE: usize = 64 << 20;
/// Largest page that is unpacked, in bytes, and the same of a column of pictures. Writers cut pages at one MiB or so, but some
/// look at their size only after each thousand rows.
const LARGEST_PAGE: i64 = 64 << 20;
const LARGEST_PICTURE_PAGE: i64 = 512 << 20;

/// Names of columns that hold pictures: the field `bytes` of a structure.
pub const PICTURES: [&str; 3] = ["image.bytes", "img.bytes", "picture.bytes"];

/// A column that is being read.
struct Column {
    /// Its number in the file.
    number: usize,
    /// Level of a value that is there: how many of the structures around it, and itself, may be null.
    level: i16,
    is_unsigned: bool,
    holds_pictures: bool,
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

/// Opens a file whose description at its end is not too long.
fn open_file(path: &Path) -> Result<SerializedFileReader<File>, String> {
    let failed = |error: &dyn std::fmt::Display| format!("cannot be read ({error})");
    let mut file = File::open(path).map_err(|error| failed(&error))?;
    let mut end = [0; 4];
    let footer = file.seek(SeekFrom::End(-8)).and_then(|_| file.read_exact(&mut end));
    footer.map_err(|_| failed(&"it is no Parquet file"))?;
    if u32::from_le_bytes(end) > LONGEST_FOOTER {
        return Err(failed(&"its footer is longer than 64 MiB"));
    }
    SerializedFileReader::new(file).map_err(|error| failed(&error))
}

/// The names of the classes of a column, where a file describes them as Hugging Face's `datasets` does (`ClassLabel`).
pub fn class_names(path: &Path, column: &str) -> Option<Vec<String>> {
    let file = catch_unwind(|| open_file(path)).ok()?.ok()?;
    let about = file.metadata().file_metadata().key_value_metadata()?;
    let text = about.iter().find(|entry| entry.key == "huggingface")?.value.as_deref()?;
    let described: serde_json::Value = serde_json::from_str(text).ok()?;
    let names = described["info"]["features"][column]["names"].as_array()?;
    names.iter().map(|name| name.as_str().map(str::to_owned)).collect()
}

impl Parquet {
    pub fn open(path: &Path, wanted: &[Wanted]) -> Result<Self, String> {
        let failed = |error: &dyn std::fmt::Display| format!("cannot be read ({error})");
        let file = open_file(path)?;
        let pages = BufReader::new(File::open(path).map_err(|error| failed(&error))?);
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
                let most = if column.holds_pictures { LARGEST_PICTURE_PAGE } else { LARGEST_PAGE };
                pages::check(&mut self.pages, start, length, most)?;
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
            let holds_pictures = self.columns.iter().flatten().any(|column| column.holds_pictures);
            let rows = if holds_pictures { PICTURE_ROWS } else { ROWS };
            self.ready = self.left.min(rows as u64) as usize;
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
        let is_plain = about.max_rep_level() == 0;
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
        let holds_pictures = PICTURES.iter().any(|picture| picture.eq_ignore_ascii_case(name));
        let level = about.max_def_level();
        Ok(Self { number, level, is_unsigned, holds_pictures, reader: None, cells: Vec::new() })
    }

    /// Decodes `count` rows.
    fn decode(&mut self, count: usize) -> Result<(), String> {
        let (level, unsigned) = (self.level, self.is_unsigned);
        let reader = self.reader.as_mut().ok_or("a row group lacks a column")?;
        let cells = match reader {
            ColumnReader::Int32ColumnReader(reader) => cells(reader, count, level, |&number| match unsigned {
                true => Cell::Whole((number as u32).into()),
                false => Cell::Whole(number.into()),
            }),
            ColumnReader::Int64ColumnReader(reader) => cells(reader, count, level, |&number| match unsigned {
                true => Cell::Whole((number as u64).into()),
                false => Cell::Whole(number.into()),
            }),
            ColumnReader::FloatColumnReader(reader) => cells(reader, count, level, |&number| Cell::single(number)),
            ColumnReader::DoubleColumnReader(reader) => cells(reader, count, level, |&number| Cell::double(number)),
            ColumnReader::ByteArrayColumnReader(reader) => cells(reader, count, level, |text| Cell::text(text.data())),
            _ => return Err("a column is neither text nor numbers".into()),
        };
        self.cells = cells.map_err(|error| error.to_string())?;
        if self.cells.len() != count {
            return Err("a row group has fewer rows than it says".into());
        }
        let most = if self.holds_pictures { LARGEST_PICTURE } else { LONGEST_ROW };
        if self.cells.iter().any(|cell| matches!(cell, Cell::Text(text) if text.len() > most)) {
            return Err(format!("a value is longer than {} MiB", most >> 20));
        }
        self.cells.reverse();
        Ok(())
    }
}

/// The next rows of a column.
fn cells<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    count: usize,
    level: i16,
    cell: impl Fn(&T::T) -> Cell,
) -> Decoded<Vec<Cell>> {
    let (mut levels, mut values) = (Vec::new(), Vec::with_capacity(count));
    reader.read_records(count, (level > 0).then_some(&mut levels), None, &mut values)?;
    let mut values = values.iter().map(cell);
    if level == 0 {
        return Ok(values.collect());
    }
    Ok(levels
        .iter()
        .map(|&found| if found < level { Cell::Null } else { values.next().unwrap_or(Cell::Null) })
        .collect())
}
