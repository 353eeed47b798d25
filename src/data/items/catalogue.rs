//! A catalogue: a CSV file with a column `path` (or `path_g`, `path_r` and `path_z`) and perhaps `id`, `ra` and `dec`, read row by
//! row.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use csv::ByteRecord;

use super::{About, Item, Origin};
use crate::{Error, Result};

/// Longest row, in bytes: a quote that is never closed would make the rest of the file one.
const LONGEST_ROW: usize = 1 << 20;

/// A file of which no row takes more than its share of memory.
struct Rationed {
    file: File,
    /// Bytes that may still be read for this row.
    ration: Arc<AtomicUsize>,
}

impl Read for Rationed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let ration = self.ration.load(Ordering::Relaxed);
        if ration == 0 {
            return Err(io::Error::other("a row is longer than 1 MiB: a quote may not be closed"));
        }
        let most = buffer.len().min(ration);
        let count = self.file.read(&mut buffer[..most])?;
        self.ration.store(ration - count, Ordering::Relaxed);
        Ok(count)
    }
}

/// An open catalogue.
pub(super) struct Catalogue {
    path: PathBuf,
    reader: csv::Reader<Rationed>,
    ration: Arc<AtomicUsize>,
    record: ByteRecord,
    /// Numbers of the columns: `path`, `id`, `ra`, `dec`, `path_g`, `path_r`, `path_z`.
    columns: [Option<usize>; 7],
    ended: bool,
}

impl Catalogue {
    /// Opens the file and reads its header. Names of columns may be in capitals.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be read or has neither a column `path` nor one for each band.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |problem: &dyn std::fmt::Display| {
            Error::file(
                path,
                format!("cannot be read ({problem})"),
                "give a CSV file with a header and a column `path`",
            )
        };
        let file = File::open(path).map_err(|error| failed(&error))?;
        if !file.metadata().map_err(|error| failed(&error))?.is_file() {
            return Err(failed(&"it is no file"));
        }
        let ration = Arc::new(AtomicUsize::new(LONGEST_ROW));
        let rationed = Rationed { file, ration: ration.clone() };
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(rationed);
        let header = reader.byte_headers().map_err(|error| failed(&error))?;
        let name =
            |field: &[u8]| String::from_utf8_lossy(field).trim_start_matches('\u{feff}').trim().to_ascii_lowercase();
        let names: Vec<String> = header.iter().map(name).collect();
        let wanted = ["path", "id", "ra", "dec", "path_g", "path_r", "path_z"];
        let columns = wanted.map(|wanted| names.iter().position(|name| name == wanted));
        if columns[0].is_none() && columns[4..].iter().any(Option::is_none) {
            let problem = format!("has no column `path`, but {}", names.join(", "));
            return Err(Error::file(
                path,
                problem,
                "name the column with the pictures' files `path`, or those of three bands `path_g`, `path_r`, `path_z`",
            ));
        }
        Ok(Self { path: path.to_owned(), reader, ration, record: ByteRecord::new(), columns, ended: false })
    }

    /// The next row.
    pub fn next(&mut self) -> Option<Item> {
        self.ration.store(LONGEST_ROW, Ordering::Relaxed);
        // where the row begins; its error may be noticed lines later
        let line = self.reader.position().line();
        match self.reader.read_byte_record(&mut self.record) {
            _ if self.ended => None,
            Ok(false) => None,
            Ok(true) => Some(self.item()),
            Err(error) => {
                self.ended = true;
                let problem = format!("ends early, in line {line} ({error})");
                Some(Item::failed(
                    &self.path,
                    Error::file(&self.path, problem, "mend the row, then go on with --continue"),
                ))
            }
        }
    }

    fn field(&self, column: usize) -> &[u8] {
        self.columns[column].and_then(|place| self.record.get(place)).unwrap_or_default()
    }

    fn item(&self) -> Item {
        let text = |column| String::from_utf8_lossy(self.field(column)).into_owned();
        let line = self.record.position().map_or(0, csv::Position::line);
        let refused =
            |what: &str, remedy: &str| Error::file(&self.path, format!("line {line} {what}"), remedy).to_string();
        let mut about = About { id: text(1), path: text(0), ..About::default() };
        let beside = |path: &str| self.path.parent().unwrap_or(Path::new("")).join(path);
        let bands = [4, 5, 6].map(|column| std::str::from_utf8(self.field(column)).unwrap_or_default());
        let mut origin = match std::str::from_utf8(self.field(0)) {
            Ok("") if bands.iter().all(|path| !path.is_empty()) => {
                about.path = bands[0].to_owned();
                Origin::Bands(bands.map(beside))
            }
            Ok("") => Origin::Nowhere(refused("has no path", "fill the column `path`")),
            Ok(path) => Origin::Picture(beside(path)),
            Err(_) => Origin::Nowhere(refused("has a path that is not UTF-8", "save the catalogue as UTF-8")),
        };
        for (column, name, most) in [(2, "ra", 360.0), (3, "dec", 90.0)] {
            let found = text(column);
            let degrees = match found.trim() {
                "" => Ok(None),
                number => number.parse::<f64>().map(|degrees| Some(degrees).filter(|degrees| !degrees.is_nan())),
            };
            match degrees {
                Ok(degrees) if degrees.is_none_or(|degrees| degrees.abs() <= most) => {
                    *(if column == 2 { &mut about.ra } else { &mut about.dec }) = degrees;
                }
                _ => {
                    let what = format!("has {found:?} as {name}");
                    let remedy = format!("give decimal degrees from -{most} to {most}, or nothing");
                    origin = Origin::Nowhere(refused(&what, &remedy));
                }
            }
        }
        Item::new(about, origin)
    }
}
