//! A binary table of FITS (FITS Standard 4.0, section 7.3), with columns of fixed width: a first pass over the rows finds their
//! number and the longest texts.
//!
//! FITS knows printable ASCII only. Other characters are written as in web addresses: `%` and two hexadecimal digits for each byte
//! of UTF-8.

use super::fields::{Field, Type, Value, fields, values};
use super::{Fact, Format, Sink};
use crate::catalogue::{Columns, Row};
use fitskit::{Header, HeaderValue, Keyword};
use std::borrow::Cow;
use std::io::{self, Write};

/// Longest status, in bytes: one bad item must not widen ten million rows. Its end is cut off.
const LONGEST_STATUS: usize = 160;
/// The index of an item that has none.
const NO_INDEX: i64 = -1;

/// Number of rows, and bytes of the longest text of each column.
#[derive(Clone, Debug, Default)]
pub(in crate::catalogue) struct Extent {
    rows: u64,
    widths: Vec<usize>,
}

impl Extent {
    /// Adds a row.
    pub fn add(&mut self, columns: &Columns, row: &Row) {
        let values = values(columns, row);
        self.widths.resize(values.len(), 1);
        let last = values.len() - 1;
        for (column, value) in values.into_iter().enumerate() {
            if let Value::Text(Some(text)) = value {
                let width = encoded(text).len();
                let width = if column == last { width.min(LONGEST_STATUS) } else { width };
                self.widths[column] = self.widths[column].max(width);
            }
        }
        self.rows += 1;
    }
}

/// Whether a text has a `%` and two hexadecimal digits.
fn looks_encoded(text: &str) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_hexdigit();
    text.as_bytes().windows(3).any(|part| part[0] == b'%' && part[1..].iter().all(is_digit))
}

/// `text` in printable ASCII, without blanks at its end, which FITS takes for none.
pub(super) fn encoded(text: &str) -> Cow<'_, str> {
    let printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if printable && !looks_encoded(text) && !text.ends_with(' ') {
        return text.into();
    }
    let end = text.trim_end_matches(' ').len();
    let mut ascii = String::new();
    for (place, byte) in text.bytes().enumerate() {
        if (b' '..=b'~').contains(&byte) && byte != b'%' && place < end {
            ascii.push(byte.into());
        } else {
            ascii += &format!("%{byte:02X}");
        }
    }
    ascii.into()
}

