//! A chart's common parts: a frame with axes, curves that end at its edge, marks, and a legend where it hides the least.
//!
//! It knows plotters and pixels, and nothing of what the curves mean.

use std::ops::Range;

use plotters::prelude::*;
use plotters::style::FontStyle;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::canvas::{Area, Drawn, INK, px, text_style};
use super::ticks::Axis;

/// Writes a tick's value.
pub(super) type Label<'a> = &'a dyn Fn(&f64) -> String;

/// Words and axes of a chart.
pub(super) struct Axes<'a> {
    /// Above the chart.
    pub title: &'a str,
    /// Name and axis, from left to right.
    pub x: (&'a str, Axis),
    /// Name and axis, from bottom to top.
    pub y: (&'a str, Axis),
    /// How a tick of either axis is written.
    pub labels: (Label<'a>, Label<'a>),
}

/// How a line is drawn.
#[derive(Clone, Copy)]
pub(super) struct Stroke {
    pub color: RGBColor,
    /// In saved pixels.
    pub width: f64,
    pub dashed: bool,
}

/// What stands before a name in the legend.
#[derive(Clone, Copy)]
pub(super) enum Sample {
    Line(Stroke),
    Ring(RGBColor),
    Dot(RGBColor),
}

/// A frame to draw in, by the values of its axes.
pub(super) struct Plot<'a> {
    screen: Area<'a>,
    x: Range<f64>,
    y: Range<f64>,
    /// Upper left and lower right corner, in drawn pixels.
    frame: [(i32, i32); 2],
}

/// A range of these values with a share of it as margin, but at least `least` to either side; 0 to 1 where none is finite.
pub(super) fn range(values: impl Iterator<Item = f64>, share: f64, least: f64) -> Range<f64> {
    let finite = values.filter(|value| value.is_finite());
    let (low, high) =
        finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    if low > high {
        return 0.0..1.0;
    }
    let margin = ((high - low) * share).max(least).max(high.abs() * 1e-6);
    low - margin..high + margin
}

impl<'a> Plot<'a> {
    /// Draws title, axes and frame.
    pub fn new(area: &Area<'a>, axes: &Axes) -> Drawn<Self> {
        let middle = (area.dim_in_pixel().0 as i32 + px(50.0)) / 2;
        let title = text_style(26.0, FontStyle::Bold, INK).pos(Pos::new(HPos::Center, VPos::Bottom));
        area.draw(&Text::new(axes.title, (middle, px(46.0)), title))?;
        let ((x_name, x), (y_name, y)) = (&axes.x, &axes.y);
        let mut chart = ChartBuilder::on(area)
            .margin_top(px(62.0))
            .margin_right(px(30.0))
            .margin_bottom(px(14.0))
            .margin_left(px(14.0))
            .x_label_area_size(px(66.0))
            .y_label_area_size(px(94.0))
            .build_cartesian_2d(x.clone(), y.clone())?;
        chart
            .configure_mesh()
            .x_desc(*x_name)
            .y_desc(*y_name)
            .axis_desc_style(text_style(22.0, FontStyle::Normal, INK))
            .label_style(text_style(19.0, FontStyle::Normal, INK))
            .x_label_formatter(&axes.labels.0)
            .y_label_formatter(&axes.labels.1)
            .axis_style(INK.stroke_width(px(1.4) as u32))
            .bold_line_style(RGBColor(222, 224, 228).stroke_width(px(1.0) as u32))
            .light_line_style(TRANSPARENT)
            .set_all_tick_mark_size(px(6.0))
            .draw()?;
        let area = chart.plotting_area();
        let (x, y) = (x.range.clone(), y.range.clone());
        let frame = [area.map_coordinate(&(x.start, y.end)), area.map_coordinate(&(x.end, y.start))];
        let screen = area.use_screen_coord();
        screen.draw(&Rectangle::new(frame, INK.stroke_width(px(1.0) as u32)))?;
        Ok(Self { screen, x, y, frame })
    }

    /// The drawn pixel of a point; beyond the frame for points that are.
    pub fn at(&self, (x, y): (f64, f64)) -> (i32, i32) {
        let [(left, high), (right, low)] = self.frame.map(|(x, y)| (f64::from(x), f64::from(y)));
        let across = left + (x - self.x.start) / (self.x.end - self.x.start) * (right - left);
        let up = low + (y - self.y.start) / (self.y.end - self.y.start) * (high - low);
        (across.round() as i32, up.round() as i32)
    }

