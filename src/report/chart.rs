//! A chart's common parts: a frame with axes, curves that end at its edge, marks, and a legend where it hides the least.
//!
//! It knows nothing of what the curves mean.

use super::drawing::Drawing;
use super::font::Type;
use super::svg::{Point, Svg, pair};
use super::ticks::Axis;
use std::ops::Range;

/// Sizes of text, in units: a chart's title, the names of its axes, and numbers and legends.
pub(super) const TITLE: f64 = 15.6;
pub(super) const NAME: f64 = 13.2;
pub(super) const LABEL: f64 = 11.4;

/// Room around the frame: left, above, right and below.
const ROOM: [f64; 4] = [65.0, 37.0, 18.0, 48.0];
/// Height of a name in the legend, room around names, and width of a sample.
const ROW: f64 = 17.4;
const MARGIN: f64 = 7.2;
const SAMPLE: f64 = 20.4;

/// What stands before a name in the legend.
#[derive(Clone, Copy)]
pub(super) enum Sample {
    /// A line with this class beside `curve`: `dashed`, `thin`, or none.
    Line(&'static str),
    /// The mark of [`Plot::ring`].
    Ring,
    /// A dot.
    Dot,
}

/// A line of the legend.
pub(super) struct Entry {
    /// Attributes that give the sample its colour, as those of [`Plot::group`].
    pub look: String,
    pub sample: Sample,
    pub name: String,
}

/// A frame to draw in, by the values of its axes.
pub(super) struct Plot {
    size: (f64, f64),
    svg: Svg,
    x: Range<f64>,
    y: Range<f64>,
    /// Left, top, right and bottom edge.
    frame: [f64; 4],
}

impl Plot {
    /// Draws title, axes with their names, and frame.
    pub fn new(size: (f64, f64), title: &str, (x_name, x): (&str, Axis), (y_name, y): (&str, Axis)) -> Self {
        let (width, height) = size;
        let [left, top, right, bottom] = [ROOM[0], ROOM[1], width - ROOM[2], height - ROOM[3]];
        let frame = [left, top, right, bottom];
        let mut plot = Self { size, svg: Svg::default(), x: x.range, y: y.range, frame };
        let (middle, center) = ((left + right) / 2.0, (top + bottom) / 2.0);
        plot.svg.text("middle bold", (middle, 22.0), TITLE, title);
        for (tick, label) in &y.ticks {
            let (_, at) = plot.at((plot.x.start, *tick));
            plot.svg.line("grid", (left, at), (right, at));
            plot.svg.line("axis", (left - 3.6, at), (left, at));
            plot.svg.text("end", (left - 7.0, at), LABEL, label);
        }
        for (tick, label) in &x.ticks {
            let (at, _) = plot.at((*tick, plot.y.start));
            plot.svg.line("grid", (at, top), (at, bottom));
            plot.svg.line("axis", (at, bottom), (at, bottom + 3.6));
            plot.svg.text("middle", (at, bottom + 13.0), LABEL, label);
        }
        plot.svg.rect("axis", [left, top, right - left, bottom - top]);
        plot.svg.text("middle", (middle, height - 13.0), NAME, x_name);
        plot.svg.upright("middle", (17.0, center), NAME, y_name);
        plot
    }

    /// The place of a point; beyond the frame for points that are.
    pub fn at(&self, (x, y): Point) -> Point {
        let [left, top, right, bottom] = self.frame;
        let along = |value: f64, range: &Range<f64>| (value - range.start) / (range.end - range.start);
        (left + along(x, &self.x) * (right - left), bottom - along(y, &self.y) * (bottom - top))
    }

    /// Draws in a group with these attributes, which give curves and marks their colour.
    pub fn group(&mut self, look: &str, draw: impl FnOnce(&mut Self)) {
        let mut outer = std::mem::take(&mut self.svg);
        draw(self);
        outer.group(look, |svg| svg.append(&self.svg));
        self.svg = outer;
    }

