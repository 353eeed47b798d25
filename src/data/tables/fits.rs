//! Tables of FITS files (FITS Standard 4.0, sections 7.2 and 7.3): fixed columns of text and single numbers, packed by gzip or
//! bzip2 or not.

use std::io::Read;
use std::path::Path;

use fitskit::Header;

use super::fits_text::TextColumn;
use super::{Cell, Described, Rows, Wanted, find};
use crate::data::fits::{Bytes, data_length, is_image};

/// FITS files consist of blocks of so many bytes.
const BLOCK: usize = 2880;
/// Longest header that is read: 50 000 cards; a table of 999 columns has a fifth of it.
const LONGEST_HEADER: usize = 4_000_000 / BLOCK * BLOCK;
/// Most parts of a file that are searched for an image.
const MOST_HDUS: usize = 1000;
/// Longest row that is read, in bytes.
const LONGEST_ROW: u64 = 64 << 20;

/// Reads the next header; `None` at the file's end.
fn header(file: &mut impl Read) -> Result<Option<Header>, String> {
    let mut text = Vec::new();
    loop {
        let start = text.len();
        let count = file.take(BLOCK as u64).read_to_end(&mut text).map_err(|error| error.to_string())?;
        if count == 0 && start == 0 {
            return Ok(None);
        }
        let block = &mut text[start..];
        // what is no ASCII stands in comments; the reader cuts cards at fixed bytes
        block.iter_mut().filter(|byte| !byte.is_ascii()).for_each(|byte| *byte = b'?');
        if count < BLOCK || start == 0 && !block.starts_with(b"SIMPLE") && !block.starts_with(b"XTENSION") {
            return Err("a header is damaged, or it is no FITS file".into());
        }
        if block.chunks(80).any(|card| card.trim_ascii_end() == b"END") {
            return Header::read_from(&mut &text[..])
                .map(Some)
                .map_err(|error| format!("a header is damaged: {error}"));
        }
        if text.len() >= LONGEST_HEADER {
            return Err("a header has no end".into());
        }
    }
}

/// A number of the header that must not be negative; `otherwise` where it is missing.
fn number(header: &Header, name: &str, otherwise: u64) -> Result<u64, String> {
    match header.get_int(name) {
        Some(value) => u64::try_from(value).map_err(|_| format!("{name} is {value}")),
        None => Ok(otherwise),
    }
}

/// Skips the data behind a header.
fn skip(file: &mut Bytes, header: &Header) -> Result<(), String> {
    let bytes = data_length(header).ok_or("its axes make no sense")?.next_multiple_of(BLOCK as u64);
    file.skip(bytes).map_err(|error| error.to_string())
}

/// How the rows of a table are written.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    Binary,
    /// As VizieR writes them.
    Text,
}

/// The form of a header's table; `None` where it has none.
fn form(header: &Header) -> Option<Form> {
    match header.get_string("XTENSION")?.trim_end() {
        "BINTABLE" => Some(Form::Binary),
        "TABLE" => Some(Form::Text),
        _ => None,
    }
}

/// Whether a FITS file has a table and no image. False for a file that cannot be read.
pub fn holds_table(path: &Path) -> bool {
    let only = |mut file: Bytes| {
        let mut found = false;
        for _ in 0..MOST_HDUS {
            let Ok(Some(header)) = header(&mut file) else { break };
            if is_image(&header) {
                return false;
            }
            found |= form(&header).is_some();
            if skip(&mut file, &header).is_err() {
                break;
            }
        }
        found
    };
    let regular = path.metadata().is_ok_and(|about| about.is_file());
    regular && super::unbroken(|| Ok(Bytes::open(path).is_ok_and(only))).unwrap_or(false)
}

/// A column of a table.
#[derive(Clone, Debug)]
struct Column {
    /// Bytes before it in a row, and its length in bytes.
    start: usize,
    bytes: usize,
    /// The letter of its type.
    letter: u8,
    /// Whether there is more than one number.
    is_array: bool,
    /// Values are `zero + scale * value`.
    scale: f64,
    zero: f64,
    null: Option<i64>,
}

