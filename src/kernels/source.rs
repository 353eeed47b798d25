//! The whole text of a kernel as it is compiled: prelude, `shaders/common/`, its own file; and the way from a line of it back to
//! the file that the line stands in.

use super::imitation::imitate;
use super::{Prelude, Shader};

/// Files that stand before every kernel.
pub const COMMON_FILES: usize = 7;

/// Everything a kernel is compiled from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    /// The first lines.
    pub prelude: Prelude,
    /// What stands before every kernel.
    pub common: [Shader; COMMON_FILES],
    /// The kernel's own file.
    pub shader: Shader,
}

impl Source {
    /// The text, as the compiler gets it.
    pub fn text(&self) -> String {
        self.parts().into_iter().map(|(_, text)| text).collect()
    }

    /// The parts of the text in order, each with the place of its file.
    pub fn parts(&self) -> Vec<(String, String)> {
        let kernel = match self.prelude.matrix.filter(|matrix| matrix.imitated) {
            Some(matrix) => imitate(self.shader.text, matrix),
            None => self.shader.text.to_owned(),
        };
        let prelude = ("prelude".to_owned(), self.prelude.text());
        let common = self.common.iter().map(|file| (file.place(), file.text.to_owned()));
        std::iter::once(prelude).chain(common).chain([(self.shader.place(), kernel)]).collect()
    }

    /// Whether all of it is the crate's own.
    pub fn is_own(&self) -> bool {
        self.common.iter().chain([&self.shader]).all(|file| file.folder.is_none())
    }

    /// Whether it may run without the driver's checks: the crate's own text, which the tests have run checked, or a user's who
    /// vouches for it.
    pub fn is_trusted(&self) -> bool {
        self.common.iter().chain([&self.shader]).all(|file| file.folder.is_none_or(|folder| folder.trusted))
    }

    /// The file that a line of the text (from 1) stands in, and its number there.
    pub fn locate(&self, line: usize) -> (String, usize) {
        let mut before = 0;
        for (file, text) in self.parts() {
            let lines = text.lines().count();
            if line <= before + lines {
                return (file, line - before);
            }
            before += lines;
        }
        // the end of the text
        (self.shader.place(), self.shader.text.lines().count())
    }

    /// A compiler's message with the lines of the whole text replaced by those of the files: naga prints `wgsl:70:9` and numbers the
    /// lines that it quotes (`70 │     let x = y;`).
    pub fn translate(&self, message: &str) -> String {
        let lines = message.trim().lines().map(|line| self.translate_line(line));
        lines.collect::<Vec<String>>().join("\n")
    }

    /// The file and line that a compiler's message names first.
    pub fn first_place(&self, message: &str) -> Option<(String, usize)> {
        message.lines().find_map(place_in).map(|(_, line, _)| self.locate(line))
    }

    fn translate_line(&self, line: &str) -> String {
        if let Some((before, number, column)) = place_in(line) {
            let (file, number) = self.locate(number);
            return format!("{before}─ {file}:{number}:{column}");
        }
        let Some((number, quoted)) = line.split_once(" │") else { return line.to_owned() };
        match number.trim().parse() {
            Ok(found) => format!("{:>width$} │{quoted}", self.locate(found).1, width = number.len()),
            Err(_) => line.to_owned(),
        }
    }
}

/// What stands before a place in naga's message, its line and its column: `  ┌─ wgsl:70:9`.
fn place_in(line: &str) -> Option<(&str, usize, &str)> {
    let (before, place) = line.split_once("─ wgsl:")?;
    let (number, column) = place.split_once(':')?;
    Some((before, number.parse().ok()?, column))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{Precision, Shaders};
    use crate::shader;

    fn source() -> Source {
        let prelude = Prelude { precision: Precision::Mixed, matrix: None };
        Source { prelude, common: Shaders::default().common(), shader: shader!("relu/forward_direct.wgsl") }
    }

    #[test]
    fn every_line_is_found_in_its_file() {
        let source = source();
        let text = source.text();
        for (number, line) in text.lines().enumerate() {
            let (file, place) = source.locate(number + 1);
            let part = source.parts().into_iter().find(|(name, _)| *name == file).unwrap();
            assert_eq!(part.1.lines().nth(place - 1), Some(line), "line {} is {file}:{place}", number + 1);
        }
        assert_eq!(source.locate(1), ("prelude".to_owned(), 1));
        assert_eq!(source.locate(100_000).0, "shaders/relu/forward_direct.wgsl");
        assert!(source.is_own() && source.is_trusted());
    }

    #[test]
    fn messages_name_the_file_and_its_line() {
        let source = source();
        let first = source.text().lines().position(|line| line.starts_with("override ELEMENTS")).unwrap() + 1;
        let message =
            format!("\nerror: wrong\n   ┌─ wgsl:{first}:10\n   │\n{first} │ override ELEMENTS: u32;\n   │ ^^ a\n");
        let want =
            "error: wrong\n   ┌─ shaders/relu/forward_direct.wgsl:3:10\n   │\n  3 │ override ELEMENTS: u32;\n   │ ^^ a";
        let got = source.translate(&message);
        assert_eq!(source.first_place(&message), Some(("shaders/relu/forward_direct.wgsl".to_owned(), 3)));
        assert_eq!(got.replace("  3 │", " 3 │"), want.replace("  3 │", " 3 │"), "{got}");
    }
}
