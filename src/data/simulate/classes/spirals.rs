//! Spirals seen from above or at a slant: barred, tightly wound, loosely wound.

use super::{Pose, apparent_ratio};
use crate::data::simulate::draw::Draw;
use crate::data::simulate::light::population;
use crate::data::simulate::scene::{Component, Dust, Placement, Scene, Shape};
use crate::data::simulate::spiral::Arms;

/// How the arms are wound.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Winding {
    Barred,
    Tight,
    Loose,
}

/// The numbers in which the three kinds differ.
struct Recipe {
    /// Degrees.
    pitch: f32,
    count: usize,
    sharpness: f32,
    /// Radius at which the arms begin, in scale lengths.
    start: f32,
    /// Scale length of the arms' light over that of the disc.
    stretch: f32,
    /// Effective radius of the bulge, in scale lengths.
    bulge: f32,
    /// Brightness of the bulge at its effective radius.
    bulge_brightness: f32,
    /// Central brightness of the smooth disc.
    disc_brightness: f32,
    /// The same of the arms.
    arm_brightness: f32,
    disc_age: f32,
    knots: usize,
}

impl Recipe {
    /// Pitch angles and bulges follow the Hubble sequence: tight arms go with large bulges (Kennicutt 1981, AJ 86, 1847).
    fn random(winding: Winding, draw: &mut Draw) -> Self {
        match winding {
            Winding::Barred => Self {
                pitch: draw.range(11.0, 24.0),
                count: 2,
                sharpness: draw.range(1.5, 3.5),
                start: draw.range(1.1, 1.7),
                stretch: draw.range(1.1, 1.35),
                bulge: draw.range(0.14, 0.26),
                bulge_brightness: draw.range(19.6, 20.5),
                disc_brightness: draw.range(20.9, 21.6),
                arm_brightness: draw.range(20.0, 21.0),
                disc_age: draw.normal(0.65, 0.2),
                knots: draw.whole(0, 12),
            },
            Winding::Tight => Self {
                pitch: draw.range(8.0, 14.0),
                count: if draw.chance(0.75) { 2 } else { 3 },
                sharpness: draw.range(1.5, 3.0),
                start: draw.range(0.6, 0.9),
                stretch: draw.range(1.1, 1.3),
                bulge: draw.range(0.25, 0.4),
                bulge_brightness: draw.range(19.8, 20.6),
                disc_brightness: draw.range(20.9, 21.6),
                arm_brightness: draw.range(20.2, 21.1),
                disc_age: draw.normal(0.6, 0.2),
                knots: draw.whole(0, 14),
            },
            Winding::Loose => Self {
                pitch: draw.range(20.0, 35.0),
                count: [2, 2, 2, 2, 3, 1][draw.whole(0, 5)],
                sharpness: draw.range(1.8, 4.0),
                start: draw.range(0.3, 0.55),
                stretch: draw.range(1.25, 1.6),
                bulge: draw.range(0.14, 0.26),
                bulge_brightness: draw.range(19.8, 20.8),
                disc_brightness: draw.range(21.3, 22.1),
                arm_brightness: draw.range(20.3, 21.1),
                disc_age: draw.normal(0.4, 0.2),
                knots: draw.whole(3, 22),
            },
        }
    }

    fn arms(&self, length: f32, draw: &mut Draw) -> Arms {
        Arms {
            count: self.count as f32,
            tangent: self.pitch.to_radians().tan() * draw.sign(),
            start: self.start * length,
            azimuth: draw.angle(),
            sharpness: self.sharpness,
            waver: (draw.range(0.1, 0.7), draw.angle()),
            clumps: (draw.range(0.1, 0.6), draw.angle()),
        }
    }
}

/// Disc, bulge, arms, star-forming knots, dust along the arms and perhaps a bar.
pub(super) fn spiral(pose: &Pose, winding: Winding, draw: &mut Draw) -> Scene {
    let recipe = Recipe::random(winding, draw);
    let length = draw.range(0.15, 0.21) * pose.size;
    let ratio = apparent_ratio(draw.range(0.4, 1.0), 0.15);
    let placement = pose.placement(ratio);
    let arms = recipe.arms(length, draw);
    let arm_age = draw.range(0.05, 0.5) + 0.5 * pose.ageing;
    let age = recipe.disc_age + pose.ageing;
    let mut galaxy = vec![
        Component {
            placement,
            shape: Shape::Disc { length },
            light: population(recipe.disc_brightness + pose.dimming, age),
        },
        Component {
            placement,
            shape: Shape::Arms { length: length * recipe.stretch, arms: arms.clone() },
            light: population(recipe.arm_brightness + pose.dimming, arm_age),
        },
        Component {
            placement: placement.with_ratio(0.5 + 0.5 * ratio),
            shape: Shape::sersic(draw.range(1.2, 2.8), recipe.bulge * length),
            light: population(recipe.bulge_brightness + pose.dimming, draw.normal(0.95, 0.12) + pose.ageing),
        },
    ];
    if winding == Winding::Barred {
        galaxy.push(bar(pose, &placement, &arms, draw));
    }
    galaxy.extend(knots(&placement, &arms, length, recipe.knots, recipe.arm_brightness + pose.dimming, draw));
    let dust = dust(&placement, &arms, length, draw);
    Scene { galaxy, dust, ..Scene::default() }
}

/// An old bar whose ends are where the arms begin.
fn bar(pose: &Pose, placement: &Placement, arms: &Arms, draw: &mut Draw) -> Component {
    let length = arms.start * 1.15;
    Component {
        placement: *placement,
        shape: Shape::Bar { length, width: length * draw.range(0.26, 0.4), azimuth: arms.ridge(arms.start, 0) },
        light: population(draw.range(19.6, 20.3) + pose.dimming, draw.normal(0.9, 0.12) + pose.ageing),
    }
}

/// H II regions and young associations scattered along the ridges.
fn knots(
    placement: &Placement,
    arms: &Arms,
    length: f32,
    count: usize,
    brightness: f32,
    draw: &mut Draw,
) -> Vec<Component> {
    let knot = |_| {
        let radius = draw.range(arms.start * 1.05, 3.4 * length);
        let arm = draw.whole(0, arms.count as usize - 1);
        let azimuth = arms.ridge(radius, arm) + draw.normal(0.0, 0.08);
        let (x, y) = placement.image(radius * azimuth.cos(), radius * azimuth.sin());
        Component {
            placement: Placement::new((x, y), 0.0, 1.0),
            shape: Shape::Blob { deviation: length * draw.range(0.06, 0.13) },
            light: population(brightness + 0.45 * radius / length + draw.range(0.0, 1.2), draw.range(-0.5, 0.1)),
        }
    };
    (0..count).map(knot).collect()
}

/// Dust lies on the concave side of trailing arms (Roberts 1969, ApJ 158, 123).
fn dust(placement: &Placement, arms: &Arms, length: f32, draw: &mut Draw) -> Vec<Dust> {
    if draw.chance(0.35) {
        return Vec::new();
    }
    let behind = arms.tangent.signum() * draw.range(0.5, 0.9) / arms.count;
    let arms = Arms { azimuth: arms.azimuth + behind, sharpness: arms.sharpness * 2.5, ..arms.clone() };
    vec![Dust::Arms { placement: *placement, length: length * 2.0, arms, depth: draw.range(0.2, 0.7) }]
}