    /// A curve of this class, cut off at the top and bottom of the frame. A value that is not finite breaks it; a value without
    /// neighbours is a dot.
    pub fn curve(&mut self, class: &str, points: &[Point]) {
        let mut data = String::new();
        for run in points.split(|point| !point.1.is_finite()) {
            if let [alone] = run {
                self.dot(*alone, 2.6);
            }
            let mut pen = None;
            for (from, to) in run.windows(2).filter_map(|ends| self.inside(ends[0], ends[1])) {
                if pen != Some(from) {
                    data += &format!("M{}", pair(self.at(from)));
                }
                data += &format!("L{}", pair(self.at(to)));
                pen = Some(to);
            }
        }
        if !data.is_empty() {
            self.svg.path(&format!("curve{class}"), &data);
        }
    }

    /// The part of a line that is neither above nor below the frame.
    fn inside(&self, from: Point, to: Point) -> Option<(Point, Point)> {
        let rise = to.1 - from.1;
        let (mut first, mut last) = (0.0f64, 1.0f64);
        if rise == 0.0 {
            return (self.y.start..=self.y.end).contains(&from.1).then_some((from, to));
        }
        for (edge, enters) in [(self.y.start, rise > 0.0), (self.y.end, rise < 0.0)] {
            let part = (edge - from.1) / rise;
            if enters { first = first.max(part) } else { last = last.min(part) }
        }
        // the ends themselves where nothing is cut off, so that segments join
        let point = |part: f64| match part {
            0.0 => from,
            1.0 => to,
            part => (from.0 + part * (to.0 - from.0), from.1 + part * rise),
        };
        (first <= last).then(|| (point(first), point(last)))
    }

    /// A dot of this radius; none beyond the frame.
    pub fn dot(&mut self, point: Point, radius: f64) {
        if point.0.is_finite() && (self.y.start..=self.y.end).contains(&point.1) {
            self.svg.circle("dot", self.at(point), radius);
        }
    }

    /// A mark on a curve: a dark ring around a dot.
    pub fn ring(&mut self, point: Point) {
        let at = self.at(point);
        ring(&mut self.svg, at);
    }

    /// A dashed line over the whole height.
    pub fn upright(&mut self, x: f64) {
        let (at, _) = self.at((x, self.y.start));
        self.svg.line("curve dashed", (at, self.frame[3]), (at, self.frame[1]));
    }

    /// Places along a curve: its points, and between them one for every few units of the line.
    fn along(&self, points: &[Point]) -> Vec<Point> {
        let mut places = Vec::new();
        for run in points.split(|point| !point.1.is_finite()) {
            places.extend(run.first().map(|&point| self.at(point)));
            for ((x, y), (to_x, to_y)) in run.windows(2).map(|ends| (self.at(ends[0]), self.at(ends[1]))) {
                let steps = ((to_x - x).abs().max((to_y - y).abs()) / 4.0).clamp(1.0, 1e3) as u32;
                let part = |step: u32| f64::from(step) / f64::from(steps);
                places.extend((1..=steps).map(|step| (x + (to_x - x) * part(step), y + (to_y - y) * part(step))));
            }
        }
        places
    }

