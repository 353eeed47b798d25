//! The confusion matrix: a heat map for papers and a table for terminals.
//!
//! It reads names and counts and knows nothing of how they were measured.

use std::path::Path;

use plotters::prelude::*;
use plotters::style::FontStyle;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::canvas::{self, Area, Drawn, INK, OVERSAMPLING, px, text_style};
use super::font::{LINE, Type};
use super::table::Table;
use crate::error::{Error, Result};

/// Largest number of classes that a picture shows readably.
const MOST_CLASSES: usize = 50;

/// ColorBrewer's sequential "Blues" (<https://colorbrewer2.org>), white first: safe for every kind of colour vision.
const BLUES: [[f64; 3]; 9] = [
    [255.0, 255.0, 255.0],
    [222.0, 235.0, 247.0],
    [198.0, 219.0, 239.0],
    [158.0, 202.0, 225.0],
    [107.0, 174.0, 214.0],
    [66.0, 146.0, 198.0],
    [33.0, 113.0, 181.0],
    [8.0, 81.0, 156.0],
    [8.0, 48.0, 107.0],
];

/// Everything about a confusion matrix's picture in saved pixels.
struct Layout {
    cell: f64,
    left: f64,
    top: f64,
    labels: f64,
    upright: bool,
    names: Vec<String>,
}

const MARGIN: f64 = 18.0;
/// Narrowest cell, which has room for a count and whole percents.
const NARROWEST: f64 = 40.0;
const AXIS_TITLE: f64 = 40.0;
const BAR: f64 = 22.0;
const RIGHT: f64 = 150.0;
/// Most room for class names beside the matrix, and under it where they stand upright.
const ROW_NAMES: f64 = 280.0;

impl Layout {
    fn new(classes: &[String]) -> Self {
        let count = classes.len() as f64;
        let cell = (1000.0 / count).clamp(NARROWEST, 132.0);
        let labels = (cell * 0.2).clamp(13.0, 19.0);
        let names = short_names(classes);
        let font = Type::plain(labels as f32);
        // Upright where a word is wider than its column, or names would need more than three lines.
        let level = |name: &String| {
            let lines = font.wrap(name, cell as f32 - 8.0);
            lines.len() <= 3 && lines.iter().all(|line| font.width(line) <= cell as f32 - 8.0)
        };
        let upright = !names.iter().all(level);
        let widest = names.iter().map(|name| font.width(name)).fold(0.0, f32::max);
        let left = MARGIN + AXIS_TITLE + f64::from(widest).clamp(40.0, ROW_NAMES) + 14.0;
        Self { cell, left, top: 64.0, labels, upright, names }
    }

    fn side(&self) -> f64 {
        self.cell * self.names.len() as f64
    }

    fn below(&self) -> f64 {
        let font = Type::plain(self.labels as f32);
        let widest = self.names.iter().map(|name| font.width(name)).fold(0.0, f32::max);
        if self.upright {
            return f64::from(widest).clamp(40.0, ROW_NAMES) + 14.0;
        }
        let lines = self.names.iter().map(|name| font.wrap(name, self.cell as f32 - 8.0).len()).max().unwrap_or(1);
        lines as f64 * self.labels * f64::from(LINE) + 18.0
    }

    fn size(&self) -> (u32, u32) {
        let width = self.left + self.side() + RIGHT;
        let height = self.top + self.side() + self.below() + AXIS_TITLE + MARGIN;
        (width.ceil() as u32, height.ceil() as u32)
    }
}

/// Draws a heat map as PNG: rows are true classes, columns predicted ones; the colour is the share of the row, cells show
/// counts and percent of the row, without decimals where there is little room. `counts` is `C x C`; the picture's size grows with `C`.
/// The ending " Galaxy" is left out where the names stay distinct without it; names longer than about 280 pixels are
/// wrapped or shortened.
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
    let layout = Layout::new(classes);
    let (width, height) = layout.size();
    canvas::picture(width, height, path, |area| {
        for (row, line) in counts.iter().enumerate() {
            for column in 0..line.len() {
                cell(area, &layout, line, (row, column))?;
            }
        }
        frame(area, &layout)?;
        names(area, &layout)?;
        titles(area, &layout)?;
        color_bar(area, &layout)
    })
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