impl Column {
    /// Column `number` (from 1), which begins at `start`.
    fn of(header: &Header, number: usize, start: usize) -> Result<Self, String> {
        let keyword = format!("TFORM{number}");
        let form = header.get_string(&keyword).unwrap_or_default().trim();
        let bad = || format!("{keyword} is {form:?}");
        let digits = form.bytes().take_while(u8::is_ascii_digit).count();
        let repeat: usize = if digits == 0 { 1 } else { form[..digits].parse().map_err(|_| bad())? };
        let letter = *form.as_bytes().get(digits).ok_or_else(bad)?;
        let bytes = match letter {
            b'X' => Some(repeat.div_ceil(8)),
            b'L' | b'B' | b'A' => Some(repeat),
            b'I' => repeat.checked_mul(2),
            b'J' | b'E' => repeat.checked_mul(4),
            b'K' | b'D' | b'C' | b'P' => repeat.checked_mul(8),
            b'M' | b'Q' => repeat.checked_mul(16),
            _ => None,
        };
        let bytes = bytes.filter(|&bytes| bytes as u64 <= LONGEST_ROW).ok_or_else(bad)?;
        let float = |name: &str, otherwise: f64| header.get_float(&format!("{name}{number}")).unwrap_or(otherwise);
        let (scale, zero) = (float("TSCAL", 1.0), float("TZERO", 0.0));
        let null = header.get_int(&format!("TNULL{number}"));
        Ok(Self { start, bytes, letter, is_array: repeat != 1, scale, zero, null })
    }

    /// Refuses columns that are neither text nor one number.
    fn check(&self, name: &str) -> Result<(), String> {
        let sound = match self.letter {
            b'A' => self.bytes <= super::LONGEST_ROW,
            b'B' | b'I' | b'J' | b'K' | b'E' | b'D' => !self.is_array,
            _ => false,
        };
        let letter = char::from(self.letter);
        sound
            .then_some(())
            .ok_or_else(|| format!("has a column `{name}` that is neither text nor one number (type {letter})"))
    }

    fn cell(&self, row: &[u8]) -> Cell {
        let bytes = &row[self.start..self.start + self.bytes];
        let unscaled = self.scale == 1.0 && self.zero == 0.0;
        match (self.letter, bytes) {
            (b'A', _) => {
                let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
                let blank = bytes[..end].iter().rev().take_while(|&&byte| byte == b' ').count();
                Cell::text(&bytes[..end - blank])
            }
            (b'E', &[a, b, c, d]) => {
                let number = f32::from_be_bytes([a, b, c, d]);
                if unscaled { Cell::single(number) } else { Cell::double(self.zero + self.scale * f64::from(number)) }
            }
            (b'D', &[a, b, c, d, e, f, g, h]) => {
                let number = f64::from_be_bytes([a, b, c, d, e, f, g, h]);
                Cell::double(if unscaled { number } else { self.zero + self.scale * number })
            }
            (b'B', &[a]) => self.whole(a.into()),
            (b'I', &[a, b]) => self.whole(i16::from_be_bytes([a, b]).into()),
            (b'J', &[a, b, c, d]) => self.whole(i32::from_be_bytes([a, b, c, d]).into()),
            (b'K', &[a, b, c, d, e, f, g, h]) => self.whole(i64::from_be_bytes([a, b, c, d, e, f, g, h])),
            _ => Cell::Null,
        }
    }

    fn whole(&self, number: i64) -> Cell {
        if self.null == Some(number) {
            return Cell::Null;
        }
        // unsigned numbers are stored with a zero of half their range
        let whole = self.scale == 1.0 && self.zero.fract() == 0.0 && self.zero.abs() <= 1e19;
        match whole {
            true => Cell::Whole(i128::from(number) + self.zero as i128),
            false => Cell::double(self.zero + self.scale * number as f64),
        }
    }
}

/// A column of a table of either form.
#[derive(Clone)]
enum Field {
    Binary(Column),
    Text(TextColumn),
}

impl Field {
    /// Column `number` (from 1); a binary one begins at `start`.
    fn of(header: &Header, form: Form, number: usize, start: usize) -> Result<Self, String> {
        Ok(match form {
            Form::Binary => Self::Binary(Column::of(header, number, start)?),
            Form::Text => Self::Text(TextColumn::of(header, number)?),
        })
    }

