//! The file that a job's rows are appended to, and how a job goes on with what an earlier one has left.
//!
//! Rows are written in whole lines, one write for many. Beside `F.csv` stands `F.csv.meta.json`: what its rows were made with. A
//! job that goes on writes `F.csv.part`: rows of `F.csv` that are sound are taken over in order, others are made again. Once
//! no earlier rows are left it becomes `F.csv`, and is appended to. So at any moment there is one file, or an old one and
//! the front of its successor, which the next job takes over as it is.
//!
//! A table that is no lines of text has its rows in `F.rows.csv`, in the same way, while a job runs. At the job's end they become
//! `F`, whole and at once, and are removed; a job that goes on and finds no `F.rows.csv` makes it of `F`. So `F` is never half
//! a table, and rows that are newer than `F` are never lost.

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
    /// Go on with it; begin where there is none.
    Continue,
}

/// An open table, which no other process may open.
pub struct Table {
    /// What the user has asked for.
    target: PathBuf,
    format: Format,
    /// Its rows: the table itself, or the lines that it is made of.
    path: PathBuf,
    /// Where rows go: to `path` itself, or to its successor.
    out: PathBuf,
    file: File,
    /// Held with `file`: the file that is being succeeded.
    earlier: Option<File>,
    lines: Box<dyn Lines>,
    /// Bytes of whole lines.
    length: u64,
    /// What was taken over unseen.
    pub adopted: Summary,
}

/// Where the rows of a table are while a job runs.
fn rows_of(path: &Path, format: Format) -> PathBuf {
    if format.kind().is_none() { path.to_owned() } else { beside(path, ".rows.csv") }
}

impl Table {
    /// Refuses what [`Table::open`] would, before any work is done, and changes nothing. Returns notes.
    ///
    /// # Errors
    /// A table that exists (in [`Mode::New`]), or whose rows were made with something else, or nobody knows with what.
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

    /// Opens the table to append rows, and the rows of an earlier job, which are to be taken over. Items whose rows are taken
    /// over unseen are taken from `items`.
    ///
    /// # Errors
    /// As [`Table::check`]; another process that writes to it; a file that cannot be written.
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
        // Never rows without a description, and never another's: first the rows go, then theirs is replaced.
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

    /// Goes on with the rows in `path`, of a table at `target`.
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
    /// A file that cannot be written; whole lines are left.
    pub fn write(&mut self, rows: &[Row]) -> Result<()> {
        self.append(&self.lines.lines(rows))
    }

    fn append(&mut self, lines: &[u8]) -> Result<()> {
        if let Err(error) = self.file.write_all(lines) {
            // what is left of a line would be dropped by the next job
            let _ = self.file.set_len(self.length);
            return Err(unwritable(&self.out, error));
        }
        self.length += lines.len() as u64;
        Ok(())
    }

    /// No earlier rows are left: the successor takes the place of the table, and is appended to from now on.
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

    /// Makes the rows outlast a power cut.
    ///
    /// # Errors
    /// What the disk says.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_all().map_err(|error| unwritable(&self.out, error))
    }

    /// The file that rows are in while the job runs.
    pub fn rows(&self) -> &Path {
        &self.path
    }

    /// Whether [`Table::finish`] has something to do that takes its time.
    pub fn is_to_be_made(&self) -> bool {
        self.format.kind().is_some() && self.out == self.path
    }

    /// Makes the table of its rows, which are removed then, where it is no lines of text, and returns the file that holds the
    /// rows now. A job that was stopped before all earlier rows were seen leaves them, and an earlier table, as they are.
    ///
    /// # Errors
    /// A file that cannot be written; the rows stay.
    pub fn finish(self, columns: &Columns, provenance: &Provenance) -> Result<PathBuf> {
        if !self.is_to_be_made() {
            return Ok(self.path);
        }
        finish::write(&self.target, self.format, &self.path, columns, provenance)?;
        // in this order: rows that have become a table may be there twice, but never not at all
        std::fs::remove_file(&self.path)
            .and_then(|()| sync_folder_of(&self.path))
            .map_err(|error| unwritable(&self.path, error))?;
        Ok(self.target)
    }
}
