//! Discs seen from their side, with and without a bulge.

use super::Pose;
use crate::data::simulate::draw::Draw;
use crate::data::simulate::light::population;
use crate::data::simulate::scene::{Component, Dust, Placement, Scene, Shape};

/// A thin disc, perhaps a dust lane; with `bulge`, a round old bulge that stands out of the plane.
pub(super) fn edge_on(pose: &Pose, bulge: bool, draw: &mut Draw) -> Scene {
    let length = pose.size * if bulge { draw.range(0.14, 0.22) } else { draw.range(0.17, 0.27) };
    let height = length * if bulge { draw.range(0.12, 0.20) } else { draw.range(0.11, 0.26) };
    let placement = pose.placement(1.0);
    let brightness = draw.range(20.0, 21.0) + pose.dimming;
    let age = pose.ageing + if bulge { draw.normal(0.8, 0.15) } else { draw.normal(0.45, 0.3) };
    let thin = Shape::EdgeOn { length, height };
    let thick = Shape::EdgeOn { length: length * 1.15, height: height * 2.3 };
    let mut galaxy = vec![
        Component { placement, shape: thin, light: population(brightness, age) },
        // The old thick disc (Yoachim & Dalcanton 2006, AJ 131, 226).
        Component { placement, shape: thick, light: population(brightness + draw.range(2.0, 3.0), age + 0.25) },
    ];
    if bulge {
        galaxy.push(Component {
            placement: placement.with_ratio(draw.range(0.62, 0.95)),
            shape: Shape::sersic(draw.range(1.2, 3.0), length * draw.range(0.28, 0.48)),
            light: population(draw.range(19.7, 20.5) + pose.dimming, draw.normal(1.0, 0.1) + pose.ageing),
        });
    } else {
        galaxy.extend(star_forming_knots(&placement, length, height, brightness, draw));
    }
    let mut dust = Vec::new();
    if draw.chance(if bulge { 0.75 } else { 0.6 }) {
        dust.push(lane(&placement, length, height, draw));
    }
    Scene { galaxy, dust, ..Scene::default() }
}

/// A lane as long as the disc and a third as thick, beside the middle plane unless the disc is seen exactly from its side.
fn lane(placement: &Placement, length: f32, height: f32, draw: &mut Draw) -> Dust {
    let placement = placement.moved(placement.image(0.0, height * draw.range(-0.7, 0.7)));
    let depth = draw.range(0.8, 2.6);
    Dust::Lane { placement, length: length * 1.8, height: height * draw.range(0.3, 0.5), depth }
}

fn star_forming_knots(
    placement: &Placement,
    length: f32,
    height: f32,
    brightness: f32,
    draw: &mut Draw,
) -> Vec<Component> {
    let count = draw.whole(0, 7);
    let knot = |_| {
        let (x, y) = placement.image(length * draw.range(-2.5, 2.5), height * draw.normal(0.0, 0.3));
        Component {
            placement: Placement::new((x, y), 0.0, 1.0),
            shape: Shape::Blob { deviation: height * draw.range(0.35, 0.7) },
            light: population(brightness + draw.range(0.6, 2.0), draw.range(-0.4, 0.2)),
        }
    };
    (0..count).map(knot).collect()
}
