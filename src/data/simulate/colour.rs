//! From three bands to a colour picture, as the Legacy Survey's sky viewer makes it.
//!
//! Pure arithmetic on one pixel; it knows no galaxies.

use super::light::Bands;

/// Stretch of the bands g, r and z.
const SCALES: [f32; 3] = [6.0, 3.4, 2.2];
/// Added to every scaled band, so that noise around an empty sky is dark grey and not cut at black.
const PEDESTAL: f32 = 0.03;
/// Softening: linear below `1 / Q`, logarithmic above.
const Q: f32 = 20.0;

/// RGB of one pixel whose bands are in nanomaggies per square of 0.262 arcseconds.
///
/// With `s_b` the scale of band `b` and `m` the pedestal, `I = mean_b max(0, b s_b + m)`,
/// `f = asinh(Q I) / sqrt(Q)`, and the plane of band `b` is `(b s_b + m) f / I`, cut to 0..1 and stretched to a byte;
/// z is red, r green, g blue. This is `sdss_rgb` with the scales of `dr2_rgb` in `map/views.py` of
/// <https://github.com/legacysurvey/imagine>, a variant of Lupton et al. (2004, PASP 116, 133): colour is kept while
/// brightness is stretched.
pub(super) fn legacy_survey_rgb(bands: Bands) -> [u8; 3] {
    let mut lifted = bands.0;
    for (value, scale) in lifted.iter_mut().zip(SCALES) {
        *value = *value * scale + PEDESTAL;
    }
    let mean = lifted.iter().map(|value| value.max(0.0)).sum::<f32>() / 3.0;
    let stretch = (Q * mean).asinh() / Q.sqrt() / mean.max(1e-6);
    let byte = |value: f32| ((value * stretch).clamp(0.0, 1.0) * 255.0).round() as u8;
    [byte(lifted[2]), byte(lifted[1]), byte(lifted[0])]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_sky_is_the_viewers_dark_grey() {
        // asinh(20 * 0.03) / sqrt(20) = 0.568825 / 4.472136 = 0.127193, times 255 = 32.4
        assert_eq!(legacy_survey_rgb(Bands([0.0; 3])), [32; 3]);
    }

    #[test]
    fn one_band_lights_one_plane() {
        // Band g: 0.1 * 6 + 0.03 = 0.63; I = (0.63 + 0.03 + 0.03) / 3 = 0.23; f / I = asinh(4.6) / sqrt(20) / 0.23 = 2.16917
        // blue = 0.63 * 2.16917 > 1 -> 255; the others 0.03 * 2.16917 * 255 = 16.6
        assert_eq!(legacy_survey_rgb(Bands([0.1, 0.0, 0.0])), [17, 17, 255]);
        assert_eq!(legacy_survey_rgb(Bands([0.0, 0.0, 0.1 * 6.0 / 2.2])), [255, 17, 17]);
    }

    #[test]
    fn deep_negative_noise_is_black() {
        assert_eq!(legacy_survey_rgb(Bands([-1.0; 3])), [0; 3]);
    }

    #[test]
    fn equal_scaled_bands_are_grey_and_brighten() {
        let grey = |level: f32| legacy_survey_rgb(Bands(SCALES.map(|scale| level / scale)));
        let (faint, bright) = (grey(0.05), grey(0.5));
        assert!(faint[0] == faint[1] && faint[1] == faint[2]);
        assert!(bright[0] > faint[0]);
        assert_eq!(grey(100.0), [255; 3]);
    }
}
