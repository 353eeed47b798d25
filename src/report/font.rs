//! The embedded typeface: how wide its words are and where lines break, the same on every machine.

use skrifa::instance::{LocationRef, Size};
use skrifa::{FontRef, MetadataProvider};

/// The typeface of all pictures. Its licence is the Ubuntu Font Licence 1.0, part of `epaint_default_fonts`.
pub(super) const TYPEFACE: &[u8] = epaint_default_fonts::UBUNTU_LIGHT;

/// Height of a capital letter as a fraction of the size.
pub(super) const CAPITAL: f32 = 0.693;

/// Distance between two lines of text as a fraction of the size.
pub(super) const LINE: f32 = 1.2;

/// One size of the typeface, in pixels or units of a drawing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Type(pub f32);

impl Type {
    /// Width of a line of text.
    pub fn width(self, text: &str) -> f32 {
        // The bytes are part of the program and a test reads them, so that no user meets this.
        let Ok(font) = FontRef::new(TYPEFACE) else { return 0.0 };
        let (letters, metrics) = (font.charmap(), font.glyph_metrics(Size::new(self.0), LocationRef::default()));
        text.chars().filter_map(|letter| metrics.advance_width(letters.map(letter).unwrap_or_default())).sum()
    }

    /// Breaks text into lines at spaces and newlines, so that each is at most `width` wide where its words allow.
    pub fn wrap(self, text: &str, width: f32) -> Vec<String> {
        let mut lines = Vec::new();
        for paragraph in text.lines() {
            let mut line = String::new();
            for word in paragraph.split_whitespace() {
                let longer = if line.is_empty() { word.to_string() } else { format!("{line} {word}") };
                if line.is_empty() || self.width(&longer) <= width {
                    line = longer;
                } else {
                    lines.push(std::mem::replace(&mut line, word.to_string()));
                }
            }
            lines.push(line);
        }
        lines
    }

    /// Wraps text into at most `lines` lines of this width, at the largest size between `smallest` and this one that
    /// fits. What does not fit even at the smallest size is cut and ends with an ellipsis.
    pub fn fit(self, text: &str, width: f32, lines: usize, smallest: f32) -> (Self, Vec<String>) {
        let fits = |font: Self, wrapped: &[String]| {
            wrapped.len() <= lines && wrapped.iter().all(|line| font.width(line) <= width)
        };
        let mut font = self;
        loop {
            let wrapped = font.wrap(text, width);
            if fits(font, &wrapped) {
                return (font, text.lines().flat_map(|line| font.balance(line, width)).collect());
            }
            if font.0 <= smallest {
                return (font, font.cut(wrapped, width, lines));
            }
            font.0 = (font.0 - 1.0).max(smallest);
        }
    }

    /// Wraps one paragraph into lines of about one length: the narrowest width that needs no more lines.
    fn balance(self, text: &str, width: f32) -> Vec<String> {
        let wrapped = self.wrap(text, width);
        let narrower = (1..20).map(|step| self.wrap(text, width * (1.0 - step as f32 / 20.0)));
        let same = |candidate: &Vec<String>| {
            candidate.len() == wrapped.len() && candidate.iter().all(|line| self.width(line) <= width)
        };
        narrower.take_while(same).last().unwrap_or(wrapped)
    }

    fn cut(self, wrapped: Vec<String>, width: f32, lines: usize) -> Vec<String> {
        let lost = wrapped.len() > lines;
        let mut kept: Vec<String> = wrapped.into_iter().take(lines).collect();
        let last = kept.len().saturating_sub(1);
        for (index, line) in kept.iter_mut().enumerate() {
            let ends_early = lost && index == last;
            if self.width(line) <= width && !ends_early {
                continue;
            }
            while !line.is_empty() && self.width(&format!("{line}…")) > width {
                line.pop();
            }
            line.push('…');
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_typeface_has_the_letters_that_reports_need() {
        let font = FontRef::new(TYPEFACE).unwrap();
        for character in ('!'..='~').chain("…–×±éüα".chars()) {
            assert!(font.charmap().map(character).is_some(), "no glyph for {character}");
        }
    }

    #[test]
    fn fitting_wraps_shrinks_and_at_last_cuts() {
        let font = Type(20.0);
        let (same, lines) = font.fit("Barred Spiral", 400.0, 1, 10.0);
        assert_eq!((same.0, lines), (20.0, vec!["Barred Spiral".to_string()]));

        let (_, lines) = font.fit("In-between Round Smooth Galaxy", 180.0, 2, 10.0);
        assert_eq!(lines, ["In-between Round", "Smooth Galaxy"].map(String::from), "balanced lines");

        let (small, lines) = font.fit("Unbarred Tight Spiral Galaxy", 160.0, 1, 4.0);
        assert!(small.0 < 20.0 && lines.len() == 1 && small.width(&lines[0]) <= 160.0);

        let (_, lines) = font.fit(&"word ".repeat(50), 100.0, 2, 20.0);
        assert_eq!(lines.len(), 2);
        assert!(lines[1].ends_with('…') && font.width(&lines[1]) <= 100.0);
        assert_eq!(font.fit("a\nb", 100.0, 2, 20.0).1, ["a", "b"]);
    }
}
