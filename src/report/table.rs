//! Aligned text tables for the terminal: plain characters, no boxes.
//!
//! It returns text and knows nothing of terminals or of what the columns mean.

use std::fmt;

/// Rows of text under a header, each column as wide as its widest cell.
#[derive(Clone, Debug)]
pub struct Table {
    header: Vec<String>,
    right: Vec<bool>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with these column titles, all left-aligned.
    pub fn new<T: ToString>(header: &[T]) -> Self {
        Self { header: header.iter().map(T::to_string).collect(), right: vec![false; header.len()], rows: Vec::new() }
    }

    /// Aligns these columns, counted from 0, to the right, as numbers want. Columns that do not exist are ignored.
    #[must_use]
    pub fn right(mut self, columns: impl IntoIterator<Item = usize>) -> Self {
        for column in columns {
            if let Some(right) = self.right.get_mut(column) {
                *right = true;
            }
        }
        self
    }

    /// Appends a row. Missing cells are empty; cells beyond the header are left out.
    pub fn row<T: ToString>(&mut self, cells: &[T]) -> &mut Self {
        let mut row: Vec<String> = cells.iter().map(T::to_string).collect();
        row.resize(self.header.len(), String::new());
        self.rows.push(row);
        self
    }
}

impl fmt::Display for Table {
    /// Header, a rule of dashes, rows; each line ends with a newline and without spaces.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = || std::iter::once(&self.header).chain(&self.rows);
        let width = |column: usize| lines().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.header.len()).map(width).collect();
        for (index, line) in lines().enumerate() {
            let cell = |column: usize| match (self.right[column], widths[column]) {
                (true, width) => format!("{:>width$}", line[column]),
                (false, width) => format!("{:<width$}", line[column]),
            };
            let text = (0..line.len()).map(cell).collect::<Vec<_>>().join("  ");
            writeln!(f, "{}", text.trim_end())?;
            if index == 0 {
                let rules: Vec<String> = widths.iter().map(|&width| "-".repeat(width)).collect();
                writeln!(f, "{}", rules.join("  "))?;
            }
        }
        Ok(())
    }
}

/// `8520490` as `8,520,490`.
pub fn with_separators(number: impl ToString) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_end_clean() {
        let mut table = Table::new(&["layer", "params", "note"]).right([1]);
        table.row(&["conv2d_1", "448", "3 × 3"]).row(&["é", "8388864"]).row(&["a", "b", "c", "beyond"]);
        let expected = "\
layer      params  note
--------  -------  -----
conv2d_1      448  3 × 3
é         8388864
a               b  c
";
        assert_eq!(table.to_string(), expected);
    }

    #[test]
    fn an_empty_table_is_its_header() {
        assert_eq!(Table::new(&["one", "two"]).to_string(), "one  two\n---  ---\n");
        assert_eq!(Table::new::<&str>(&[]).to_string(), "\n\n");
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        let numbers = [0u64, 12, 999, 1000, 8_520_490, 1_000_000_007].map(with_separators);
        assert_eq!(numbers, ["0", "12", "999", "1,000", "8,520,490", "1,000,000,007"]);
    }
}
