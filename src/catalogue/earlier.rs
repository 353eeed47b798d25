//! Rows of an earlier job, matched with the items of this one in a single pass over both.

use super::Row;
use super::formats::Lines;
use crate::data::ItemInfo;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// Longest line that is read, in bytes: ten times a row of 256 classes with the longest file names.
const LONGEST_LINE: u64 = 1 << 20;
/// Rows that are searched for an item: at most so many consecutive rows may belong to items that are gone.
const AHEAD: usize = 1024;

/// Reads the complete lines of a file that may be cut off or damaged.
pub(super) struct WholeLines {
    file: BufReader<File>,
    /// End of the last line that was returned, in bytes.
    pub end: u64,
}

impl WholeLines {
    pub fn open(path: &Path) -> std::io::Result<Self> {
        Ok(Self { file: BufReader::with_capacity(1 << 16, File::open(path)?), end: 0 })
    }

    /// The next line with its line break; `None` where none is complete, or it is too long.
    pub fn next(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let count = (&mut self.file).take(LONGEST_LINE).read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            return Ok(None);
        }
        self.end += count as u64;
        Ok(Some(line))
    }

    /// Skips the lines of `head`; false where they are not there.
    pub fn pass(&mut self, head: &[u8]) -> std::io::Result<bool> {
        for line in head.split_inclusive(|&byte| byte == b'\n') {
            if self.next()?.as_deref() != Some(line) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The rows of an earlier job. Memory: [`AHEAD`] of them.
pub struct Earlier {
    lines: WholeLines,
    format: Box<dyn Lines>,
    /// Rows whose items have not come yet.
    window: VecDeque<Row>,
    ended: bool,
}

impl Earlier {
    /// The rows of a file whose head has been read.
    pub(super) fn new(lines: WholeLines, format: Box<dyn Lines>) -> Self {
        Self { lines, format, window: VecDeque::new(), ended: false }
    }

    /// Takes the row of an item, and drops the rows before it, whose items are gone. `None` for an item that is new or whose row
    /// was damaged.
    pub(super) fn take(&mut self, about: &ItemInfo) -> Option<Row> {
        for place in 0..AHEAD {
            if place == self.window.len() {
                let row = self.next()?;
                self.window.push_back(row);
            }
            if about.stands_for(&self.window[place].about) {
                self.window.drain(..place);
                return self.window.pop_front();
            }
        }
        None
    }

    /// Whether all rows have been taken or dropped.
    pub(super) fn is_spent(&self) -> bool {
        self.ended && self.window.is_empty()
    }

    /// The next good row. Where the file cannot be read any further, the remaining items are classified again.
    fn next(&mut self) -> Option<Row> {
        while !self.ended {
            match self.lines.next() {
                Ok(Some(line)) => match self.format.row(&line) {
                    Some(row) => return Some(row),
                    None => continue,
                },
                _ => self.ended = true,
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Columns, Format};
    use super::*;
    use std::io::Write;

    fn about(number: usize) -> ItemInfo {
        ItemInfo { path: format!("{number}.png"), ..ItemInfo::default() }
    }

    fn earlier(numbers: &[usize], tail: &str) -> Earlier {
        let format = Format::Csv.lines(Columns { classes: vec!["a".into()], min_confidence: 0.0 });
        let rows: Vec<Row> = numbers.iter().map(|&n| Row { about: about(n), outcome: Ok(vec![1.0]) }).collect();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&[format.head(), format.lines(&rows), tail.into()].concat()).unwrap();
        let mut lines = WholeLines::open(file.path()).unwrap();
        assert!(lines.pass(&format.head()).unwrap());
        Earlier::new(lines, format)
    }

    #[test]
    fn rows_are_found_though_items_come_and_go() {
        let mut old = earlier(&[1, 2, 3, 5, 8, 9], ",torn.png,,,,1.");
        let found: Vec<bool> = [0, 1, 3, 4, 5, 6, 7, 8].map(|n| old.take(&about(n)).is_some()).to_vec();
        assert_eq!(found, [false, true, true, false, true, false, false, true]);
        assert!(!old.is_spent());
        assert!(old.take(&about(9)).is_some() && old.take(&about(10)).is_none() && old.is_spent());
    }

    #[test]
    fn damaged_lines_are_passed_over() {
        let mut old = earlier(&[1], "\0\0\0\0\nnonsense\n\"open,quote\n");
        assert!(old.take(&about(1)).is_some() && old.take(&about(2)).is_none() && old.is_spent());
        // a line without end is not read into memory
        let mut old = earlier(&[1], &"x".repeat(3 << 20));
        assert!(old.take(&about(1)).is_some() && old.take(&about(2)).is_none() && old.is_spent());
    }

    #[test]
    fn the_search_for_a_row_is_bounded() {
        let mut old = earlier(&(0..3000).collect::<Vec<_>>(), "");
        assert!(old.take(&about(AHEAD)).is_none() && old.window.len() == AHEAD);
        assert!(old.take(&about(AHEAD - 1)).is_some() && old.take(&about(AHEAD)).is_some());
    }
}