    /// The byte of a row behind it.
    fn end(&self) -> usize {
        match self {
            Self::Binary(column) => column.start + column.bytes,
            Self::Text(column) => column.end(),
        }
    }

    fn check(&self, name: &str) -> Result<(), String> {
        match self {
            Self::Binary(column) => column.check(name),
            Self::Text(_) => Ok(()),
        }
    }

    fn cell(&self, row: &[u8]) -> Result<Cell, String> {
        match self {
            Self::Binary(column) => Ok(column.cell(row)),
            Self::Text(column) => column.cell(row),
        }
    }
}

/// An open table.
pub(super) struct Fits {
    file: Bytes,
    /// The wanted columns with their units.
    columns: Vec<Option<(Field, String)>>,
    row: Vec<u8>,
    /// Rows, and how many of them are read.
    rows: u64,
    read: u64,
}

impl Fits {
    /// Opens the first table that has the columns.
    pub fn open(path: &Path, wanted: &[Wanted]) -> Result<Self, String> {
        let failed = |problem: String| format!("cannot be read ({problem})");
        let mut file = Bytes::open(path).map_err(|error| failed(error.to_string()))?;
        let mut missing = "has no table".to_owned();
        while let Some(header) = header(&mut file).map_err(failed)? {
            let form = form(&header);
            if let Some(form) = form {
                match Self::columns(&header, form, wanted) {
                    Err(problem) => missing = problem,
                    Ok((columns, width)) => {
                        let rows = number(&header, "NAXIS2", 0)?;
                        return Ok(Self { file, columns, row: vec![0; width], rows, read: 0 });
                    }
                }
            }
            if let Err(problem) = skip(&mut file, &header) {
                return Err(if form.is_some() { missing } else { failed(problem) });
            }
        }
        Err(missing)
    }

    /// The wanted columns, and the bytes of a row.
    #[allow(clippy::type_complexity, reason = "a pair that is taken apart at once")]
    fn columns(
        header: &Header,
        form: Form,
        wanted: &[Wanted],
    ) -> Result<(Vec<Option<(Field, String)>>, usize), String> {
        let (count, width) = (number(header, "TFIELDS", 0)?, number(header, "NAXIS1", 0)?);
        if count > 999 || width > LONGEST_ROW {
            return Err(format!("has a table of {count} columns and {width} bytes a row, more than can be read"));
        }
        let width = width as usize;
        let (mut all, mut described, mut end) = (Vec::new(), Vec::new(), 0);
        for number in 1..=count as usize {
            let field = Field::of(header, form, number, end)?;
            end = end.max(field.end());
            let text = |name: &str| header.get_string(&format!("{name}{number}")).unwrap_or_default().to_owned();
            described.push(Described { name: text("TTYPE"), ucd: text("TUCD") });
            all.push((field, text("TUNIT")));
        }
        let found = find(&described, wanted)?;
        if end > width || width == 0 {
            return Err(format!("has columns of {end} bytes in rows of {width}"));
        }
        for (place, wanted) in found.iter().zip(wanted) {
            place.map_or(Ok(()), |place| all[place].0.check(&wanted.name))?;
        }
        Ok((found.into_iter().map(|place| place.map(|place| all[place].clone())).collect(), width))
    }
}

impl Rows for Fits {
    fn next(&mut self) -> Result<Option<Vec<Cell>>, String> {
        if self.read == self.rows {
            return Ok(None);
        }
        self.read += 1;
        self.file.read_exact(&mut self.row).map_err(|error| error.to_string())?;
        let cell = |column: &Option<(Field, String)>| match column {
            Some((field, _)) => field.cell(&self.row),
            None => Ok(Cell::Null),
        };
        self.columns.iter().map(cell).collect::<Result<_, _>>().map(Some)
    }

    fn place(&self) -> String {
        format!("row {}", self.read)
    }

    fn unit(&self, wanted: usize) -> &str {
        self.columns.get(wanted).and_then(Option::as_ref).map_or("", |(_, unit)| unit)
    }
}
