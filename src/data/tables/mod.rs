//! Reads the wanted columns of tables of other programs, row by row: CSV, Parquet, VOTable and FITS tables; all but Parquet may
//! be packed by gzip or bzip2.
//!
//! Memory does not grow with the number of rows: a row of text takes at most 1 MiB, a row of FITS 64 MiB, a column of
//! Parquet one page and its dictionary (64 MiB each; 512 MiB where it holds pictures). A damaged table is refused in one sentence; a decoder that
//! panics is caught. This folder knows nothing of what the columns mean.

mod base64;
mod csv;
mod fits;
mod fits_text;
mod limit;
mod pages;
mod parquet;
mod votable;
mod votable_fields;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

pub use fits::holds_table;
pub use parquet::{PICTURES, class_names};

use crate::files::open_file;
use crate::{Error, Result};

/// Longest row of text, and longest text of a cell, in bytes.
const LONGEST_ROW: usize = 1 << 20;

/// Format of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Comma-separated values with a header.
    Csv,
    /// Apache Parquet.
    Parquet,
    /// An XML table of the International Virtual Observatory Alliance.
    VoTable,
    /// A table in a FITS file, binary or text; the file may as well hold images.
    Fits,
}

impl Kind {
    /// The format that a file's ending means, where text may be packed (`.csv.gz`, `.vot.bz2`); `None` for other endings.
    pub fn of(path: &Path) -> Option<Self> {
        let ending = |path: &Path| Some(path.extension()?.to_string_lossy().to_ascii_lowercase());
        let last = ending(path)?;
        let is_packed = matches!(&last[..], "gz" | "bz2");
        let name = if is_packed { ending(Path::new(path.file_stem()?))? } else { last };
        match &name[..] {
            "csv" => Some(Self::Csv),
            "vot" | "votable" | "xml" => Some(Self::VoTable),
            "parquet" if !is_packed => Some(Self::Parquet),
            "fits" | "fit" | "fts" if !is_packed => Some(Self::Fits),
            _ => None,
        }
    }
}

/// A column to be read.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its name; capitals do not matter.
    pub name: String,
    /// Unified Content Descriptor that identifies it where no column has the name.
    pub ucd: Option<&'static str>,
    /// Whether a table without it is refused.
    pub needed: bool,
}

/// A value of a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Nothing: null, not a number, or no text.
    Null,
    /// Text, perhaps not UTF-8.
    Text(Vec<u8>),
    /// A whole number.
    Whole(i128),
    /// A number of 32 bits.
    Single(f32),
    /// A number of 64 bits.
    Double(f64),
}

impl Cell {
    fn text(text: &[u8]) -> Self {
        if text.is_empty() { Self::Null } else { Self::Text(text.to_owned()) }
    }

    fn single(number: f32) -> Self {
        if number.is_nan() { Self::Null } else { Self::Single(number) }
    }

    fn double(number: f64) -> Self {
        if number.is_nan() { Self::Null } else { Self::Double(number) }
    }
}

/// An open table of one format.
trait Rows: Send {
    /// The next row, with a cell for each wanted column; or what is wrong with it.
    fn next(&mut self) -> Result<Option<Vec<Cell>>, String>;

    /// Where the row is that was read last or cannot be read.
    fn place(&self) -> String;

    /// Unit of this wanted column; empty where the table has none.
    fn unit(&self, _wanted: usize) -> &str {
        ""
    }
}

/// A column as a table describes it.
#[derive(Debug, Default)]
struct Described {
    name: String,
    ucd: String,
}

