//! The confusion matrix: a heat map for papers and pages, and a table for terminals.

use super::chart::{LABEL, NAME, TITLE};
use super::drawing::Drawing;
use super::font::{LINE, Type};
use super::svg::{Point, Svg};
use super::table::Table;
use crate::error::{Error, Result};
use colorous::BLUES;
use std::path::Path;

/// Largest number of classes that a picture shows readably.
const MOST_CLASSES: usize = 50;
/// Room around all, for an axis' title, above the matrix, and right of it.
const MARGIN: f64 = 10.8;
const AXIS_TITLE: f64 = 24.0;
const TOP: f64 = 38.4;
const RIGHT: f64 = 90.0;
/// Most room for class names beside the matrix, and under it where they stand upright.
const NAMES: f64 = 168.0;
/// Steps of the scale of colours.
const STEPS: usize = 120;

/// Sizes in units, which depend on the classes.
struct Layout {
    cell: f64,
    left: f64,
    /// Size of the class names.
    labels: f64,
    upright: bool,
    names: Vec<String>,
}

impl Layout {
    fn new(classes: &[String]) -> Self {
        // the narrowest has room for a count and whole percents
        let cell = (600.0 / classes.len() as f64).clamp(24.0, 79.2);
        let labels = (cell * 0.2).clamp(7.8, LABEL);
        let names = short_names(classes);
        let (font, room) = (Type(labels as f32), cell as f32 - 4.8);
        // Upright where a word is wider than its column, or names would need more than three lines.
        let level = |name: &String| {
            let lines = font.wrap(name, room);
            lines.len() <= 3 && lines.iter().all(|line| font.width(line) <= room)
        };
        let upright = !names.iter().all(level);
        let mut layout = Self { cell, left: 0.0, labels, upright, names };
        layout.left = MARGIN + AXIS_TITLE + layout.widest() + 8.4;
        layout
    }

    fn widest(&self) -> f64 {
        let widths = self.names.iter().map(|name| Type(self.labels as f32).width(name));
        f64::from(widths.fold(0.0, f32::max)).clamp(24.0, NAMES)
    }

    /// Length of the matrix' sides.
    fn side(&self) -> f64 {
        self.cell * self.names.len() as f64
    }

    /// The lines of a name under the matrix that is not upright.
    fn level(&self, name: &str) -> Vec<String> {
        Type(self.labels as f32).wrap(name, self.cell as f32 - 4.8)
    }

    fn below(&self) -> f64 {
        if self.upright {
            return self.widest() + 8.4;
        }
        let lines = self.names.iter().map(|name| self.level(name).len()).max().unwrap_or(1);
        lines as f64 * self.labels * f64::from(LINE) + 10.8
    }
}

/// Draws a heat map as what the path ends in: rows are true classes, columns predicted ones; the colour is the fraction of the row,
/// cells show counts and percent of the row, without decimals where there is little room. `counts` is `C x C`; the picture's size
/// grows with `C`. The ending " Galaxy" is left out where the names stay distinct without it; long names are wrapped or shortened.
///
/// # Errors
/// [`Error::Data`] when there are not 2 to 50 classes or `counts` is not square; [`Error::File`] when the picture cannot be
/// saved.
pub fn confusion_matrix(classes: &[String], counts: &[Vec<u64>], path: &Path) -> Result<()> {
    check(classes, counts)?;
    if !(2..=MOST_CLASSES).contains(&classes.len()) {
        let problem = format!("{} classes cannot be drawn readably", classes.len());
        return Err(Error::data("confusion matrix", problem, "draw 2 to 50 classes, or use the table"));
    }
    drawing(classes, counts).save(path)
}

/// The heat map of any number of classes.
pub(super) fn drawing(classes: &[String], counts: &[Vec<u64>]) -> Drawing {
    let layout = Layout::new(classes);
    let mut svg = Svg::default();
    for (row, line) in counts.iter().enumerate() {
        for column in 0..line.len() {
            cell(&mut svg, &layout, classes, line, (row, column));
        }
    }
    lines(&mut svg, &layout);
    for (index, name) in layout.names.iter().enumerate() {
        name_of_class(&mut svg, &layout, name, (index as f64 + 0.5) * layout.cell);
    }
    let (middle, side) = (layout.left + layout.side() / 2.0, layout.side());
    svg.text("middle bold", (middle, TOP / 2.0), TITLE, "Confusion Matrix");
    svg.text("middle", (middle, TOP + side + layout.below() + AXIS_TITLE / 2.0), NAME, "Predicted class");
    svg.upright("middle", (MARGIN + 6.0, TOP + side / 2.0), NAME, "True class");
    scale(&mut svg, &layout);
    let (width, height) = (layout.left + side + RIGHT, TOP + side + layout.below() + AXIS_TITLE + MARGIN);
    Drawing { width: width.ceil(), height: height.ceil(), body: svg }
}

