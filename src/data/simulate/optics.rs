//! Telescope, atmosphere and detector: seeing, pixels and noise.
//!
//! It works on canvases of light; it knows no galaxies and no colours.

use super::draw::Draw;
use super::scene::Canvas;

/// Standard deviation of the sky noise in g, r, z at typical depth, nanomaggies per reference pixel.
const SKY_NOISE: [f32; 3] = [0.0016, 0.0028, 0.0045];
/// Brightness of the night sky in g, r, z, nanomaggies per reference pixel (about 22.1, 21.1 and 19.2 magnitudes per
/// square arcsecond): a source this bright doubles the variance of the photon noise.
const SKY: [f32; 3] = [0.10, 0.25, 1.4];
/// Share of the light in the wings of the point spread function, and their width over that of the core. Two Gaussians
/// follow a Moffat (1969, A&A 3, 455) profile with beta about 3.5 and stay separable.
const WINGS: (f32, f32) = (0.18, 2.1);

/// The conditions of one exposure.
pub(super) struct Night {
    /// Standard deviation of the core of the point spread function, in units of the field (half its width).
    pub seeing: f32,
    /// Noise over its typical value.
    pub noise: f32,
}

/// Blurs, bins `oversampling x oversampling` samples to a pixel, and adds noise.
pub(super) fn observe(light: &Canvas, oversampling: usize, night: &Night, draw: &mut Draw) -> Canvas {
    let deviation = night.seeing * light.side as f32 / 2.0;
    let core = blur(light, deviation, 1.0 - WINGS.0);
    let wings = blur(light, deviation * WINGS.1, WINGS.0);
    let mut seen = core;
    seen.samples.iter_mut().zip(&wings.samples).for_each(|(sample, wing)| *sample += wing);
    let mut picture = bin(&seen, oversampling);
    for pixel in picture.samples.chunks_exact_mut(3) {
        for (band, value) in pixel.iter_mut().enumerate() {
            let variance = 1.0 + value.max(0.0) / SKY[band];
            *value = draw.normal(*value, SKY_NOISE[band] * night.noise * variance.sqrt());
        }
    }
    picture
}

/// Weights of a Gaussian from the centre outwards; over both sides they add up to one.
fn gaussian(deviation: f32) -> Vec<f32> {
    let taps = (3.0 * deviation).ceil().max(1.0) as usize;
    let raw = |tap: usize| (-0.5 * (tap as f32 / deviation.max(1e-3)).powi(2)).exp();
    let total = 1.0 + 2.0 * (1..=taps).map(raw).sum::<f32>();
    (0..=taps).map(|tap| raw(tap) / total).collect()
}

/// `target += source * weight`.
fn accumulate(target: &mut [f32], source: &[f32], weight: f32) {
    target.iter_mut().zip(source).for_each(|(sum, value)| *sum += value * weight);
}

/// Separable Gaussian blur of all bands, times `share`. Beyond the edge there is dark sky.
fn blur(light: &Canvas, deviation: f32, share: f32) -> Canvas {
    let weights = gaussian(deviation);
    let row_values = light.side * 3;
    let mut across = Canvas::new(light.side);
    for (target, source) in across.samples.chunks_exact_mut(row_values).zip(light.samples.chunks_exact(row_values)) {
        accumulate(target, source, weights[0] * share);
        for (tap, weight) in weights.iter().enumerate().take(light.side).skip(1) {
            accumulate(&mut target[tap * 3..], source, weight * share);
            accumulate(target, &source[tap * 3..], weight * share);
        }
    }
    let mut both = Canvas::new(light.side);
    accumulate(&mut both.samples, &across.samples, weights[0]);
    for (tap, weight) in weights.iter().enumerate().take(light.side).skip(1) {
        accumulate(&mut both.samples[tap * row_values..], &across.samples, *weight);
        accumulate(&mut both.samples, &across.samples[tap * row_values..], *weight);
    }
    both
}

/// Mean of each block of samples.
fn bin(light: &Canvas, oversampling: usize) -> Canvas {
    let mut pixels = Canvas::new(light.side / oversampling);
    let share = 1.0 / (oversampling * oversampling) as f32;
    let side = pixels.side;
    for (index, values) in light.samples.chunks_exact(3).enumerate() {
        let (row, column) = (index / light.side / oversampling, index % light.side / oversampling);
        let at = (row * side + column) * 3;
        accumulate(&mut pixels.samples[at..at + 3], values, share);
    }
    pixels
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;

    fn point(side: usize) -> Canvas {
        let mut canvas = Canvas::new(side);
        let middle = (side / 2 * side + side / 2) * 3;
        canvas.samples[middle..middle + 3].copy_from_slice(&[1.0, 2.0, 3.0]);
        canvas
    }

    #[test]
    fn blur_keeps_the_light_and_is_round() {
        let blurred = blur(&point(41), 2.5, 1.0);
        let total: f32 = blurred.samples.iter().step_by(3).sum();
        assert_relative_eq!(total, 1.0, epsilon = 1e-4);
        let at = |row: usize, column: usize| blurred.samples[(row * 41 + column) * 3 + 1];
        assert_relative_eq!(at(20, 23), at(23, 20), max_relative = 1e-5);
        assert_relative_eq!(at(20, 23), at(20, 17), max_relative = 1e-5);
        assert_relative_eq!(at(20, 23) / at(20, 20), (-0.5f32 * (3.0f32 / 2.5).powi(2)).exp(), max_relative = 1e-4);
    }

    #[test]
    fn bin_averages_blocks() {
        let canvas = Canvas { side: 2, samples: (0..12).map(|value| value as f32).collect() };
        assert_eq!(bin(&canvas, 2).samples, [4.5, 5.5, 6.5]);
    }

    #[test]
    fn noise_has_the_sky_deviation_and_grows_with_light() {
        let night = Night { seeing: 0.02, noise: 1.0 };
        let deviation = |level: f32| {
            let canvas = Canvas { side: 64, samples: vec![level; 64 * 64 * 3] };
            let seen = observe(&canvas, 1, &night, &mut Draw::new(3, 3));
            // The middle, where no light is lost over the edge.
            let values: Vec<f32> = (16..48)
                .flat_map(|row| (16..48).map(move |column| (row * 64 + column) * 3))
                .map(|at| seen.samples[at])
                .collect();
            let mean = values.iter().sum::<f32>() / values.len() as f32;
            (values.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / values.len() as f32).sqrt()
        };
        assert_relative_eq!(deviation(0.0), SKY_NOISE[0], max_relative = 0.1);
        assert_relative_eq!(deviation(0.3), SKY_NOISE[0] * 2.0, max_relative = 0.1);
    }
}
