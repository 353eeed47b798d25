//! Radial and vertical brightness profiles of galaxies, each as a pure function of distance.
//!
//! Lengths are in the caller's unit; every profile is relative to its own reference brightness. It knows no images.

/// Sersic's `b_n`, for which half of the light lies inside the effective radius.
///
/// Asymptotic series of Ciotti & Bertin (1999, A&A 352, 447), equation 18; better than 1e-4 for `index >= 0.5`.
pub(super) fn sersic_b(index: f32) -> f32 {
    let n = index;
    2.0 * n - 1.0 / 3.0 + 4.0 / (405.0 * n) + 46.0 / (25515.0 * n * n)
}

/// Sersic (1963) profile `exp(-b ((r / r_e)^(1/n) - 1))`: one at the effective radius. `ratio` is `r / r_e`.
pub(super) fn sersic(ratio: f32, index: f32, b: f32) -> f32 {
    (-b * (ratio.powf(1.0 / index) - 1.0)).exp()
}

/// Where [`sersic`] has fallen to `fraction`, in effective radii.
pub(super) fn sersic_reach(fraction: f32, index: f32, b: f32) -> f32 {
    (1.0 - fraction.ln() / b).max(0.0).powf(index)
}

/// Exponential disc (Freeman 1970, ApJ 160, 811) with the soft truncation that real discs show near four scale lengths
/// (van der Kruit & Searle 1981): one at the centre. `ratio` is `r / h`.
pub(super) fn disc(ratio: f32) -> f32 {
    (-ratio - (ratio / 4.5).powi(6)).exp()
}

/// Exponential disc seen edge-on along its plane: `x K_1(x)` with `x = r / h` (van der Kruit & Searle 1981, A&A 95, 105).
///
/// `sqrt(1 + pi x / 2) exp(-x)` has the right limits at both ends and stays within 3 % between them.
pub(super) fn edge_on(ratio: f32) -> f32 {
    (1.0 + std::f32::consts::FRAC_PI_2 * ratio).sqrt() * (-ratio - (ratio / 4.5).powi(6)).exp()
}

/// Isothermal sheet `sech^2(z / z_0)` across a disc (Spitzer 1942, ApJ 95, 329). `ratio` is `z / z_0`.
pub(super) fn sheet(ratio: f32) -> f32 {
    let decay = (-2.0 * ratio.abs()).exp();
    4.0 * decay / ((1.0 + decay) * (1.0 + decay))
}

/// Ferrers (1877) bar `(1 - m^2)^2` inside its ellipse, zero outside. `square` is `m^2 = (x/a)^2 + (y/b)^2`.
pub(super) fn ferrers(square: f32) -> f32 {
    let inside = (1.0 - square).max(0.0);
    inside * inside
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;

    /// Light inside `outer` effective radii by the midpoint rule in `ln r`, which resolves the cusp of large indices.
    fn light_inside(outer: f64, index: f32) -> f64 {
        let b = sersic_b(index);
        let (low, steps) = (1e-9f64.ln(), 40_000);
        let width = (outer.ln() - low) / f64::from(steps);
        (0..steps)
            .map(|step| {
                let radius = (low + (f64::from(step) + 0.5) * width).exp();
                f64::from(sersic(radius as f32, index, b)) * radius * radius * width
            })
            .sum()
    }

    #[test]
    fn half_of_the_light_is_inside_the_effective_radius() {
        for index in [0.5, 1.0, 2.0, 4.0, 6.0] {
            let share = light_inside(1.0, index) / light_inside(1e4, index);
            assert_relative_eq!(share, 0.5, epsilon = 2e-3);
        }
    }

    #[test]
    fn sersic_reach_inverts_the_profile() {
        for index in [0.6, 1.0, 4.0] {
            let b = sersic_b(index);
            assert_relative_eq!(sersic(sersic_reach(0.01, index, b), index, b), 0.01, max_relative = 1e-3);
        }
    }

    #[test]
    fn edge_on_disc_follows_the_bessel_function() {
        // x K_1(x) at x = 0, 1, 2 from Abramowitz & Stegun (1964), table 9.8.
        for (x, exact) in [(0.0, 1.0), (1.0, 0.601_907), (2.0, 0.279_732)] {
            assert_relative_eq!(edge_on(x), exact, max_relative = 0.03);
        }
    }

    #[test]
    fn sheet_is_the_square_of_the_hyperbolic_secant() {
        for ratio in [-3.0f32, -0.5, 0.0, 0.2, 2.0] {
            assert_relative_eq!(sheet(ratio), ratio.cosh().powi(-2), max_relative = 1e-5);
        }
        assert_eq!(sheet(80.0), 0.0);
    }
}
