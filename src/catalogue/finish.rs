//! Writes finished rows as Parquet, FITS or VOTable, and turns such a table back into lines for a job that continues.
//!
//! Rows are streamed: memory is that of one row group. A file appears when it is complete.

use super::earlier::WholeLines;
use super::formats::{Extent, Format, decoded, facts, fields, parse};
use super::locks::{another_process, unwritable};
use super::{Columns, Provenance, Row};
use crate::data::tables::{Cell, TableReader, Wanted};
use crate::error::{Error, Result};
use crate::files::Unfinished;
use std::io::{self, Write};
use std::path::Path;

/// Writes the rows of `lines` as a table of `format` to `path`.
pub(super) fn write(
    path: &Path,
    format: Format,
    lines: &Path,
    columns: &Columns,
    provenance: &Provenance,
) -> Result<()> {
    let mut extent = Extent::default();
    if format == Format::Fits {
        each_row(lines, columns, |row| {
            extent.add(columns, &row);
            Ok(())
        })?;
    }
    let facts = facts(provenance, columns);
    whole(path, |out| {
        let failed = |error| unwritable(path, error);
        let Some(mut sink) = format.sink(out, columns, &facts, &extent).map_err(failed)? else { return Ok(()) };
        each_row(lines, columns, |row| sink.write(&row).map_err(failed))?;
        sink.finish().map_err(failed)
    })
}

/// Calls `take` with each row of a file of lines.
fn each_row(path: &Path, columns: &Columns, mut take: impl FnMut(Row) -> Result<()>) -> Result<()> {
    let failed =
        |problem: String| Error::file(path, problem, "run it again with --continue, which makes damaged rows anew");
    let unreadable = |error: io::Error| failed(format!("cannot be read ({error})"));
    let mut format = Format::Csv.lines(columns.clone());
    let mut lines = WholeLines::open(path).map_err(unreadable)?;
    if !lines.pass(&format.head()).map_err(unreadable)? {
        return Err(failed("its columns are not those of this job".into()));
    }
    while let Some(line) = lines.next().map_err(unreadable)? {
        match format.row(&line) {
            Some(row) => take(row)?,
            None => return Err(failed(format!("the line that ends at byte {} is no row", lines.end))),
        }
    }
    Ok(())
}

/// Writes the rows of the table at `path` as lines to `lines`, which must not exist. Leaves out rows that this program would not
/// have written; their items are classified again.
///
/// # Errors
/// A table that cannot be read or has other columns; a file that cannot be written; another process that does the same.
pub(super) fn restore(path: &Path, format: Format, lines: &Path, columns: &Columns) -> Result<()> {
    let Some(kind) = format.kind() else { return Ok(()) };
    let unreadable = |error: Error| {
        let problem = match error {
            Error::File { problem, .. } => format!("cannot be gone on with: it {problem}"),
            other => other.to_string(),
        };
        Error::file(path, problem, "name another --out, or replace it with --force")
    };
    let wanted: Vec<Wanted> =
        fields(columns, format).into_iter().map(|field| Wanted { name: field.name, ucd: None, needed: true }).collect();
    let rows = TableReader::open(path, kind, &wanted).map_err(unreadable)?;
    let csv = Format::Csv.lines(columns.clone());
    whole(lines, |out| {
        let failed = |error| unwritable(lines, error);
        if lines.exists() {
            return Err(another_process(lines));
        }
        out.write_all(&csv.head()).map_err(failed)?;
        for cells in rows {
            let cells = cells.map_err(unreadable)?;
            if let Some(row) = parse(columns, |place| text(&cells[place], format).map(Into::into)) {
                out.write_all(&csv.lines(&[row])).map_err(failed)?;
            }
        }
        Ok(())
    })
}

/// A value in as few digits as identify it.
fn text(cell: &Cell, format: Format) -> Option<String> {
    match cell {
        Cell::Null => None,
        Cell::Text(text) if format == Format::Fits => Some(decoded(std::str::from_utf8(text).ok()?)),
        Cell::Text(text) => String::from_utf8(text.clone()).ok(),
        Cell::Whole(number) => Some(number.to_string()),
        Cell::Single(number) => Some(format!("{number:?}")),
        Cell::Double(number) => Some(format!("{number:?}")),
    }
}

/// Writes a file whole, however long; no two processes write it at once.
fn whole(path: &Path, fill: impl FnOnce(&mut Unfinished) -> Result<()>) -> Result<()> {
    let failed = |error: io::Error| unwritable(path, error);
    let mut file = Unfinished::alone(path).map_err(failed)?.ok_or_else(|| another_process(path))?;
    fill(&mut file)?;
    file.finish().map_err(failed)
}
