//! Smooth galaxies: ellipticals and lenticulars without a visible disc, sorted by their apparent shape.

use super::Pose;
use crate::data::simulate::draw::Draw;
use crate::data::simulate::light::population;
use crate::data::simulate::scene::{Component, Scene, Shape};

/// Apparent shape.
#[derive(Clone, Copy)]
pub(super) enum Roundness {
    Round,
    Between,
    Cigar,
}

/// One Sersic profile, red and without structure; its index rises with luminosity as in real ellipticals (Caon,
/// Capaccioli & D'Onofrio 1993, MNRAS 265, 1013).
pub(super) fn smooth(pose: &Pose, roundness: Roundness, draw: &mut Draw) -> Scene {
    let (ratio, radius, index) = match roundness {
        Roundness::Round => (draw.range(0.87, 1.0), draw.range(0.06, 0.14), draw.range(1.3, 3.8)),
        Roundness::Between => (draw.range(0.48, 0.76), draw.range(0.08, 0.17), draw.range(1.2, 3.5)),
        Roundness::Cigar => (draw.range(0.20, 0.34), draw.range(0.13, 0.24), draw.range(0.9, 2.0)),
    };
    let brightness = draw.range(20.6, 21.8) + pose.dimming;
    let age = draw.normal(0.9, 0.25) + pose.ageing;
    let main = Component {
        placement: pose.placement(ratio),
        shape: Shape::sersic(index, radius * pose.size),
        light: population(brightness, age),
    };
    // An outer envelope, slightly bluer and rounder.
    let halo = Component {
        placement: pose.placement((ratio * 1.15).min(1.0)),
        shape: Shape::sersic(1.0, radius * pose.size * 1.9),
        light: population(brightness + draw.range(2.2, 3.4), age - 0.15),
    };
    Scene { galaxy: vec![main, halo], ..Scene::default() }
}