/// The numbers of the wanted columns, found by name or else by UCD, the first of several; an error that names a missing column
/// that is needed.
fn find(columns: &[Described], wanted: &[Wanted]) -> Result<Vec<Option<usize>>, String> {
    let place = |wanted: &Wanted| {
        let named = columns.iter().position(|column| column.name.trim().eq_ignore_ascii_case(&wanted.name));
        let known = |ucd: &str| columns.iter().position(|column| column.ucd.trim().eq_ignore_ascii_case(ucd));
        named.or_else(|| wanted.ucd.and_then(known))
    };
    let places: Vec<Option<usize>> = wanted.iter().map(place).collect();
    match wanted.iter().zip(&places).find(|(wanted, place)| wanted.needed && place.is_none()) {
        None => Ok(places),
        Some((wanted, _)) => {
            let names: Vec<&str> = columns.iter().map(|column| column.name.trim()).collect();
            Err(format!("has no column `{}`, but {}", wanted.name, names.join(", ")))
        }
    }
}

/// The first of these names that a table has as a column it can be read from.
///
/// # Errors
/// As [`TableReader::open`] of the first name, where there is none.
pub fn column_of(path: &Path, kind: Kind, names: &[&'static str]) -> Result<&'static str> {
    let open = |name: &str| TableReader::open(path, kind, &[Wanted { name: name.into(), ucd: None, needed: true }]);
    let mut refusal = None;
    for &name in names {
        match open(name) {
            Ok(_) => return Ok(name),
            Err(error) => _ = refusal.get_or_insert(error),
        }
    }
    Err(refusal.unwrap_or_else(|| Error::file(path, "is asked for no column", "name one")))
}

/// A table that is being read.
pub struct TableReader {
    path: PathBuf,
    rows: Box<dyn Rows>,
    ended: bool,
}

impl TableReader {
    /// Opens a table and finds the wanted columns.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be read, is no table of this kind, or lacks a column that is needed.
    pub fn open(path: &Path, kind: Kind, wanted: &[Wanted]) -> Result<Self> {
        let refused = |problem: String| Error::file(path, problem, remedy(kind, wanted));
        let regular = path.metadata().map(|about| about.is_file());
        match regular {
            Err(error) => return Err(refused(format!("cannot be read ({error})"))),
            // a pipe would be waited for without end
            Ok(false) => return Err(refused("cannot be read (it is no file)".into())),
            Ok(true) => drop(open_file(path)?),
        }
        let open = || -> Result<Box<dyn Rows>, String> {
            Ok(match kind {
                Kind::Csv => Box::new(csv::Csv::open(path, wanted)?),
                Kind::Parquet => Box::new(parquet::Parquet::open(path, wanted)?),
                Kind::VoTable => Box::new(votable::VoTable::open(path, wanted)?),
                Kind::Fits => Box::new(fits::Fits::open(path, wanted)?),
            })
        };
        let rows = unbroken(open).map_err(refused)?;
        Ok(Self { path: path.to_owned(), rows, ended: false })
    }

    /// Where the row is that was read last: `line 7` of a text, `row 7` of other tables, from 1.
    pub fn place(&self) -> String {
        self.rows.place()
    }

    /// Unit of this wanted column in FITS and VOTables; empty where there is none.
    pub fn unit(&self, wanted: usize) -> &str {
        self.rows.unit(wanted).trim()
    }
}

impl Iterator for TableReader {
    type Item = Result<Vec<Cell>>;

    /// The next row, with cells in the order of the wanted columns. An error is the last item.
    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = unbroken(|| self.rows.next());
        self.ended = !matches!(next, Ok(Some(_)));
        match next {
            Ok(row) => row.map(Ok),
            Err(error) => {
                let problem = format!("ends early, in {} ({error})", self.rows.place());
                Some(Err(Error::file(&self.path, problem, "mend it there, then run it again with --continue")))
            }
        }
    }
}

/// The result of `read`. A decoder that panics counts as a damaged file.
fn unbroken<T>(read: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err("its decoder broke down".into()))
}

fn remedy(kind: Kind, wanted: &[Wanted]) -> String {
    let what = match kind {
        Kind::Csv => "CSV file with a header",
        Kind::Parquet => "Parquet file",
        Kind::VoTable => "VOTable",
        Kind::Fits => "FITS file with a table",
    };
    let needed = wanted.iter().find(|column| column.needed).map(|column| format!(" and a column `{}`", column.name));
    format!("give a {what}{}", needed.unwrap_or_default())
}