    /// A curve, cut off at the top and bottom of the frame. A value that is not finite breaks it; a value without
    /// neighbours is a dot.
    pub fn curve(&self, points: &[(f64, f64)], stroke: Stroke) -> Drawn {
        for run in points.split(|point| !point.1.is_finite()) {
            if let [alone] = run {
                self.dot(*alone, stroke.color, stroke.width * 1.7)?;
            }
            // how far along the curve, for the dashes
            let mut length = 0.0;
            for pair in run.windows(2) {
                if let Some((from, to)) = self.inside(pair[0], pair[1]) {
                    length = self.segment(self.at(from), self.at(to), stroke, length)?;
                }
            }
        }
        Ok(())
    }

    /// The part of a line that is neither above nor below the frame.
    fn inside(&self, from: (f64, f64), to: (f64, f64)) -> Option<((f64, f64), (f64, f64))> {
        let rise = to.1 - from.1;
        let (mut first, mut last) = (0.0f64, 1.0f64);
        if rise == 0.0 {
            return (self.y.start..=self.y.end).contains(&from.1).then_some((from, to));
        }
        for (edge, enters) in [(self.y.start, rise > 0.0), (self.y.end, rise < 0.0)] {
            let share = (edge - from.1) / rise;
            if enters { first = first.max(share) } else { last = last.min(share) }
        }
        let point = |share: f64| (from.0 + share * (to.0 - from.0), from.1 + share * rise);
        (first <= last).then(|| (point(first), point(last)))
    }

    /// A piece of a curve that begins `length` drawn pixels along it; returns where along it the piece ends.
    fn segment(&self, from: (i32, i32), to: (i32, i32), stroke: Stroke, length: f64) -> Drawn<f64> {
        let (dx, dy) = (f64::from(to.0 - from.0), f64::from(to.1 - from.1));
        let whole = dx.hypot(dy);
        let style = stroke.color.stroke_width(px(stroke.width) as u32);
        let point = |done: f64| {
            let share = if whole > 0.0 { done / whole } else { 0.0 };
            (from.0 + (share * dx).round() as i32, from.1 + (share * dy).round() as i32)
        };
        let (dash, gap) = (f64::from(px(9.0)), f64::from(px(6.0)));
        let period = dash + gap;
        let mut done = 0.0;
        while done < whole {
            let phase = if stroke.dashed { (length + done) % period } else { 0.0 };
            let left = if !stroke.dashed {
                whole
            } else if phase < dash {
                dash - phase
            } else {
                period - phase
            };
            // at least a pixel, so that rounding cannot keep it from going on
            let next = (done + left.max(1.0)).min(whole);
            if phase < dash {
                let (start, end) = (point(done), point(next));
                if start != end {
                    self.screen.draw(&PathElement::new([start, end], style))?;
                }
                // discs round off the joins between segments
                for pixel in [start, end].into_iter().filter(|_| !stroke.dashed) {
                    self.screen.draw(&Circle::new(pixel, px(stroke.width) / 2, stroke.color.filled()))?;
                }
            }
            done = next;
        }
        Ok(length + whole)
    }

    /// A dot of this radius in saved pixels; none beyond the frame.
    pub fn dot(&self, point: (f64, f64), color: RGBColor, radius: f64) -> Drawn {
        if !(point.0.is_finite() && (self.y.start..=self.y.end).contains(&point.1)) {
            return Ok(());
        }
        self.screen.draw(&Circle::new(self.at(point), px(radius), color.filled()))
    }

    /// A mark on a curve: a black ring with a white rim.
    pub fn ring(&self, point: (f64, f64), color: RGBColor) -> Drawn {
        ring(&self.screen, self.at(point), color)
    }

    /// A line over the whole height.
    pub fn upright(&self, x: f64, stroke: Stroke) -> Drawn {
        self.segment(self.at((x, self.y.start)), self.at((x, self.y.end)), stroke, 0.0).map(drop)
    }

    /// Drawn pixels along a curve: its points, and between them one for every few pixels of the line.
    fn along(&self, points: &[(f64, f64)]) -> Vec<(i32, i32)> {
        let mut pixels = Vec::new();
        for run in points.split(|point| !point.1.is_finite()) {
            pixels.extend(run.first().map(|&point| self.at(point)));
            for (from, to) in run.windows(2).filter_map(|pair| self.inside(pair[0], pair[1])) {
                let (from, to) = (self.at(from), self.at(to));
                let steps = ((to.0 - from.0).abs().max((to.1 - from.1).abs()) / px(4.0)).max(1);
                let part = |from: i32, to: i32, step: i32| from + (to - from) * step / steps;
                pixels.extend((1..=steps).map(|step| (part(from.0, to.0, step), part(from.1, to.1, step))));
            }
        }
        pixels
    }

