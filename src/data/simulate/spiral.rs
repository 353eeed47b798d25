//! Logarithmic spiral arms in the plane of a disc.
//!
//! Polar coordinates only: inclination and the place on the image are the scene's business.

/// A set of equal arms `r = start exp(theta tan(pitch))`, broken up a little as real arms are.
///
/// A constant pitch angle is what most grand-design galaxies show (Kennicutt 1981, AJ 86, 1847).
#[derive(Clone, Debug)]
pub(super) struct Arms {
    /// Number of arms.
    pub count: f32,
    /// Tangent of the pitch angle; its sign is the sense of winding.
    pub tangent: f32,
    /// Radius at which the arms begin, in the scene's unit.
    pub start: f32,
    /// Azimuth of the first arm at `start`, radians.
    pub azimuth: f32,
    /// Concentration of the light on the ridge: von Mises, about `1 / sqrt(sharpness)` radians of phase wide.
    pub sharpness: f32,
    /// Amplitude (radians of phase) and phase of the ridge's waver.
    pub waver: (f32, f32),
    /// Amplitude (0 to 1) and phase of the brightness along the arm.
    pub clumps: (f32, f32),
}

impl Arms {
    /// Brightness of the arms, from 0 between them to about 1 on a ridge.
    pub fn strength(&self, radius: f32, azimuth: f32) -> f32 {
        let turns = (radius / self.start).max(1e-3).ln();
        let phase = self.count * (azimuth - self.azimuth - turns / self.tangent) + self.wavering(turns);
        let ridge = (self.sharpness * (phase.cos() - 1.0)).exp();
        let clump = 1.0 + self.clumps.0 * (2.0 * azimuth + 6.0 * turns + self.clumps.1).sin();
        ridge * clump * smooth_step(radius / self.start, 0.55, 1.05)
    }

    /// Azimuth of the ridge of arm `number` at `radius`, radians.
    pub fn ridge(&self, radius: f32, number: usize) -> f32 {
        let turns = (radius / self.start).max(1e-3).ln();
        let arm = std::f32::consts::TAU * number as f32 / self.count;
        self.azimuth + turns / self.tangent + arm - self.wavering(turns) / self.count
    }

    fn wavering(&self, turns: f32) -> f32 {
        self.waver.0 * (5.0 * turns + self.waver.1).sin()
    }
}

/// Zero below `low`, one above `high`, a cubic between.
pub(super) fn smooth_step(value: f32, low: f32, high: f32) -> f32 {
    let t = ((value - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arms() -> Arms {
        let tangent = 15f32.to_radians().tan();
        Arms { count: 2.0, tangent, start: 0.1, azimuth: 0.4, sharpness: 4.0, waver: (0.3, 1.0), clumps: (0.0, 0.0) }
    }

    #[test]
    fn the_ridge_is_the_brightest_azimuth() {
        let arms = arms();
        for radius in [0.15, 0.3, 0.6] {
            for number in 0..2 {
                let ridge = arms.ridge(radius, number);
                let top = arms.strength(radius, ridge);
                assert!((top - 1.0).abs() < 1e-3, "{top}");
                assert!(top > arms.strength(radius, ridge + 0.2) && top > arms.strength(radius, ridge - 0.2));
            }
        }
    }

    #[test]
    fn the_pitch_angle_is_that_of_the_ridge() {
        let arms = Arms { waver: (0.0, 0.0), ..arms() };
        let (inner, outer) = (0.2f32, 0.3f32);
        let turned = arms.ridge(outer, 0) - arms.ridge(inner, 0);
        let pitch = ((outer / inner).ln() / turned).atan().to_degrees();
        assert!((pitch - 15.0).abs() < 1e-2, "{pitch}");
    }
}