fn shade(share: f64) -> RGBColor {
    let place = share.clamp(0.0, 1.0) * (BLUES.len() - 1) as f64;
    let low = (place as usize).min(BLUES.len() - 2);
    let mix = |channel: usize| {
        let (from, to) = (BLUES[low][channel], BLUES[low + 1][channel]);
        (from + (to - from) * (place - low as f64)).round() as u8
    };
    RGBColor(mix(0), mix(1), mix(2))
}

fn cell(area: &Area, layout: &Layout, line: &[u64], (row, column): (usize, usize)) -> Drawn {
    let total: u64 = line.iter().sum();
    let share = if total == 0 { 0.0 } else { line[column] as f64 / total as f64 };
    let (x, y) = (layout.left + column as f64 * layout.cell, layout.top + row as f64 * layout.cell);
    let corners = [(px(x), px(y)), (px(x + layout.cell), px(y + layout.cell))];
    area.draw(&Rectangle::new(corners, shade(share).filled()))?;

    let count = line[column].to_string();
    let color = if share > 0.55 {
        WHITE
    } else if line[column] == 0 {
        RGBColor(150, 153, 160)
    } else {
        INK
    };
    let both = line[column] > 0;
    let largest = (layout.cell * 0.24).clamp(12.0, 26.0);
    // Five digits in the narrowest cell are smaller than two.
    let natural = f64::from(Type::plain(largest as f32).width(&count));
    let size = largest * ((layout.cell - 6.0) / natural).min(1.0);
    let style = if row == column { FontStyle::Bold } else { FontStyle::Normal };
    let centered = Pos::new(HPos::Center, VPos::Center);
    let (middle_x, middle_y) = (x + layout.cell / 2.0, y + layout.cell / 2.0);
    let count_y = if both { middle_y - layout.cell * 0.1 } else { middle_y };
    area.draw(&Text::new(count, (px(middle_x), px(count_y)), text_style(size, style, color).pos(centered)))?;
    if both {
        let percent = text_style((largest * 0.66).max(11.0), FontStyle::Normal, color).pos(centered);
        let decimals = usize::from(layout.cell >= 56.0);
        let text = format!("{:.decimals$} %", 100.0 * share);
        area.draw(&Text::new(text, (px(middle_x), px(middle_y + layout.cell * 0.18)), percent))?;
    }
    Ok(())
}

/// Thin lines between the cells and a frame around all.
fn frame(area: &Area, layout: &Layout) -> Drawn {
    let (left, top, side) = (layout.left, layout.top, layout.side());
    let thin = RGBColor(214, 217, 222).stroke_width(px(1.0) as u32);
    for index in 1..layout.names.len() {
        let offset = index as f64 * layout.cell;
        let down = [(px(left + offset), px(top)), (px(left + offset), px(top + side))];
        let across = [(px(left), px(top + offset)), (px(left + side), px(top + offset))];
        area.draw(&PathElement::new(down, thin))?;
        area.draw(&PathElement::new(across, thin))?;
    }
    let corners = [(px(left), px(top)), (px(left + side), px(top + side))];
    area.draw(&Rectangle::new(corners, INK.stroke_width(px(1.2) as u32)))
}

fn names(area: &Area, layout: &Layout) -> Drawn {
    let style = text_style(layout.labels, FontStyle::Normal, INK);
    let font = Type::plain(layout.labels as f32);
    for (index, name) in layout.names.iter().enumerate() {
        let middle = (index as f64 + 0.5) * layout.cell;
        let lines_that_fit = ((layout.cell - 2.0) / (layout.labels * f64::from(LINE))).max(1.0) as usize;
        let (_, lines) = font.fit(name, ROW_NAMES as f32, lines_that_fit.min(2), font.size);
        let x = layout.left - 10.0;
        stack(area, &lines, layout.labels, |offset| {
            ((px(x), px(layout.top + middle + offset)), style.pos(Pos::new(HPos::Right, VPos::Center)))
        })?;

        let (x, y) = (layout.left + middle, layout.top + layout.side() + 10.0);
        if layout.upright {
            let turned = style.transform(FontTransform::Rotate270).pos(Pos::new(HPos::Right, VPos::Center));
            stack(area, &lines, layout.labels, |offset| ((px(x + offset), px(y)), turned.clone()))?;
        } else {
            let lines = font.wrap(name, layout.cell as f32 - 8.0);
            let first = layout.labels * f64::from(LINE) * (lines.len() as f64 - 1.0) / 2.0 + 8.0;
            stack(area, &lines, layout.labels, |offset| {
                ((px(x), px(y + first + offset)), style.pos(Pos::new(HPos::Center, VPos::Center)))
            })?;
        }
    }
    Ok(())
}