    /// Names with samples, in the corner that hides the least of the `curves`; below on the right where several are as good,
    /// or above where the curves fall.
    pub fn legend(&self, names: &[(String, Sample)], curves: &[&[(f64, f64)]], falling: bool) -> Drawn {
        let style = text_style(19.0, FontStyle::Normal, INK).pos(Pos::new(HPos::Left, VPos::Center));
        let mut widest = 0;
        for (name, _) in names {
            widest = widest.max(self.screen.estimate_text_size(name, &style)?.0 as i32);
        }
        let (row, margin, sample) = (px(29.0), px(12.0), px(34.0));
        let (width, height) = (widest + sample + 3 * margin, row * names.len() as i32 + margin);
        let [(far_left, high), (right, low)] = self.frame;
        let tops = [low - height - margin, high + margin];
        let (near, far) = if falling { (tops[1], tops[0]) } else { (tops[0], tops[1]) };
        let lefts = [right - width - margin, far_left + margin];
        let corners = [(lefts[0], near), (lefts[1], far), (lefts[0], far), (lefts[1], near)];
        let pixels: Vec<(i32, i32)> = curves.iter().flat_map(|points| self.along(points)).collect();
        let hidden = |&(left, top): &(i32, i32)| {
            let inside = |&&(x, y): &&(i32, i32)| (left..left + width).contains(&x) && (top..top + height).contains(&y);
            pixels.iter().filter(inside).count()
        };
        // min_by_key returns the first of equals.
        let (left, top) = corners.into_iter().min_by_key(hidden).unwrap_or(corners[0]);
        let frame = [(left, top), (left + width, top + height)];
        self.screen.draw(&Rectangle::new(frame, WHITE.mix(0.86).filled()))?;
        self.screen.draw(&Rectangle::new(frame, RGBColor(190, 193, 199).stroke_width(px(1.0) as u32)))?;
        for (index, (name, shown)) in names.iter().enumerate() {
            let middle = top + margin / 2 + row * index as i32 + row / 2;
            let (start, end) = (left + margin, left + margin + sample);
            match *shown {
                Sample::Line(stroke) => self.segment((start, middle), (end, middle), stroke, 0.0).map(drop)?,
                Sample::Ring(color) => ring(&self.screen, ((start + end) / 2, middle), color)?,
                Sample::Dot(color) => {
                    self.screen.draw(&Circle::new(((start + end) / 2, middle), px(3.0), color.filled()))?;
                }
            }
            self.screen.draw(&Text::new(name.as_str(), (end + margin, middle), style.clone()))?;
        }
        Ok(())
    }
}

fn ring(screen: &Area, at: (i32, i32), color: RGBColor) -> Drawn {
    for (radius, color) in [(9.0, WHITE), (8.0, INK), (5.6, WHITE), (4.6, color)] {
        screen.draw(&Circle::new(at, px(radius), color.filled()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::canvas;
    use super::*;

    #[test]
    fn a_legend_leaves_the_corner_that_a_line_crosses_between_its_points() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chart.png");
        let axis = || Axis { ticks: Vec::new(), range: 0.0..1.0 };
        let empty: Label = &|_| String::new();
        let axes = Axes { title: "", x: ("", axis()), y: ("", axis()), labels: (empty, empty) };
        // no point of it is in the corner below on the right, where the legend stands otherwise
        let through = [(0.5, 0.35), (1.0, 0.0)];
        let names = [("name".to_owned(), Sample::Dot(RGBColor(1, 200, 1)))];
        let sample = |curves: &[&[(f64, f64)]]| {
            canvas::picture(600, 400, &path, |area| Plot::new(area, &axes)?.legend(&names, curves, false)).unwrap();
            let picture = image::open(&path).unwrap().to_rgb8();
            let dot = picture.enumerate_pixels().find(|pixel| pixel.2.0 == [1, 200, 1]).unwrap();
            (dot.0 > 300, dot.1 > 200)
        };
        assert_eq!(sample(&[]), (true, true));
        assert_eq!(sample(&[&through]), (false, false));
    }
}
