//! Galaxies after and during an encounter: disturbed ones and pairs that merge.

use super::Pose;
use crate::data::simulate::draw::Draw;
use crate::data::simulate::light::population;
use crate::data::simulate::scene::{Component, Disturbance, Placement, Scene, Shape};
use crate::data::simulate::spiral::Arms;

/// A bent streak of stars: tidal tail, bridge or shell (Toomre & Toomre 1972, ApJ 178, 623).
struct Streak {
    start: (f32, f32),
    /// Direction at the start, radians.
    heading: f32,
    /// Turning over the whole length, radians.
    turning: f32,
    length: f32,
    /// Standard deviation across, at the start and at the end.
    widths: (f32, f32),
    /// r magnitudes per square arcsecond on the ridge, at the start and at the end.
    brightness: (f32, f32),
    age: f32,
}

impl Streak {
    /// Overlapping Gaussian clouds along the curve, so dense that the ridge is even.
    fn components(&self) -> Vec<Component> {
        let narrow = self.widths.0.min(self.widths.1);
        let steps = (self.length / (0.8 * narrow)).ceil().clamp(4.0, 60.0);
        let stride = self.length / steps;
        let (mut x, mut y) = self.start;
        let mut clouds = Vec::new();
        for step in 0..steps as usize {
            let along = step as f32 / steps;
            let heading = self.heading + self.turning * along;
            (x, y) = (x + stride * heading.cos(), y + stride * heading.sin());
            let deviation = self.widths.0 + (self.widths.1 - self.widths.0) * along;
            let brightness = self.brightness.0 + (self.brightness.1 - self.brightness.0) * along;
            // A row of Gaussians with this spacing adds up to deviation * sqrt(2 pi) / stride on its ridge.
            let share = (stride / (deviation * std::f32::consts::TAU.sqrt())).min(1.0);
            clouds.push(Component {
                placement: Placement::new((x, y), 0.0, 1.0),
                shape: Shape::Blob { deviation },
                light: population(brightness, self.age) * share,
            });
        }
        clouds
    }
}

/// One galaxy out of shape: lopsided and bent, with a tail, shells or plumes, and an off-centre nucleus.
pub(super) fn disturbed(pose: &Pose, draw: &mut Draw) -> Scene {
    let radius = draw.range(0.15, 0.24) * pose.size;
    let brightness = draw.range(20.9, 21.7) + pose.dimming;
    let age = draw.range(0.1, 1.0) + pose.ageing;
    let placement = pose.placement(draw.range(0.45, 0.9));
    let body =
        Component { placement, shape: Shape::sersic(draw.range(0.7, 1.3), radius), light: population(brightness, age) };
    let offset = (radius * draw.range(0.15, 0.45), draw.angle());
    let (x, y) = placement.image(offset.0 * offset.1.cos(), offset.0 * offset.1.sin());
    let nucleus = Component {
        placement: Placement::new((x, y), draw.angle(), draw.range(0.6, 1.0)),
        shape: Shape::sersic(draw.range(1.0, 2.5), radius * draw.range(0.15, 0.3)),
        light: population(draw.range(19.6, 20.6) + pose.dimming, age + draw.range(0.1, 0.5)),
    };
    let mut galaxy = vec![body, nucleus];
    match draw.whole(0, 3) {
        0 => galaxy.extend(shells(pose, radius, brightness, age, draw)),
        1 => galaxy.push(broken_arm(&placement, radius, brightness, draw)),
        _ => {}
    }
    for _ in 0..draw.whole(1, 2) {
        galaxy.extend(plume(pose, radius, brightness, age, draw).components());
    }
    galaxy.extend(clumps(&placement, radius, brightness, draw));
    let disturbance = Disturbance {
        bend: radius * draw.range(0.28, 0.5),
        wave: draw.range(0.6, 1.3) / radius,
        phases: (draw.angle(), draw.angle()),
        centre: pose.centre,
        lopsided: (draw.range(0.35, 0.8), draw.angle(), radius),
    };
    Scene { galaxy, disturbance: Some(disturbance), ..Scene::default() }
}