/// A table for the terminal: numbered classes, true ones in rows and predicted ones in columns, and under it what the
/// numbers mean.
///
/// # Errors
/// [`Error::Data`] when `counts` is not `C x C`.
pub fn confusion_table(classes: &[String], counts: &[Vec<u64>]) -> Result<String> {
    check(classes, counts)?;
    let numbers = (0..classes.len()).map(|class| class.to_string());
    let header: Vec<String> = std::iter::once("true \\ predicted".to_string()).chain(numbers).collect();
    let mut table = Table::new(&header).right(0..=classes.len());
    for (class, row) in counts.iter().enumerate() {
        let cells: Vec<String> =
            std::iter::once(class.to_string()).chain(row.iter().map(|count| count.to_string())).collect();
        table.row(&cells);
    }
    let width = (classes.len() - 1).to_string().len();
    let legend: String =
        classes.iter().enumerate().map(|(class, name)| format!("{class:>width$} = {name}\n")).collect();
    Ok(format!("{table}\n{legend}"))
}

fn check(classes: &[String], counts: &[Vec<u64>]) -> Result<()> {
    if classes.is_empty() || counts.len() != classes.len() || counts.iter().any(|row| row.len() != classes.len()) {
        let problem = format!("{} classes do not match {} rows of counts", classes.len(), counts.len());
        return Err(Error::data("confusion matrix", problem, "give one row and one column per class"));
    }
    Ok(())
}

/// Names without the ending " Galaxy", unless two names would become one.
pub(super) fn short_names(classes: &[String]) -> Vec<String> {
    let short: Vec<String> =
        classes.iter().map(|name| name.strip_suffix(" Galaxy").unwrap_or(name).to_string()).collect();
    let distinct: std::collections::BTreeSet<&String> = short.iter().collect();
    if distinct.len() == classes.len() && short.iter().all(|name| !name.is_empty()) { short } else { classes.to_vec() }
}

