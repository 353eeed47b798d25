//! A catalogue: a table with a column `path` (or `path_g`, `path_r` and `path_z`) and perhaps `id`, `ra` and `dec`, read row by row;
//! or a Parquet file with the pictures in it ([`PICTURES`]).

use std::path::{Path, PathBuf};

use super::{Item, ItemInfo, Origin};
use crate::data::fits;
use crate::data::tables::{Cell, Kind, PICTURES, TableReader, Wanted, column_of};
use crate::{Error, Result};

/// The columns, and the UCDs by which names and positions are found too (UCD1+, IVOA).
const COLUMNS: [(&str, Option<&str>); 7] = [
    ("path", None),
    ("id", Some("meta.id;meta.main")),
    ("ra", Some("pos.eq.ra;meta.main")),
    ("dec", Some("pos.eq.dec;meta.main")),
    ("path_g", None),
    ("path_r", None),
    ("path_z", None),
];

/// An open catalogue.
pub(super) struct Catalogue {
    path: PathBuf,
    table: TableReader,
    /// Whether pictures are in the table, and how many rows were read.
    holds_pictures: bool,
    rows: u64,
}

impl Catalogue {
    /// Opens the table and finds its columns. Names of columns may be in capitals.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be read, has neither a column `path` nor one for each band, or says that its positions
    /// are not in degrees.
    pub fn open(path: &Path) -> Result<Self> {
        let kind = Kind::of(path).unwrap_or(if fits::is_named(path) { Kind::Fits } else { Kind::Csv });
        let open = |needed: fn(&str) -> bool| {
            let wanted = COLUMNS.map(|(name, ucd)| Wanted { name: name.into(), ucd, needed: needed(name) });
            TableReader::open(path, kind, &wanted)
        };
        // Images in three files need no `path`, pictures in the table neither.
        let of_files =
            open(|name| name == "path").or_else(|error| open(|name| name.starts_with("path_")).map_err(|_| error));
        let (table, holds_pictures) = match (of_files, kind) {
            (Err(error), Kind::Parquet) => (Self::of_pictures(path).map_err(|_| error)?, true),
            (table, _) => (table?, false),
        };
        for (column, name) in [(2, "ra"), (3, "dec")] {
            let unit = table.unit(column);
            if !["", "deg", "degree", "degrees"].iter().any(|degrees| unit.eq_ignore_ascii_case(degrees)) {
                return Err(Error::file(path, format!("has {name} in {unit:?}"), "give decimal degrees (unit deg)"));
            }
        }
        Ok(Self { path: path.to_owned(), table, holds_pictures, rows: 0 })
    }

    /// Opens a table with pictures: in place of bands they are the fifth column, and their names the sixth.
    fn of_pictures(path: &Path) -> Result<TableReader> {
        let picture = column_of(path, Kind::Parquet, &PICTURES)?;
        let mut wanted = COLUMNS.map(|(name, ucd)| Wanted { name: name.into(), ucd, needed: false });
        wanted[4] = Wanted { name: picture.into(), ucd: None, needed: true };
        wanted[5].name = picture.replace("bytes", "path");
        TableReader::open(path, Kind::Parquet, &wanted)
    }

    /// The next row.
    pub fn next(&mut self) -> Option<Item> {
        match self.table.next()? {
            Ok(cells) => {
                self.rows += 1;
                Some(self.item(cells))
            }
            Err(error) => Some(Item::failed(&self.path, error)),
        }
    }

    fn item(&self, mut cells: Vec<Cell>) -> Item {
        let place = self.table.place();
        let refused = |what: &str, remedy: &str| Error::file(&self.path, format!("{place} {what}"), remedy).to_string();
        let stored = if self.holds_pictures { std::mem::replace(&mut cells[4], Cell::Null) } else { Cell::Null };
        let text = |column: usize| cells.get(column).map(text).unwrap_or_default();
        let mut about = ItemInfo { id: text(1), path: text(0), ..ItemInfo::default() };
        let beside = |path: &str| self.path.parent().unwrap_or(Path::new("")).join(path);
        let bands = [4, 5, 6].map(text);
        if self.holds_pictures {
            about.path = self.path.display().to_string();
            about.index = Some(self.rows - 1);
            about.id = if about.id.is_empty() { text(5) } else { about.id };
        }
        let mut origin = match &cells[0] {
            _ if self.holds_pictures => match stored {
                Cell::Text(bytes) => Origin::Packed(bytes.into()),
                _ => Origin::Nowhere(refused("has no picture", "fill it, or leave the row out")),
            },
            Cell::Text(path) => match std::str::from_utf8(path) {
                Ok(path) => Origin::Picture(beside(path)),
                Err(_) => Origin::Nowhere(refused("has a path that is not UTF-8", "save the catalogue as UTF-8")),
            },
            Cell::Null if bands.iter().all(|path| !path.is_empty()) => {
                about.path.clone_from(&bands[0]);
                Origin::Bands(bands.each_ref().map(|path| beside(path)))
            }
            Cell::Null => Origin::Nowhere(refused("has no path", "fill the column `path`")),
            _ => Origin::Nowhere(refused("has a number as path", "fill the column `path` with the names of files")),
        };
        for (column, name, most) in [(2, "ra", 360.0), (3, "dec", 90.0)] {
            match degrees(&cells[column]).filter(|degrees| degrees.is_none_or(|degrees| degrees.abs() <= most)) {
                Some(degrees) => *(if column == 2 { &mut about.ra } else { &mut about.dec }) = degrees,
                None => {
                    let what = format!("has {:?} as {name}", text(column));
                    let remedy = format!("give decimal degrees from -{most} to {most}, or nothing");
                    origin = Origin::Nowhere(refused(&what, &remedy));
                }
            }
        }
        Item::new(about, origin)
    }
}

/// A value as text, without a decimal point where it is whole.
fn text(cell: &Cell) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Text(text) => String::from_utf8_lossy(text).into_owned(),
        Cell::Whole(number) => number.to_string(),
        Cell::Single(number) => number.to_string(),
        Cell::Double(number) => number.to_string(),
    }
}

/// An angle, which may be missing; the outer `None` where it is not a number.
fn degrees(cell: &Cell) -> Option<Option<f64>> {
    match cell {
        Cell::Null => Some(None),
        Cell::Text(text) => match std::str::from_utf8(text).ok()?.trim() {
            "" => Some(None),
            number => number.parse::<f64>().ok().map(|degrees| Some(degrees).filter(|degrees| !degrees.is_nan())),
        },
        Cell::Whole(number) => Some(Some(*number as f64)),
        Cell::Single(number) => Some(Some((*number).into())),
        Cell::Double(number) => Some(Some(*number)),
    }
}