/// A tail that leaves the body on one side.
fn plume(pose: &Pose, radius: f32, brightness: f32, age: f32, draw: &mut Draw) -> Streak {
    let side = draw.angle();
    let out = radius * draw.range(0.5, 0.9);
    Streak {
        start: (pose.centre.0 + out * side.cos(), pose.centre.1 + out * side.sin()),
        heading: side + draw.range(-0.9, 0.9),
        turning: draw.sign() * draw.range(0.4, 2.2),
        length: radius * draw.range(1.8, 3.4),
        widths: (radius * draw.range(0.2, 0.3), radius * draw.range(0.25, 0.6)),
        brightness: (brightness + draw.range(0.3, 0.9), brightness + draw.range(1.8, 2.9)),
        age: age - draw.range(0.0, 0.3),
    }
}

/// Sharp arcs of stars around an old galaxy, left by a small one that fell in (Malin & Carter 1983, ApJ 274, 534).
fn shells(pose: &Pose, radius: f32, brightness: f32, age: f32, draw: &mut Draw) -> Vec<Component> {
    let mut arcs = Vec::new();
    for number in 0..draw.whole(1, 3) {
        let distance = radius * (draw.range(1.3, 1.9) + 0.6 * number as f32);
        let (side, span) = (draw.angle(), draw.range(0.8, 1.8));
        let first = side - span / 2.0;
        let arc = Streak {
            start: (pose.centre.0 + distance * first.cos(), pose.centre.1 + distance * first.sin()),
            heading: first + std::f32::consts::FRAC_PI_2,
            turning: span,
            length: distance * span,
            widths: (radius * 0.11, radius * 0.11),
            brightness: (brightness + draw.range(1.3, 1.9), brightness + draw.range(1.3, 1.9)),
            age: age + 0.1,
        };
        arcs.extend(arc.components());
    }
    arcs
}

/// A single arm, as a fly-by raises.
fn broken_arm(placement: &Placement, radius: f32, brightness: f32, draw: &mut Draw) -> Component {
    let arms = Arms {
        count: 1.0,
        tangent: draw.range(20.0, 35.0).to_radians().tan() * draw.sign(),
        start: radius * 0.5,
        azimuth: draw.angle(),
        sharpness: draw.range(4.0, 9.0),
        waver: (draw.range(0.3, 0.8), draw.angle()),
        clumps: (draw.range(0.3, 0.7), draw.angle()),
    };
    Component {
        placement: *placement,
        shape: Shape::Arms { length: radius * 0.9, arms },
        light: population(brightness - draw.range(0.2, 0.9), draw.range(-0.1, 0.2)),
    }
}

/// Young clusters in no order.
fn clumps(placement: &Placement, radius: f32, brightness: f32, draw: &mut Draw) -> Vec<Component> {
    let count = draw.whole(0, 9);
    let clump = |_| {
        let (distance, direction) = (radius * draw.range(0.2, 1.5), draw.angle());
        let (x, y) = placement.image(distance * direction.cos(), distance * direction.sin());
        Component {
            placement: Placement::new((x, y), draw.angle(), draw.range(0.5, 1.0)),
            shape: Shape::Blob { deviation: radius * draw.range(0.07, 0.17) },
            light: population(brightness + draw.range(-0.6, 1.2), draw.range(-0.5, 0.3)),
        }
    };
    (0..count).map(clump).collect()
}