    /// Names with samples, in the corner that hides the least of the `curves`; below on the right where several are as good,
    /// or above where the curves fall.
    pub fn legend(&mut self, entries: &[Entry], curves: &[&[Point]], falling: bool) {
        let widest = entries.iter().map(|entry| Type(LABEL as f32).width(&entry.name)).fold(0.0, f32::max);
        // a little wider, as whoever opens the SVG may have another typeface
        let (width, height) = (f64::from(widest) * 1.05 + SAMPLE + 3.0 * MARGIN, ROW * entries.len() as f64 + MARGIN);
        let [far_left, high, right, low] = self.frame;
        let tops = [low - height - MARGIN, high + MARGIN];
        let (near, far) = if falling { (tops[1], tops[0]) } else { (tops[0], tops[1]) };
        let lefts = [right - width - MARGIN, far_left + MARGIN];
        let corners = [(lefts[0], near), (lefts[1], far), (lefts[0], far), (lefts[1], near)];
        let places: Vec<Point> = curves.iter().flat_map(|points| self.along(points)).collect();
        let hidden = |&(left, top): &Point| {
            let inside = |&&(x, y): &&Point| (left..left + width).contains(&x) && (top..top + height).contains(&y);
            places.iter().filter(inside).count()
        };
        // min_by_key returns the first of equals.
        let (left, top) = corners.into_iter().min_by_key(hidden).unwrap_or(corners[0]);
        self.svg.group(r#"class="legend""#, |svg| {
            svg.rect("box", [left, top, width, height]);
            for (row, Entry { look, sample, name }) in entries.iter().enumerate() {
                let middle = top + MARGIN / 2.0 + ROW * (row as f64 + 0.5);
                let (start, end) = (left + MARGIN, left + MARGIN + SAMPLE);
                svg.group(look, |svg| match sample {
                    Sample::Line(class) => svg.line(&format!("curve{class}"), (start, middle), (end, middle)),
                    Sample::Ring => ring(svg, ((start + end) / 2.0, middle)),
                    Sample::Dot => svg.circle("dot", ((start + end) / 2.0, middle), 1.8),
                });
                svg.text("", (end + MARGIN, middle), LABEL, name);
            }
        });
    }

    /// The finished chart.
    pub fn drawing(self) -> Drawing {
        Drawing { width: self.size.0, height: self.size.1, body: self.svg }
    }
}

fn ring(svg: &mut Svg, at: Point) {
    svg.circle("paper", at, 5.4);
    svg.circle("rim", at, 4.1);
    svg.circle("dot", at, 2.7);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot() -> Plot {
        let axis = || Axis::new(0.0..1.0, &[]);
        Plot::new((360.0, 240.0), "", ("", axis()), ("", axis()))
    }

    #[test]
    fn a_legend_leaves_the_corner_that_a_line_crosses_between_its_points() {
        // no point of it is in the corner below on the right, where the legend stands otherwise
        let through = [(0.5, 0.35), (1.0, 0.0)];
        let corner = |curves: &[&[Point]]| {
            let mut plot = plot();
            let names = [Entry { look: String::new(), sample: Sample::Dot, name: "name".into() }];
            plot.legend(&names, curves, false);
            let text = plot.drawing().body.as_str().to_owned();
            let at = |key: &str| -> f64 {
                text.split("class=\"box\"")
                    .nth(1)
                    .unwrap()
                    .split(key)
                    .nth(1)
                    .unwrap()
                    .split('"')
                    .next()
                    .unwrap()
                    .parse()
                    .unwrap()
            };
            (at(" x=\"") > 180.0, at(" y=\"") > 120.0)
        };
        assert_eq!(corner(&[]), (true, true));
        assert_eq!(corner(&[&through]), (false, false));
    }

    #[test]
    fn a_curve_breaks_at_gaps_and_ends_at_the_frame() {
        let mut plot = plot();
        plot.curve(
            "",
            &[
                (0.0, 0.5),
                (0.5, 0.5),
                (0.6, f64::NAN),
                (0.7, 0.5),
                (0.8, 0.5),
                (1.0, 2.5),
                (1.1, f64::INFINITY),
                (0.2, 0.2),
            ],
        );
        let text = plot.drawing().body.as_str().to_owned();
        let data = text.split("class=\"curve\" d=\"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!(data.matches('M').count(), 2, "{data}");
        assert!(data.ends_with(&format!("L{} 37", 65.0 + 0.85 * 277.0)), "cut off at the top: {data}");
        assert!(text.contains("class=\"dot\""), "a value alone is a dot");
    }
}
