//! Apache Parquet: one row group after the other, columns compressed by zstd, floats split into streams of bytes.
//!
//! The footer holds the facts about the table, and the columns' units and meanings as a VOTable without data ("VOParquet", IVOA Note
//! 1.0), which TOPCAT and astropy read.

use super::fields::{Field, Type, Value, fields, values};
use super::{Fact, Format, Sink, votable};
use crate::catalogue::{Columns, Row};
use parquet::basic::{Compression, Encoding, LogicalType, Repetition, Type as Physical, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, FloatType, Int64Type};
use parquet::errors::Result as Encoded;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{ColumnPath, Type as Schema};
use std::io::{self, Write};
use std::sync::Arc;

/// Most rows of a row group.
const MOST_ROWS: usize = 1 << 17;
/// About the most bytes of a row group before it is compressed.
const MOST_BYTES: usize = 64 << 20;

/// Values of a column that are not written yet.
enum Values {
    Text(Vec<ByteArray>),
    Whole(Vec<i64>),
    Double(Vec<f64>),
    Single(Vec<f32>),
}

/// A column of the current row group.
struct Column {
    values: Values,
    /// 1 for each row that has a value, else 0.
    levels: Vec<i16>,
}

/// A Parquet file that is being written.
pub(super) struct Parquet<W: Write + Send> {
    writer: SerializedFileWriter<W>,
    columns: Columns,
    group: Vec<Column>,
    rows: usize,
    bytes: usize,
}

impl<W: Write + Send> Parquet<W> {
    pub fn new(out: W, columns: &Columns, facts: &[Fact]) -> io::Result<Self> {
        let fields = fields(columns, Format::Parquet);
        let mut about: Vec<KeyValue> =
            facts.iter().map(|fact| KeyValue::new(format!("galaxy-gpu.{}", fact.name), fact.value.clone())).collect();
        let mut header = Vec::new();
        votable::head(&mut header, &fields, facts)?;
        votable::foot(&mut header)?;
        about.push(KeyValue::new("IVOA.VOTable-Parquet.version".into(), "1.0".to_owned()));
        let header = String::from_utf8_lossy(&header).into_owned();
        about.push(KeyValue::new("IVOA.VOTable-Parquet.content".into(), header));
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_created_by(format!("galaxy-gpu version {}", env!("CARGO_PKG_VERSION")))
            .set_key_value_metadata(Some(about));
        for field in fields.iter().filter(|field| matches!(field.kind, Type::Single | Type::Double)) {
            let path = ColumnPath::from(&field.name[..]);
            properties = properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::BYTE_STREAM_SPLIT);
        }
        let schema = schema(&fields).map_err(io::Error::other)?;
        let writer = SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties.build()));
        let group = fields.iter().map(|field| Column::new(field.kind)).collect();
        Ok(Self { writer: writer.map_err(io::Error::other)?, columns: columns.clone(), group, rows: 0, bytes: 0 })
    }

    fn write_group(&mut self) -> Encoded<()> {
        let mut group = self.writer.next_row_group()?;
        for column in &mut self.group {
            let Some(mut writer) = group.next_column()? else { break };
            let levels = Some(&column.levels[..]);
            match &mut column.values {
                Values::Text(values) => {
                    writer.typed::<ByteArrayType>().write_batch(values, levels, None)?;
                    values.clear();
                }
                Values::Whole(values) => {
                    writer.typed::<Int64Type>().write_batch(values, levels, None)?;
                    values.clear();
                }
                Values::Double(values) => {
                    writer.typed::<DoubleType>().write_batch(values, levels, None)?;
                    values.clear();
                }
                Values::Single(values) => {
                    writer.typed::<FloatType>().write_batch(values, levels, None)?;
                    values.clear();
                }
            }
            column.levels.clear();
            writer.close()?;
        }
        group.close()?;
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }
}

fn schema(fields: &[Field]) -> Encoded<Schema> {
    let column = |field: &Field| {
        let (physical, logical) = match field.kind {
            Type::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            Type::Whole => (Physical::INT64, None),
            Type::Double => (Physical::DOUBLE, None),
            Type::Single => (Physical::FLOAT, None),
        };
        let builder = Schema::primitive_type_builder(&field.name, physical).with_repetition(Repetition::OPTIONAL);
        builder.with_logical_type(logical).build().map(Arc::new)
    };
    let columns: Encoded<Vec<_>> = fields.iter().map(column).collect();
    Schema::group_type_builder("schema").with_fields(columns?).build()
}

impl Column {
    fn new(kind: Type) -> Self {
        let values = match kind {
            Type::Text => Values::Text(Vec::new()),
            Type::Whole => Values::Whole(Vec::new()),
            Type::Double => Values::Double(Vec::new()),
            Type::Single => Values::Single(Vec::new()),
        };
        Self { values, levels: Vec::new() }
    }

    /// Adds a value and returns about how many bytes it takes.
    fn push(&mut self, value: Value) -> usize {
        let before = self.len();
        let mut length = 8;
        match (&mut self.values, value) {
            (Values::Text(values), Value::Text(Some(text))) => {
                length += text.len();
                values.push(ByteArray::from(text));
            }
            (Values::Whole(values), Value::Whole(Some(number))) => {
                values.push(i64::try_from(number).unwrap_or(i64::MAX))
            }
            (Values::Double(values), Value::Double(Some(number))) => values.push(number),
            (Values::Single(values), Value::Single(Some(number))) => values.push(number),
            _ => {}
        }
        self.levels.push(i16::from(self.len() > before));
        length
    }

    fn len(&self) -> usize {
        match &self.values {
            Values::Text(values) => values.len(),
            Values::Whole(values) => values.len(),
            Values::Double(values) => values.len(),
            Values::Single(values) => values.len(),
        }
    }
}

impl<W: Write + Send> Sink for Parquet<W> {
    fn write(&mut self, row: &Row) -> io::Result<()> {
        for (column, value) in self.group.iter_mut().zip(values(&self.columns, row)) {
            self.bytes += column.push(value);
        }
        self.rows += 1;
        if self.rows == MOST_ROWS || self.bytes >= MOST_BYTES {
            self.write_group().map_err(io::Error::other)?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        if self.rows > 0 {
            self.write_group().map_err(io::Error::other)?;
        }
        self.writer.close().map(drop).map_err(io::Error::other)
    }
}