/// Two galaxies with a bridge between them, tails on their far sides and a common faint envelope.
pub(super) fn merging(pose: &Pose, draw: &mut Draw) -> Scene {
    let separation = draw.range(0.24, 0.52) * pose.size;
    let (cosine, sine) = (pose.angle.cos(), pose.angle.sin());
    let place = |along: f32| (pose.centre.0 + along * cosine, pose.centre.1 + along * sine);
    // The heavier galaxy is nearer to the middle.
    let balance = draw.range(0.3, 0.5);
    let (first, second) = (place(-separation * balance), place(separation * (1.0 - balance)));
    let radius = draw.range(0.09, 0.15) * pose.size;
    let brightness = draw.range(20.6, 21.5) + pose.dimming;
    let ages = (draw.range(0.1, 1.0) + pose.ageing, draw.range(0.1, 1.0) + pose.ageing);
    let ratio = 0.5 + balance * draw.range(0.6, 1.0);
    let mut galaxy = partner(first, radius, brightness, ages.0, draw);
    galaxy.extend(partner(second, radius * ratio, brightness + draw.range(-0.2, 0.5), ages.1, draw));
    // Both tails turn the same way, for both discs feel the same orbit.
    let sense = draw.sign();
    for (centre, out, age, chance) in
        [(first, pose.angle + std::f32::consts::PI, ages.0, 0.9), (second, pose.angle, ages.1, 0.75)]
    {
        if draw.chance(chance) {
            galaxy.extend(tail(centre, out, radius, brightness, sense, draw).aged(age).components());
        }
    }
    galaxy.extend(bridge(first, second, radius, brightness + draw.range(0.7, 1.7), draw).components());
    galaxy.push(Component {
        placement: Placement::new(place(separation * (0.5 - balance)), pose.angle, draw.range(0.6, 0.9)),
        shape: Shape::sersic(1.0, separation * draw.range(0.5, 0.8)),
        light: population(brightness + draw.range(2.7, 3.6), 0.5),
    });
    let disturbance = Disturbance {
        bend: radius * draw.range(0.1, 0.4),
        wave: draw.range(0.6, 1.2) / radius,
        phases: (draw.angle(), draw.angle()),
        centre: pose.centre,
        lopsided: (draw.range(0.0, 0.3), draw.angle(), separation),
    };
    Scene { galaxy, disturbance: Some(disturbance), ..Scene::default() }
}

/// One of the pair: body, nucleus and young clusters.
fn partner(centre: (f32, f32), radius: f32, brightness: f32, age: f32, draw: &mut Draw) -> Vec<Component> {
    let placement = Placement::new(centre, draw.angle(), draw.range(0.4, 0.95));
    let mut parts = vec![
        Component { placement, shape: Shape::sersic(draw.range(0.9, 2.0), radius), light: population(brightness, age) },
        Component {
            placement: placement.with_ratio(draw.range(0.7, 1.0)),
            shape: Shape::sersic(draw.range(1.0, 2.5), radius * 0.28),
            light: population(brightness - draw.range(0.6, 1.3), age + 0.25),
        },
    ];
    if age < 0.6 {
        parts.extend(clumps(&placement, radius, brightness, draw));
    }
    parts
}

impl Streak {
    fn aged(self, age: f32) -> Self {
        Self { age, ..self }
    }
}

fn tail(centre: (f32, f32), out: f32, radius: f32, brightness: f32, sense: f32, draw: &mut Draw) -> Streak {
    Streak {
        start: (centre.0 + 0.5 * radius * out.cos(), centre.1 + 0.5 * radius * out.sin()),
        heading: out - sense * draw.range(0.2, 1.0),
        turning: sense * draw.range(1.2, 2.8),
        length: radius * draw.range(2.8, 5.5),
        widths: (radius * draw.range(0.2, 0.32), radius * draw.range(0.25, 0.6)),
        brightness: (brightness + draw.range(0.6, 1.2), brightness + draw.range(2.0, 3.4)),
        age: 0.5,
    }
}

fn bridge(from: (f32, f32), to: (f32, f32), radius: f32, brightness: f32, draw: &mut Draw) -> Streak {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let bow = draw.range(-0.7, 0.7);
    Streak {
        start: from,
        heading: dy.atan2(dx) - bow,
        turning: 2.0 * bow,
        length: dx.hypot(dy),
        widths: (radius * 0.3, radius * 0.3),
        brightness: (brightness, brightness),
        age: draw.range(0.1, 0.6),
    }
}
