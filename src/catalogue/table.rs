//! The file that a job appends its rows to, and how a job continues what an earlier one left.
//!
//! Rows are written in whole lines, many at a time. `F.csv.meta.json` beside `F.csv` holds their provenance. A job that continues
//! writes `F.csv.part`: it copies the good rows of `F.csv` in order and classifies the other items again. When no earlier rows are
//! left, the part file becomes `F.csv` and the job appends to it. So there is always one file, or an old one and the beginning of
//! its successor, which the next job keeps.
//!
//! A table in another format (Parquet, FITS, VOTable) keeps its rows in `F.rows.csv`, in the same way, while a job runs. The end
//! of the job writes `F` in one go and removes them. A job that continues and finds no `F.rows.csv` makes it from `F`. So `F` is
//! always complete, and rows newer than `F` are never lost.

use super::earlier::{Earlier, WholeLines};
use super::finish;
use super::formats::Lines;
use super::locks::{open_locked, unwritable};
use super::{Columns, Format, Provenance, Row, Summary};
use crate::data::Items;
use crate::error::{Error, Result};
use crate::files::{beside, read_text, sync_folder_of, write_whole};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Longest description that is read, in bytes.
const LONGEST_META: u64 = 16 << 20;

/// What to do about a table that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Refuse.
    New,
    /// Replace it.
    Force,
    /// Continue it; begin one where there is none.
    Continue,
}

/// An open table, locked against other processes.
pub struct TableFile {
    /// The file that the user named.
    target: PathBuf,
    format: Format,
    /// The file with its rows: `target` itself, or the lines that become it.
    path: PathBuf,
    /// The file that rows are appended to: `path`, or its successor.
    out: PathBuf,
    file: File,
    /// Keeps `path` locked while a successor is written.
    earlier: Option<File>,
    lines: Box<dyn Lines>,
    /// Bytes of whole lines.
    length: u64,
    /// Rows that were kept without looking at their items.
    pub adopted: Summary,
}

/// The file with the rows of a table while a job runs.
fn rows_of(path: &Path, format: Format) -> PathBuf {
    if format.kind().is_none() { path.to_owned() } else { beside(path, ".rows.csv") }
}

