//! Letters: one embedded typeface, measured and drawn the same on every machine, with no system font or fontconfig.
//!
//! It hands out coverage, pixel by pixel, and knows nothing of pictures or colours. Plotters could draw text itself, but
//! it drops the space on the left of every letter, which sets words unevenly.

use ab_glyph::{Font, FontRef, Glyph, PxScale, ScaleFont, point};

/// The typeface of all pictures. Its licence is the Ubuntu Font Licence 1.0, part of `epaint_default_fonts`.
const TYPEFACE: &[u8] = epaint_default_fonts::UBUNTU_LIGHT;

/// Height of a capital letter as a share of the size.
const CAPITAL: f32 = 0.693;

/// Width of the strokes that are added to a light typeface, as a share of the size: plain and bold.
const STROKE: [f32; 2] = [0.012, 0.045];

/// Distance between two lines of text as a share of the size.
pub(super) const LINE: f32 = 1.2;

/// One size of the typeface.
#[derive(Clone, Copy, Debug)]
pub(super) struct Type {
    /// Pixels of the em square.
    pub size: f32,
    /// Whether strokes are thickened.
    pub bold: bool,
}

impl Type {
    /// Plain letters of a size in pixels.
    pub fn plain(size: f32) -> Self {
        Self { size, bold: false }
    }

    /// Height of a capital letter in pixels.
    pub fn capital(self) -> f32 {
        self.size * CAPITAL
    }

    /// Width of a line of text in pixels.
    pub fn width(self, text: &str) -> f32 {
        self.layout(text, |_, _| ())
    }

    /// Calls `ink(x, y, coverage)` for each pixel that a line of text touches. The baseline starts at `(x, y)`; coverage
    /// is 0 to 1, and a pixel may be named more than once.
    pub fn draw(self, text: &str, (x, y): (f32, f32), mut ink: impl FnMut(i32, i32, f32)) {
        let stroke = STROKE[usize::from(self.bold)] * self.size;
        self.layout(text, |font, glyph| {
            let placed = Glyph { position: point(glyph.position.x + x, glyph.position.y + y), ..glyph };
            let Some(outline) = font.outline_glyph(placed) else { return };
            let bounds = outline.px_bounds();
            let (columns, rows) = (bounds.width() as usize, bounds.height() as usize);
            let mut coverage = vec![0.0; columns * rows];
            outline.draw(|column, row, value| coverage[row as usize * columns + column as usize] = value);
            let mut pixel = |column, row, value| ink(bounds.min.x as i32 + column, bounds.min.y as i32 + row, value);
            thicken(&coverage, columns, stroke, &mut pixel);
        });
    }

    /// Breaks text into lines at spaces and newlines, so that each is at most `width` pixels wide where its words allow.
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

    /// Wraps text into at most `lines` lines of `width` pixels at the largest size between `smallest` and this one that
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
            if font.size <= smallest {
                return (font, font.cut(wrapped, width, lines));
            }
            font.size = (font.size - 1.0).max(smallest);
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

    /// Places the letters of one line from the origin; returns its width.
    fn layout(self, text: &str, mut place: impl FnMut(&FontRef<'static>, Glyph)) -> f32 {
        // The bytes are part of the program and a test reads them, so that no user meets this.
        let Ok(font) = FontRef::try_from_slice(TYPEFACE) else { return 0.0 };
        let em = font.height_unscaled() / font.units_per_em().unwrap_or(1000.0);
        let scaled = font.as_scaled(PxScale::from(self.size * em));
        let (mut x, mut previous) = (0.0, None);
        for character in text.chars() {
            let id = scaled.glyph_id(character);
            x += previous.map_or(0.0, |before| scaled.kern(before, id));
            place(&font, id.with_scale_and_position(scaled.scale(), point(x, 0.0)));
            x += scaled.h_advance(id);
            previous = Some(id);
        }
        x
    }
}

/// Widens the strokes of one letter to the right by `stroke` pixels: each pixel takes the largest coverage among those up
/// to that far on its left, the farthest one in part.
fn thicken(coverage: &[f32], columns: usize, stroke: f32, pixel: &mut impl FnMut(i32, i32, f32)) {
    if columns == 0 {
        return;
    }
    let whole = stroke as usize;
    for (row, line) in coverage.chunks_exact(columns).enumerate() {
        for column in 0..columns + whole + 1 {
            let at = |back: usize| column.checked_sub(back).and_then(|c| line.get(c)).copied().unwrap_or(0.0);
            let near = (0..=whole).map(at).fold(0.0, f32::max);
            let value = near + (at(whole + 1) - near).max(0.0) * stroke.fract();
            if value > 0.0 {
                pixel(column as i32, row as i32, value.min(1.0));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_typeface_has_the_letters_that_reports_need() {
        let font = FontRef::try_from_slice(TYPEFACE).unwrap();
        for character in ('!'..='~').chain("…–×±éüα".chars()) {
            assert!(font.glyph_id(character).0 != 0, "no glyph for {character}");
        }
    }

    #[test]
    fn capitals_stand_on_the_baseline_and_are_as_high_as_stated() {
        let font = Type::plain(100.0);
        let (mut top, mut bottom, mut right) = (i32::MAX, i32::MIN, i32::MIN);
        font.draw("H", (10.0, 200.0), |x, y, coverage| {
            if coverage > 0.5 {
                (top, bottom, right) = (top.min(y), bottom.max(y), right.max(x));
            }
        });
        assert!((bottom - 199).abs() <= 1, "bottom {bottom}");
        assert!((200.0 - top as f32 - font.capital()).abs() <= 1.5, "top {top}");
        assert!((right as f32) < 10.0 + font.width("H"));
    }

    #[test]
    fn fitting_wraps_shrinks_and_at_last_cuts() {
        let font = Type::plain(20.0);
        let (same, lines) = font.fit("Barred Spiral", 400.0, 1, 10.0);
        assert_eq!((same.size, lines), (20.0, vec!["Barred Spiral".to_string()]));

        let (_, lines) = font.fit("In-between Round Smooth Galaxy", 180.0, 2, 10.0);
        assert_eq!(lines, ["In-between Round", "Smooth Galaxy"].map(String::from), "balanced lines");

        let (small, lines) = font.fit("Unbarred Tight Spiral Galaxy", 160.0, 1, 4.0);
        assert!(small.size < 20.0 && lines.len() == 1 && small.width(&lines[0]) <= 160.0);

        let (_, lines) = font.fit(&"word ".repeat(50), 100.0, 2, 20.0);
        assert_eq!(lines.len(), 2);
        assert!(lines[1].ends_with('…') && font.width(&lines[1]) <= 100.0);
        assert_eq!(font.fit("a\nb", 100.0, 2, 20.0).1, ["a", "b"]);
    }
}