/// Draws lines of text around a middle; `place` turns the distance from it into a position and a style.
fn stack(area: &Area, lines: &[String], size: f64, place: impl Fn(f64) -> ((i32, i32), TextStyle<'static>)) -> Drawn {
    for (index, line) in lines.iter().enumerate() {
        let offset = (index as f64 - (lines.len() as f64 - 1.0) / 2.0) * size * f64::from(LINE);
        let (position, style) = place(offset);
        area.draw(&Text::new(line.as_str(), position, style))?;
    }
    Ok(())
}

fn titles(area: &Area, layout: &Layout) -> Drawn {
    let middle = layout.side() / 2.0;
    let centered = Pos::new(HPos::Center, VPos::Center);
    let title = text_style(26.0, FontStyle::Bold, INK).pos(centered);
    area.draw(&Text::new("Confusion Matrix", (px(layout.left + middle), px(layout.top / 2.0)), title))?;
    let axis = text_style(22.0, FontStyle::Normal, INK).pos(centered);
    let below = layout.top + layout.side() + layout.below() + AXIS_TITLE / 2.0;
    area.draw(&Text::new("Predicted class", (px(layout.left + middle), px(below)), axis.clone()))?;
    let turned = axis.transform(FontTransform::Rotate270);
    area.draw(&Text::new("True class", (px(MARGIN + 10.0), px(layout.top + middle)), turned))
}

/// The scale of the colours on the right: share of the row, in percent.
fn color_bar(area: &Area, layout: &Layout) -> Drawn {
    let (left, top, side) = (layout.left + layout.side() + 26.0, layout.top, layout.side());
    let rows = px(side);
    for row in 0..rows {
        let share = 1.0 - f64::from(row) / f64::from(rows);
        let line = [(px(left), px(top) + row), (px(left + BAR), px(top) + row)];
        area.draw(&PathElement::new(line, shade(share).stroke_width(1)))?;
    }
    let corners = [(px(left), px(top)), (px(left + BAR), px(top + side))];
    area.draw(&Rectangle::new(corners, INK.stroke_width(px(1.2) as u32)))?;
    let style = text_style(16.0, FontStyle::Normal, INK).pos(Pos::new(HPos::Left, VPos::Center));
    for percent in [0, 20, 40, 60, 80, 100] {
        let y = px(top + side * (1.0 - f64::from(percent) / 100.0));
        let tick = [(px(left + BAR), y), (px(left + BAR + 5.0), y)];
        area.draw(&PathElement::new(tick, INK.stroke_width(OVERSAMPLING)))?;
        area.draw(&Text::new(format!("{percent} %"), (px(left + BAR + 10.0), y), style.clone()))?;
    }
    let turned = style.transform(FontTransform::Rotate270).pos(Pos::new(HPos::Center, VPos::Center));
    let x = px(left + BAR + 78.0);
    area.draw(&Text::new("Share of the true class", (x, px(top + side / 2.0)), turned))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let folder = tempfile::tempdir().unwrap();
        for count in [2, 10, 50] {
            let classes: Vec<String> = (0..count).map(|class| format!("Class number {class}")).collect();
            let counts: Vec<Vec<u64>> =
                (0..count).map(|row| (0..count).map(|column| if row == column { 90 } else { 1 }).collect()).collect();
            let path = folder.path().join(format!("{count}.png"));
            confusion_matrix(&classes, &counts, &path).unwrap();
            let layout = Layout::new(&classes);
            let picture = image::open(&path).unwrap().to_rgb8();
            assert_eq!(picture.dimensions(), layout.size());
            // Near the corner of a cell, away from its text.
            let red = |row: f64, column: f64| {
                let at = |start: f64, index: f64| (start + index * layout.cell + 4.0) as u32;
                picture.get_pixel(at(layout.left, column), at(layout.top, row)).0[0]
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