impl TableFile {
    /// Refuses what [`TableFile::open`] would refuse, but changes nothing. Returns notes.
    ///
    /// # Errors
    /// A table that exists (in [`Mode::New`]), or whose rows have another provenance or an unknown one.
    pub fn check(path: &Path, mode: Mode, provenance: &Provenance) -> Result<Vec<String>> {
        let files = [path.to_owned(), rows_of(path, Format::of(path)?)];
        let found = files.iter().find(|file| file.symlink_metadata().is_ok());
        match (mode, found) {
            (Mode::New, Some(found)) => {
                let remedy = "do what is missing with --continue, replace it with --force, or name another --out";
                Err(Error::file(found, "exists already", remedy))
            }
            (Mode::Continue, Some(_)) => {
                let meta = beside(path, ".meta.json");
                let unknown = |problem: String| {
                    let problem = format!("it is not known what its rows were made with ({problem})");
                    Error::file(path, problem, "name another --out, or replace it with --force")
                };
                let text = read_text(&meta, LONGEST_META).map_err(|error| unknown(error.to_string()))?;
                let earlier = serde_json::from_str(&text).map_err(|e| unknown(format!("{}: {e}", meta.display())))?;
                provenance.check(path, &earlier)
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Opens the table to append rows; returns the rows of an earlier job too. Items whose rows are in the table already are
    /// taken from `items`.
    ///
    /// # Errors
    /// As [`TableFile::check`]; another process that writes to it; a file that cannot be written.
    pub fn open(
        path: &Path,
        mode: Mode,
        provenance: &Provenance,
        columns: &Columns,
        items: &mut Items,
    ) -> Result<(Self, Option<Earlier>)> {
        Self::check(path, mode, provenance)?;
        let format = Format::of(path)?;
        let rows = rows_of(path, format);
        if mode == Mode::Continue {
            if path.exists() && !rows.exists() {
                finish::restore(path, format, &rows, columns)?;
            }
            if rows.exists() {
                return Self::reopen((path, format), &rows, columns, items);
            }
        }
        // Rows go before their provenance is replaced, so that none stand beside another's.
        let lock = if rows.exists() { Some(open_locked(&rows, &mut OpenOptions::new())?) } else { None };
        let part = beside(&rows, ".part");
        for old in [&part, &rows, path] {
            match std::fs::remove_file(old) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(unwritable(old, error)),
                _ => {}
            }
        }
        drop(lock);
        let text = serde_json::to_string_pretty(provenance).map_err(|error| unwritable(path, error))?;
        write_whole(&beside(path, ".meta.json"), text.as_bytes())?;
        let file = open_locked(&rows, OpenOptions::new().create_new(true))?;
        let mut table = Self {
            target: path.into(),
            format,
            path: rows.clone(),
            out: rows,
            file,
            earlier: None,
            lines: format.lines(columns.clone()),
            length: 0,
            adopted: Summary::default(),
        };
        table.append(&table.lines.head())?;
        Ok((table, None))
    }

    /// Continues the rows in `path`, of a table at `target`.
    fn reopen(
        (target, format): (&Path, Format),
        path: &Path,
        columns: &Columns,
        items: &mut Items,
    ) -> Result<(Self, Option<Earlier>)> {
        let own = open_locked(path, &mut OpenOptions::new())?;
        let part = &beside(path, ".part");
        let mut lines = WholeLines::open(path).map_err(|error| unwritable(path, error))?;
        let mut format_of_rows = format.lines(columns.clone());
        let head = format_of_rows.head();
        let headed = lines.pass(&head).map_err(|error| unwritable(path, error))?;
        if !headed && lines.end > 0 {
            let problem = "its columns are not those of this job";
            return Err(Error::file(path, problem, "name another --out, or replace it with --force"));
        }
        let mut earlier = Earlier::new(lines, format.lines(columns.clone()));
        let file = open_locked(part, OpenOptions::new().create(true))?;

        let mut front = WholeLines::open(part).map_err(|error| unwritable(part, error))?;
        let (mut length, mut adopted) = (0, Summary::default());
        let unreadable = |error| unwritable(part, error);
        if front.pass(&head).map_err(unreadable)? {
            length = front.end;
            while let Some(line) = front.next().map_err(unreadable)? {
                let (Some(row), Some(item)) = (format_of_rows.row(&line), items.peek()) else { break };
                if !item.about.stands_for(&row.about) {
                    break;
                }
                earlier.take(&item.about);
                items.next();
                adopted.add(&row, columns, true);
                length = front.end;
            }
        }
        file.set_len(length).map_err(unreadable)?;
        let mut table = Self {
            target: target.into(),
            format,
            path: path.into(),
            out: part.into(),
            file,
            earlier: Some(own),
            lines: format_of_rows,
            length,
            adopted,
        };
        if length == 0 {
            table.append(&head)?;
        }
        Ok((table, Some(earlier)))
    }

    /// Appends rows.
    ///
    /// # Errors
    /// A file that cannot be written; it keeps whole lines only.
    pub fn write(&mut self, rows: &[Row]) -> Result<()> {
        self.append(&self.lines.lines(rows))
    }

    fn append(&mut self, lines: &[u8]) -> Result<()> {
        if let Err(error) = self.file.write_all(lines) {
            // Half a line would be dropped by the next job.
            let _ = self.file.set_len(self.length);
            return Err(unwritable(&self.out, error));
        }
        self.length += lines.len() as u64;
        Ok(())
    }

    /// Lets the successor replace the table, when no earlier rows are left.
    ///
    /// # Errors
    /// A file that cannot be renamed.
    pub fn settle(&mut self) -> Result<()> {
        if self.out == self.path {
            return Ok(());
        }
        self.sync()?;
        std::fs::rename(&self.out, &self.path).map_err(|error| unwritable(&self.path, error))?;
        self.out.clone_from(&self.path);
        self.earlier = None;
        sync_folder_of(&self.path).map_err(|error| unwritable(&self.path, error))
    }

    /// Makes sure that a power cut loses no row.
    ///
    /// # Errors
    /// What the disk says.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_all().map_err(|error| unwritable(&self.out, error))
    }

    /// The file with the rows while the job runs.
    pub fn rows(&self) -> &Path {
        &self.path
    }

    /// Whether [`TableFile::finish`] has a table to write, which takes time.
    pub fn is_to_be_made(&self) -> bool {
        self.format.kind().is_some() && self.out == self.path
    }

    /// Writes a table that is not lines of text from its rows and removes them; returns the file with the rows. Leaves everything
    /// as it is where a job was stopped before it saw all earlier rows.
    ///
    /// # Errors
    /// A file that cannot be written; the rows stay.
    pub fn finish(self, columns: &Columns, provenance: &Provenance) -> Result<PathBuf> {
        if !self.is_to_be_made() {
            return Ok(self.path);
        }
        finish::write(&self.target, self.format, &self.path, columns, provenance)?;
        // In this order, so that a crash leaves rows in both files rather than in none.
        std::fs::remove_file(&self.path)
            .and_then(|()| sync_folder_of(&self.path))
            .map_err(|error| unwritable(&self.path, error))?;
        Ok(self.target)
    }
}
