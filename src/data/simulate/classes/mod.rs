//! Recipes: a class of Galaxy10 and a generator in, a random scene out.
//!
//! Numbers are chosen so that the classes overlap as they do on the sky: sizes, brightness, inclination and colour say
//! little, form says most. Lengths are in half widths of the image; brightness in r magnitudes per square arcsecond.

mod edge_on;
mod interacting;
mod smooth;
mod spirals;

use super::draw::Draw;
use super::scene::{Placement, Scene};

/// What every galaxy has, whatever its class.
struct Pose {
    /// Centre in the field: nearly the middle.
    centre: (f32, f32),
    /// Position angle, radians.
    angle: f32,
    /// Size over the typical size.
    size: f32,
    /// Magnitudes to add to every brightness: distance, extinction, true spread.
    dimming: f32,
    /// To add to every age: galaxies differ in colour within a class.
    ageing: f32,
}

impl Pose {
    fn random(draw: &mut Draw) -> Self {
        Self {
            centre: (draw.normal(0.0, 0.025), draw.normal(0.0, 0.025)),
            angle: draw.angle(),
            size: draw.normal(0.0, 0.22).clamp(-0.5, 0.4).exp(),
            dimming: draw.normal(0.0, 0.35).clamp(-0.8, 0.8),
            ageing: draw.normal(0.0, 0.15).clamp(-0.35, 0.35),
        }
    }

    fn placement(&self, ratio: f32) -> Placement {
        Placement::new(self.centre, self.angle, ratio)
    }
}

/// A galaxy of class `label` (see [`crate::data::GALAXY10_CLASSES`]) alone in its field.
pub(super) fn galaxy(label: usize, draw: &mut Draw) -> Scene {
    let pose = Pose::random(draw);
    match label {
        0 => interacting::disturbed(&pose, draw),
        1 => interacting::merging(&pose, draw),
        2 => smooth::smooth(&pose, smooth::Roundness::Round, draw),
        3 => smooth::smooth(&pose, smooth::Roundness::Between, draw),
        4 => smooth::smooth(&pose, smooth::Roundness::Cigar, draw),
        5 => spirals::spiral(&pose, spirals::Winding::Barred, draw),
        6 => spirals::spiral(&pose, spirals::Winding::Tight, draw),
        7 => spirals::spiral(&pose, spirals::Winding::Loose, draw),
        8 => edge_on::edge_on(&pose, false, draw),
        _ => edge_on::edge_on(&pose, true, draw),
    }
}

/// Apparent axis ratio of a disc of thickness `thickness` whose axis makes the angle with cosine `cosine` with the line
/// of sight: `q^2 = cos^2 i + q_0^2 sin^2 i` (Hubble 1926, ApJ 64, 321).
fn apparent_ratio(cosine: f32, thickness: f32) -> f32 {
    let square = cosine * cosine;
    (square + thickness * thickness * (1.0 - square)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apparent_ratio_runs_from_thickness_to_one() {
        assert!((apparent_ratio(0.0, 0.15) - 0.15).abs() < 1e-6);
        assert!((apparent_ratio(1.0, 0.15) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn every_class_has_light() {
        for label in 0..10 {
            for stream in 0..20 {
                let scene = galaxy(label, &mut Draw::new(1, stream));
                assert!(!scene.galaxy.is_empty());
                let canvas = scene.render(32, 256.0);
                assert!(canvas.samples.iter().all(|value| value.is_finite() && *value >= 0.0), "class {label}");
                assert!(canvas.samples.iter().any(|value| *value > 0.02), "class {label} is dark");
            }
        }
    }
}