/// The text that [`encoded`] was given.
pub(in crate::catalogue) fn decoded(text: &str) -> String {
    if !looks_encoded(text) {
        return text.to_owned();
    }
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, others @ ..] = rest {
        let code =
            (*first == b'%').then(|| others.get(..2)).flatten().and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &others[2..];
            }
            None => {
                bytes.push(*first);
                rest = others;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A FITS file that is being written.
pub(super) struct Fits<W> {
    out: W,
    columns: Columns,
    /// Bytes of each column.
    widths: Vec<usize>,
    /// Rows that are still to come.
    left: u64,
    /// Bytes of the table so far.
    written: u64,
}

impl<W: Write> Fits<W> {
    pub fn new(mut out: W, columns: &Columns, facts: &[Fact], extent: &Extent) -> io::Result<Self> {
        let fields = fields(columns, Format::Fits);
        if fields.len() > 999 {
            return Err(io::Error::other("FITS knows no more than 999 columns; write Parquet"));
        }
        let width = |(column, kind): (usize, Type)| match kind {
            Type::Text => extent.widths.get(column).copied().unwrap_or(1),
            Type::Whole | Type::Double => 8,
            Type::Single => 4,
        };
        let widths: Vec<usize> = fields.iter().map(|field| field.kind).enumerate().map(width).collect();
        for header in [first_header(), table_header(&fields, &widths, facts, extent.rows)] {
            header.write_to(&mut out).map_err(io::Error::other)?;
        }
        Ok(Self { out, columns: columns.clone(), widths, left: extent.rows, written: 0 })
    }
}

/// The header of a file whose first data are in the extension.
fn first_header() -> Header {
    let mut header = Header::new();
    put(&mut header, "SIMPLE", HeaderValue::Logical(true), "FITS Standard 4.0");
    put(&mut header, "BITPIX", HeaderValue::Integer(8), "");
    put(&mut header, "NAXIS", HeaderValue::Integer(0), "the table is in the extension");
    put(&mut header, "EXTEND", HeaderValue::Logical(true), "");
    header
}

/// The header of the table.
fn table_header(fields: &[Field], widths: &[usize], facts: &[Fact], rows: u64) -> Header {
    let mut header = Header::new();
    put(&mut header, "XTENSION", text("BINTABLE"), "binary table");
    let sizes = [
        ("BITPIX", 8, ""),
        ("NAXIS", 2, ""),
        ("NAXIS1", widths.iter().sum::<usize>() as i64, "bytes of a row"),
        ("NAXIS2", rows as i64, "rows"),
        ("PCOUNT", 0, ""),
        ("GCOUNT", 1, ""),
        ("TFIELDS", fields.len() as i64, "columns"),
    ];
    for (name, number, about) in sizes {
        put(&mut header, name, HeaderValue::Integer(number), about);
    }
    put(&mut header, "EXTNAME", text("CLASSIFICATION"), "");
    for (number, (field, width)) in fields.iter().zip(widths).enumerate() {
        let form = match field.kind {
            Type::Text => format!("{width}A"),
            Type::Whole => "K".into(),
            Type::Double => "D".into(),
            Type::Single => "E".into(),
        };
        let number = number + 1;
        put(&mut header, &format!("TTYPE{number}"), text(&field.name), "");
        put(&mut header, &format!("TFORM{number}"), text(&form), "");
        if field.kind == Type::Whole {
            put(&mut header, &format!("TNULL{number}"), HeaderValue::Integer(NO_INDEX), "none");
        }
        for (name, value) in [("TUNIT", field.unit), ("TUCD", field.ucd), ("TCOMM", &field.about)] {
            if !value.is_empty() {
                put(&mut header, &format!("{name}{number}"), text(value), "");
            }
        }
    }
    let note = "Text that is not printable ASCII is written as %XX, bytes of UTF-8.";
    header.push(Keyword::commentary("COMMENT", note));
    put(&mut header, "LONGSTRN", text("OGIP 1.0"), "long texts go on in CONTINUE cards");
    for fact in facts {
        put(&mut header, fact.keyword, text(&fact.value), fact.about);
    }
    header
}

/// Adds a card; its comment gives way where there is no room.
fn put(header: &mut Header, name: &str, value: HeaderValue, about: &str) {
    let room = match &value {
        HeaderValue::String(text) => 64usize.saturating_sub(text.len().max(8)),
        _ => 47,
    };
    header.set(name, value, Some(about).filter(|about| !about.is_empty() && about.len() <= room));
}

/// A text as a card can hold it. A quote is written as two, which must not be torn apart where the card is continued.
fn text(text: &str) -> HeaderValue {
    let ascii = encoded(text);
    HeaderValue::String(if ascii.len() > 40 { ascii.replace('\'', "%27") } else { ascii.into_owned() })
}

impl<W: Write> Sink for Fits<W> {
    fn write(&mut self, row: &Row) -> io::Result<()> {
        self.left = self.left.checked_sub(1).ok_or_else(|| io::Error::other("there are more rows than before"))?;
        let mut bytes = Vec::with_capacity(self.widths.iter().sum());
        for (value, &width) in values(&self.columns, row).into_iter().zip(&self.widths) {
            match value {
                Value::Text(text) => {
                    // what is shorter than its column ends with NUL
                    let (text, end) = (encoded(text.unwrap_or_default()), bytes.len() + width);
                    bytes.extend_from_slice(&text.as_bytes()[..text.len().min(width)]);
                    bytes.resize(end, 0);
                }
                Value::Whole(number) => {
                    let number = number.and_then(|number| i64::try_from(number).ok()).unwrap_or(NO_INDEX);
                    bytes.extend_from_slice(&number.to_be_bytes());
                }
                Value::Double(number) => bytes.extend_from_slice(&number.unwrap_or(f64::NAN).to_be_bytes()),
                Value::Single(number) => bytes.extend_from_slice(&number.unwrap_or(f32::NAN).to_be_bytes()),
            }
        }
        self.written += bytes.len() as u64;
        self.out.write_all(&bytes)
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        if self.left > 0 {
            return Err(io::Error::other("there are fewer rows than before"));
        }
        let rest = self.written.next_multiple_of(2880) - self.written;
        self.out.write_all(&vec![0; rest as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_survives_as_ascii() {
        for (text, ascii) in [
            ("a b/c.png", "a b/c.png"),
            ("100%.png", "100%.png"),
            ("50%25.png", "50%2525.png"),
            ("ü 5%.png", "%C3%BC 5%25.png"),
            ("end  ", "end%20%20"),
            ("", ""),
        ] {
            assert_eq!((&*encoded(text), &decoded(ascii)[..]), (ascii, text));
        }
    }
}