/// A colour for a fraction of a row: ColorBrewer's "Blues" (<https://colorbrewer2.org>), which are safe for every kind of colour
/// vision; a page has colours of its own.
fn shade(fraction: f64) -> String {
    let blue = match fraction > 0.0 {
        true => format!("#{:x}", BLUES.eval_continuous(fraction.min(1.0))),
        false => "#ffffff".to_owned(),
    };
    format!(r#"fill="{blue}" style="--fraction: {fraction:.4}""#)
}

/// A cell; one with images has a place in `data-cell`, for the page to open them.
fn cell(svg: &mut Svg, layout: &Layout, classes: &[String], line: &[u64], (row, column): (usize, usize)) {
    let (count, total) = (line[column], line.iter().sum::<u64>());
    let fraction = count as f64 / total.max(1) as f64;
    let side = layout.cell;
    let (x, y) = (layout.left + column as f64 * side, TOP + row as f64 * side);
    let (middle, center) = (x + side / 2.0, y + side / 2.0);
    let place = if count > 0 { format!(r#"class="cell" data-cell="{row}-{column}""#) } else { String::new() };
    svg.group(place, |svg| {
        let images = if count == 1 { "image" } else { "images" };
        let (label, predicted, percent) = (&classes[row], &classes[column], super::chosen::percent(fraction));
        svg.title(&format!("True {label}, predicted {predicted}: {count} {images}, {percent} of the row"));
        svg.group(shade(fraction), |svg| svg.rect("shade", [x, y, side, side]));
        let color = if fraction > 0.55 { " light" } else { "" };
        let largest = (side * 0.24).clamp(7.2, 15.6);
        if count == 0 {
            return svg.text("middle faint", (middle, center), largest, "0");
        }
        let text = count.to_string();
        // Five digits in the narrowest cell are smaller than two.
        let natural = f64::from(Type(largest as f32).width(&text));
        let bold = if row == column { " bold" } else { "" };
        let size = largest * ((side - 3.6) / natural).min(1.0);
        svg.text(&format!("middle count{color}{bold}"), (middle, center - side * 0.1), size, &text);
        let decimals = usize::from(side >= 33.6);
        let percent = format!("{:.decimals$} %", 100.0 * fraction);
        svg.text(&format!("middle{color}"), (middle, center + side * 0.18), (largest * 0.66).max(6.6), &percent);
    });
}

/// Thin lines between the cells and a frame around all.
fn lines(svg: &mut Svg, layout: &Layout) {
    let (left, side) = (layout.left, layout.side());
    for index in 1..layout.names.len() {
        let offset = index as f64 * layout.cell;
        svg.line("grid", (left + offset, TOP), (left + offset, TOP + side));
        svg.line("grid", (left, TOP + offset), (left + side, TOP + offset));
    }
    svg.rect("axis", [left, TOP, side, side]);
}

/// A name beside its row and under its column, the middle of which is so far along the side.
fn name_of_class(svg: &mut Svg, layout: &Layout, name: &str, middle: f64) {
    let size = layout.labels;
    let room = ((layout.cell - 1.2) / (size * f64::from(LINE))).max(1.0) as usize;
    let (_, lines) = Type(size as f32).fit(name, NAMES as f32, room.min(2), size as f32);
    let stack = |lines: &[String], draw: &mut dyn FnMut(f64, &str)| {
        for (index, line) in lines.iter().enumerate() {
            draw((index as f64 - (lines.len() as f64 - 1.0) / 2.0) * size * f64::from(LINE), line);
        }
    };
    let (beside, under): (Point, Point) =
        ((layout.left - 6.0, TOP + middle), (layout.left + middle, TOP + layout.side() + 6.0));
    stack(&lines, &mut |offset, line| svg.text("end", (beside.0, beside.1 + offset), size, line));
    if layout.upright {
        stack(&lines, &mut |offset, line| svg.upright("end", (under.0 + offset, under.1), size, line));
    } else {
        let lines = layout.level(name);
        let first = size * f64::from(LINE) * (lines.len() as f64 - 1.0) / 2.0 + 4.8;
        stack(&lines, &mut |offset, line| svg.text("middle", (under.0, under.1 + first + offset), size, line));
    }
}

/// The scale of the colours on the right: the fraction of the row, in percent.
fn scale(svg: &mut Svg, layout: &Layout) {
    let (left, side, width) = (layout.left + layout.side() + 15.6, layout.side(), 13.2);
    let step = side / STEPS as f64;
    for index in 0..STEPS {
        let top = TOP + side - (index + 1) as f64 * step;
        // over the one above, so that no seam shows
        let height = if index == 0 { step } else { step * 1.5 };
        let fraction = (index as f64 + 0.5) / STEPS as f64;
        svg.group(shade(fraction), |svg| svg.rect("shade", [left, top, width, height.min(TOP + side - top)]));
    }
    svg.rect("axis", [left, TOP, width, side]);
    for percent in (0..=100).step_by(20) {
        let at = TOP + side * (1.0 - f64::from(percent) / 100.0);
        svg.line("axis", (left + width, at), (left + width + 3.0, at));
        svg.text("", (left + width + 6.0, at), 9.6, &format!("{percent} %"));
    }
    svg.upright("middle", (left + width + 46.8, TOP + side / 2.0), 9.6, "Fraction of the true class");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::drawing::{SCALE, tests::picture};

    fn strings<const N: usize>(names: [&str; N]) -> Vec<String> {
        names.map(String::from).to_vec()
    }

    #[test]
    fn the_ending_galaxy_is_spared_where_names_stay_distinct() {
        assert_eq!(
            short_names(&strings(["Round Galaxy", "Edge-on Galaxy with Bulge"])),
            ["Round", "Edge-on Galaxy with Bulge"]
        );
        assert_eq!(short_names(&strings(["Round Galaxy", "Round"])), ["Round Galaxy", "Round"]);
    }

    #[test]
    fn few_and_many_classes_are_drawn_with_the_diagonal_darkest() {
        for count in [2, 10, 50] {
            let classes: Vec<String> = (0..count).map(|class| format!("Class number {class}")).collect();
            let counts: Vec<Vec<u64>> =
                (0..count).map(|row| (0..count).map(|column| if row == column { 90 } else { 1 }).collect()).collect();
            let picture = picture(|path| confusion_matrix(&classes, &counts, path));
            let layout = Layout::new(&classes);
            // Near the corner of a cell, away from its text.
            let red = |row: f64, column: f64| {
                let at = |start: f64, index: f64| ((start + index * layout.cell + 2.4) * SCALE) as u32;
                picture.get_pixel(at(layout.left, column), at(TOP, row)).0[0]
            };
            assert!(red(1.0, 1.0) < 200 && red(0.0, 1.0) > 240, "{count} classes: {} {}", red(1.0, 1.0), red(0.0, 1.0));
        }
    }

    #[test]
    fn wrong_shapes_and_paths_are_refused() {
        let names = strings(["a", "b"]);
        let path = Path::new("/nonexistent folder/matrix.png");
        let refused = |names: &[String], counts: &[Vec<u64>]| confusion_matrix(names, counts, path).unwrap_err();
        assert!(matches!(refused(&names, &[vec![1, 2], vec![3]]), Error::Data { .. }));
        assert!(matches!(refused(&names[..1], &[vec![1]]), Error::Data { .. }));
        assert!(matches!(refused(&names, &[vec![0, 0], vec![0, 0]]), Error::File { .. }));
        assert!(confusion_table(&[], &[]).is_err());
    }

    #[test]
    fn the_table_has_numbers_and_a_legend() {
        let got = confusion_table(&strings(["Round", "Merging"]), &[vec![120, 3], vec![0, 45]]).unwrap();
        let expected = "\
true \\ predicted    0   1
----------------  ---  --
               0  120   3
               1    0  45

0 = Round
1 = Merging
";
        assert_eq!(got, expected);
    }
}
