//! The rest of the field: foreground stars and small distant galaxies, the same in every class.
//!
//! They are distractors: nothing here may depend on the class of the galaxy in the middle.

use super::draw::Draw;
use super::light::{population, source};
use super::scene::{Component, Placement, Scene, Shape, Star};

/// Adds a random field to a scene.
pub(super) fn strew(draw: &mut Draw, scene: &mut Scene) {
    for _ in 0..draw.whole(1, 9) {
        let star = star(draw);
        scene.stars.push(star);
    }
    for _ in 0..draw.whole(1, 7) {
        let galaxy = small_galaxy(draw);
        scene.field.push(galaxy);
    }
}

/// Counts of stars rise slowly towards faint magnitudes; the colours follow the stellar locus (Covey et al. 2007,
/// AJ 134, 2398): r - z is small until g - r reaches the M dwarfs' 1.4 and then runs away.
fn star(draw: &mut Draw) -> Star {
    let magnitude = 23.4 - 6.2 * draw.range(0.0, 1.0).powf(3.0);
    let (g_minus_r, r_minus_z) = if draw.chance(0.35) {
        (draw.normal(1.4, 0.08), draw.range(0.7, 1.7))
    } else {
        let colour = draw.range(0.15, 1.2);
        (colour, 0.65 * colour - 0.1 + draw.normal(0.0, 0.04))
    };
    Star { x: draw.range(-1.0, 1.0), y: draw.range(-1.0, 1.0), flux: source(magnitude, g_minus_r, r_minus_z) }
}

fn small_galaxy(draw: &mut Draw) -> Component {
    // Seldom a companion large enough to be mistaken for half of a merger, and then away from the middle.
    let companion = draw.chance(0.05);
    let radius = if companion { draw.range(0.05, 0.09) } else { draw.range(0.012, 0.04) };
    let (distance, direction) = (if companion { draw.range(0.6, 1.0) } else { draw.range(0.2, 1.35) }, draw.angle());
    let centre = (distance * direction.cos(), distance * direction.sin());
    let brightness = if companion { draw.range(21.3, 22.3) } else { draw.range(22.0, 23.8) };
    Component {
        placement: Placement::new(centre, draw.angle(), draw.range(0.35, 1.0)),
        shape: Shape::sersic(draw.range(0.8, 2.5), radius),
        light: population(brightness, draw.range(0.0, 1.6)),
    }
}
