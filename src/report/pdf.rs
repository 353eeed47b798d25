//! A drawing as PDF: one page of vectors, letters as outlines, and no date, so that the same drawing is the same file.
//!
//! It writes what our charts use: paths filled and stroked with plain colours, of which fills may be transparent.

use flate2::{Compression, write::ZlibEncoder};
use pdf_writer::types::{LineCapStyle, LineJoinStyle};
use pdf_writer::writers::ExtGraphicsState;
use pdf_writer::{Content, Filter, Finish, Name, Pdf, Rect, Ref};
use resvg::tiny_skia::{PathSegment, Point};
use resvg::usvg::{Color, FillRule, Group, LineCap, LineJoin, Node, Paint, Path, Stroke, Tree};
use std::collections::BTreeSet;
use std::io::Write;

/// Points for each unit of a drawing, which is a pixel of CSS.
const POINTS: f32 = 0.75;

/// The file's bytes.
pub(super) fn pdf(tree: &Tree) -> Vec<u8> {
    let (width, height) = (tree.size().width() * POINTS, tree.size().height() * POINTS);
    let (mut content, mut opacities) = (Content::new(), BTreeSet::new());
    // PDF counts upwards
    content.transform([POINTS, 0.0, 0.0, -POINTS, 0.0, height]);
    paths(tree.root(), &mut |path| draw(&mut content, path, &mut opacities));
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::best());
    // writing to a Vec cannot fail
    let packed = packed.write_all(&content.finish()).and_then(|()| packed.finish()).unwrap_or_default();

    let [catalog, pages, page, contents] = [1, 2, 3, 4].map(Ref::new);
    let mut pdf = Pdf::new();
    pdf.catalog(catalog).pages(pages);
    pdf.pages(pages).kids([page]).count(1);
    let mut sheet = pdf.page(page);
    sheet.parent(pages).media_box(Rect::new(0.0, 0.0, width, height)).contents(contents);
    let mut resources = sheet.resources();
    let mut states = resources.ext_g_states();
    for percent in opacities {
        let mut state = states.insert(Name(state(percent).as_bytes())).start::<ExtGraphicsState>();
        state.non_stroking_alpha(f32::from(percent) / 100.0);
    }
    states.finish();
    resources.finish();
    sheet.finish();
    pdf.stream(contents, &packed).filter(Filter::FlateDecode);
    pdf.finish()
}

/// Every visible path, in the order of drawing.
fn paths(group: &Group, draw: &mut impl FnMut(&Path)) {
    for node in group.children() {
        match node {
            Node::Group(group) => paths(group, draw),
            Node::Path(path) if path.is_visible() => draw(path),
            Node::Text(text) => paths(text.flattened(), draw),
            Node::Path(_) | Node::Image(_) => {}
        }
    }
}

/// Draws a path. The page has a state for each opacity of a fill, in percent.
fn draw(content: &mut Content, path: &Path, opacities: &mut BTreeSet<u8>) {
    let percent = (100.0 * path.fill().map_or(1.0, |fill| fill.opacity().get())).round() as u8;
    opacities.insert(percent);
    content.set_parameters(Name(state(percent).as_bytes()));
    outline(content, path);
    let fill = path.fill().and_then(|fill| Some((rgb(fill.paint())?, fill.rule())));
    let stroke = path.stroke().and_then(|stroke| Some((rgb(stroke.paint())?, stroke)));
    if let Some(([red, green, blue], _)) = fill {
        content.set_fill_rgb(red, green, blue);
    }
    if let Some(([red, green, blue], stroke)) = stroke {
        content.set_stroke_rgb(red, green, blue);
        pen(content, stroke);
    }
    match (fill, stroke) {
        (Some((_, FillRule::NonZero)), Some(_)) => content.fill_nonzero_and_stroke(),
        (Some((_, FillRule::EvenOdd)), Some(_)) => content.fill_even_odd_and_stroke(),
        (Some((_, FillRule::NonZero)), None) => content.fill_nonzero(),
        (Some((_, FillRule::EvenOdd)), None) => content.fill_even_odd(),
        (None, Some(_)) => content.stroke(),
        (None, None) => content.end_path(),
    };
}

fn state(percent: u8) -> String {
    format!("opacity{percent}")
}

fn outline(content: &mut Content, path: &Path) {
    // a hundredth of a unit: no one sees more, and it keeps the file short
    let short = |point: Point| Point { x: (point.x * 1e2).round() / 1e2, y: (point.y * 1e2).round() / 1e2 };
    let placed = path.data().clone().transform(path.abs_transform());
    let (mut last, placed) = (Point::zero(), placed.unwrap_or_else(|| path.data().clone()));
    for segment in placed.segments() {
        let mut cubic = |a: Point, b: Point, to: Point| {
            let [a, b, to] = [a, b, to].map(short);
            content.cubic_to(a.x, a.y, b.x, b.y, to.x, to.y);
            to
        };
        last = match segment {
            PathSegment::CubicTo(a, b, to) => cubic(a, b, to),
            PathSegment::QuadTo(by, to) => {
                // the same curve with two handles, each two thirds of the way to the one
                let handle =
                    |end: Point| Point { x: end.x + (by.x - end.x) * 2.0 / 3.0, y: end.y + (by.y - end.y) * 2.0 / 3.0 };
                cubic(handle(last), handle(to), to)
            }
            PathSegment::MoveTo(to) => {
                let to = short(to);
                content.move_to(to.x, to.y);
                to
            }
            PathSegment::LineTo(to) => {
                let to = short(to);
                content.line_to(to.x, to.y);
                to
            }
            PathSegment::Close => {
                content.close_path();
                last
            }
        };
    }
}

fn pen(content: &mut Content, stroke: &Stroke) {
    content.set_line_width(stroke.width().get());
    content.set_line_cap(match stroke.linecap() {
        LineCap::Butt => LineCapStyle::ButtCap,
        LineCap::Round => LineCapStyle::RoundCap,
        LineCap::Square => LineCapStyle::ProjectingSquareCap,
    });
    content.set_line_join(match stroke.linejoin() {
        LineJoin::Round => LineJoinStyle::RoundJoin,
        LineJoin::Bevel => LineJoinStyle::BevelJoin,
        LineJoin::Miter | LineJoin::MiterClip => LineJoinStyle::MiterJoin,
    });
    content.set_dash_pattern(stroke.dasharray().unwrap_or_default().iter().copied(), stroke.dashoffset());
}

/// A plain colour from 0 to 1.
fn rgb(paint: &Paint) -> Option<[f32; 3]> {
    let Paint::Color(Color { red, green, blue }) = paint else { return None };
    Some([red, green, blue].map(|&part| f32::from(part) / 255.0))
}
