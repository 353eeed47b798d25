//! Columns of FITS tables written as text (FITS Standard 4.0, section 7.2), as VizieR writes them.

use fitskit::Header;

use super::{Cell, LONGEST_ROW};

/// A column: text or a number in fixed bytes of a row.
#[derive(Clone, Debug)]
pub(super) struct TextColumn {
    /// Bytes before it in a row, and its length in bytes.
    start: usize,
    bytes: usize,
    /// The letter of its type: A, I, F, E or D.
    letter: u8,
    /// Values are `zero + scale * value`.
    scale: f64,
    zero: f64,
    /// What stands for nothing.
    null: Option<String>,
}

impl TextColumn {
    /// Column `number` (from 1).
    pub fn of(header: &Header, number: usize) -> Result<Self, String> {
        let form = header.get_string(&format!("TFORM{number}")).unwrap_or_default().trim().to_owned();
        let bad = || format!("TFORM{number} is {form:?}");
        let (&letter, width) = form.as_bytes().split_first().ok_or_else(bad)?;
        let width = std::str::from_utf8(width).ok().and_then(|width| width.split('.').next()?.parse::<usize>().ok());
        let bytes = width.filter(|width| (1..=LONGEST_ROW).contains(width) && b"AIFED".contains(&letter));
        let bytes = bytes.ok_or_else(bad)?;
        let first = header.get_int(&format!("TBCOL{number}")).and_then(|first| usize::try_from(first).ok());
        let start = first.and_then(|first| first.checked_sub(1)).filter(|start| *start <= 64 * LONGEST_ROW);
        let start = start.ok_or_else(|| format!("TBCOL{number} is missing or no place in a row"))?;
        let float = |name: &str, otherwise: f64| header.get_float(&format!("{name}{number}")).unwrap_or(otherwise);
        let null = header.get_string(&format!("TNULL{number}")).map(|null| null.trim().to_owned());
        Ok(Self { start, bytes, letter, scale: float("TSCAL", 1.0), zero: float("TZERO", 0.0), null })
    }

    /// The byte of a row behind it.
    pub fn end(&self) -> usize {
        self.start + self.bytes
    }

    /// Its value in a row.
    pub fn cell(&self, row: &[u8]) -> Result<Cell, String> {
        let bytes = row.get(self.start..self.end()).unwrap_or_default();
        let text = bytes.trim_ascii();
        if text.is_empty() || self.null.as_deref().is_some_and(|null| null.as_bytes() == text) {
            return Ok(Cell::Null);
        }
        let unscaled = self.scale == 1.0 && self.zero == 0.0;
        let bad = || format!("{:?} is no number", String::from_utf8_lossy(text));
        let number = std::str::from_utf8(text).map_err(|_| bad());
        match self.letter {
            b'A' => Ok(Cell::text(bytes.trim_ascii_end())),
            b'I' if unscaled => number?.parse().map(Cell::Whole).map_err(|_| bad()),
            _ => {
                // Fortran writes the exponent of a double with D
                let value: f64 = number?.replace(['D', 'd'], "E").parse().map_err(|_| bad())?;
                Ok(Cell::double(self.zero + self.scale * value))
            }
        }
    }
}
