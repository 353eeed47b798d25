//! SVG, written shape by shape: classes say what a shape is, a style sheet how it looks, and every text is escaped.

use super::font::CAPITAL;
use quick_xml::escape::escape;
use std::fmt::{Display, Write};

/// `x` from the left and `y` from the top.
pub(super) type Point = (f64, f64);

/// Elements, one after the other.
#[derive(Clone, Debug, Default)]
pub(super) struct Svg(String);

impl Svg {
    /// The elements as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Puts other elements after these.
    pub fn append(&mut self, other: &Self) {
        self.0 += &other.0;
    }

    fn add(&mut self, element: std::fmt::Arguments) {
        // writing to a String cannot fail
        let _ = self.0.write_fmt(element);
    }

    /// Elements in a group with these attributes.
    pub fn group(&mut self, attributes: impl Display, draw: impl FnOnce(&mut Self)) {
        self.add(format_args!("<g {attributes}>"));
        draw(self);
        self.0 += "</g>";
    }

    /// What a reader is told who points at this group.
    pub fn title(&mut self, words: &str) {
        self.add(format_args!("<title>{}</title>", clean(words)));
    }

    /// A rectangle by its corner, width and height.
    pub fn rect(&mut self, class: &str, [x, y, width, height]: [f64; 4]) {
        let [x, y, width, height] = [x, y, width, height].map(number);
        self.add(format_args!(r#"<rect class="{class}" x="{x}" y="{y}" width="{width}" height="{height}"/>"#));
    }

    /// A straight line.
    pub fn line(&mut self, class: &str, from: Point, to: Point) {
        self.path(class, &format!("M{}L{}", pair(from), pair(to)));
    }

    /// A path by its data.
    pub fn path(&mut self, class: &str, data: &str) {
        self.add(format_args!(r#"<path class="{class}" d="{data}"/>"#));
    }

    /// A circle around a point.
    pub fn circle(&mut self, class: &str, (x, y): Point, radius: f64) {
        let [x, y, radius] = [x, y, radius].map(number);
        self.add(format_args!(r#"<circle class="{class}" cx="{x}" cy="{y}" r="{radius}"/>"#));
    }

    /// A line of text; `y` is the middle of its capitals. It begins at `x`, but for the classes `middle` and `end`.
    pub fn text(&mut self, class: &str, (x, y): Point, size: f64, words: &str) {
        let [x, y, size] = [x, y + size * f64::from(CAPITAL) / 2.0, size].map(number);
        let words = clean(words);
        self.add(format_args!(r#"<text class="{class}" x="{x}" y="{y}" font-size="{size}">{words}</text>"#));
    }

    /// A line of text that is read from below.
    pub fn upright(&mut self, class: &str, at: Point, size: f64, words: &str) {
        self.group(format_args!(r#"transform="rotate(-90 {})""#, pair(at)), |svg| svg.text(class, at, size, words));
    }
}

/// With at most two decimals: no one sees more.
pub(super) fn place(value: f64) -> f64 {
    // adding zero turns -0 into 0
    (value * 100.0).round() / 100.0 + 0.0
}

fn number(value: f64) -> String {
    place(value).to_string()
}

/// A point as path data.
pub(super) fn pair((x, y): Point) -> String {
    format!("{} {}", number(x), number(y))
}

/// Text for an element or attribute. Characters that XML does not allow, and those that would turn the direction of what follows,
/// become the replacement character.
pub(super) fn clean(words: &str) -> String {
    let harmful = |c: char| {
        c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}')
    };
    escape(words.replace(harmful, "\u{fffd}")).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_words_stay_words_and_numbers_are_short() {
        let mut svg = Svg::default();
        svg.text("end", (1.0 / 3.0, -0.001), 10.0, "</text><script>\"'&\u{0}\u{202e}\u{200f}");
        let text = svg.as_str();
        assert!(text.starts_with(r#"<text class="end" x="0.33" y="3.46" font-size="10">"#), "{text}");
        assert!(text.contains("&lt;/text&gt;&lt;script&gt;&quot;&apos;&amp;\u{fffd}\u{fffd}\u{200f}</text>"), "{text}");
    }
}
