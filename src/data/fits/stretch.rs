//! The Legacy Survey's arcsinh stretch: three bands to RGB as in its viewer and in Galaxy10 DECaLS.
//!
//! After Lupton et al. (PASP 116, 133, 2004), with the parameters of the viewer: `dr2_rgb` of `legacysurvey/imagine`,
//! `map/views.py`. Fluxes are in nanomaggies.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Parameters of the stretch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stretch {
    /// Added to each scaled flux, so that the sky is not black.
    pub m: f64,
    /// Softening: the larger, the sooner light is compressed.
    pub q: f64,
    /// Factors of the fluxes of g, r and z.
    pub scales: [f64; 3],
}

impl Default for Stretch {
    /// The viewer's.
    fn default() -> Self {
        Self { m: 0.03, q: 20.0, scales: [6.0, 3.4, 2.2] }
    }
}

impl Stretch {
    /// The viewer's parameters, except those in `text`: `Q=10,m=0.02,g=5`. Names are m, Q, g, r and z.
    ///
    /// # Errors
    /// [`Error::Setting`] for another name, or a number out of range.
    pub fn parse(text: &str) -> Result<Self> {
        let mut stretch = Self::default();
        for part in text.split(',') {
            let refuse = |allowed: &str| Error::setting("--fits-stretch", format!("\"{part}\""), allowed);
            let (name, number) = part.split_once('=').ok_or_else(|| refuse("such as m=0.03,Q=20,g=6,r=3.4,z=2.2"))?;
            let number: f64 = number.trim().parse().map_err(|_| refuse("a name and a number"))?;
            let slot = match name.trim() {
                "m" => &mut stretch.m,
                "Q" | "q" => &mut stretch.q,
                "g" => &mut stretch.scales[0],
                "r" => &mut stretch.scales[1],
                "z" => &mut stretch.scales[2],
                _ => return Err(refuse("a number for m, Q, g, r or z")),
            };
            *slot = number;
            let lowest = if name.trim() == "m" { 0.0 } else { f64::MIN_POSITIVE };
            if !(lowest..=1e12).contains(&number) {
                return Err(refuse("above 0 (m: 0 or above) and at most 1e12"));
            }
        }
        Ok(stretch)
    }

    /// The colour of one pixel from its fluxes in g, r and z: red is z, green is r, blue is g. With `x = flux scale + m` and
    /// the intensity `I`, the mean of the three `max(x, 0)`, a channel is `x asinh(Q I) / (sqrt(Q) I)`, cut to 0..1,
    /// times 255, rounded down as in the viewer. A pixel without flux (NaN, infinite) in any
    /// band is black.
    pub fn rgb(&self, fluxes: [f32; 3]) -> [u8; 3] {
        if fluxes.iter().any(|flux| !flux.is_finite()) {
            return [0; 3];
        }
        let [g, r, z] = std::array::from_fn(|band| f64::from(fluxes[band]) * self.scales[band] + self.m);
        let intensity = [g, r, z].iter().map(|x| x.max(0.0)).sum::<f64>() / 3.0;
        if intensity == 0.0 {
            return [0; 3];
        }
        let factor = (self.q * intensity).asinh() / self.q.sqrt() / intensity;
        [z, r, g].map(|x| ((x * factor).clamp(0.0, 1.0) * 255.0) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_those_of_the_formula() {
        let stretch = Stretch::default();
        // sky: asinh(20 x 0.03) / sqrt(20) = 0.5688 / 4.4721 = 0.12719, times 255 = 32.4
        assert_eq!(stretch.rgb([0.0; 3]), [32; 3]);
        // x = 0.63, 0.37, 0.25; I = 0.41667; asinh(8.3333) = 2.8170; factor = 1.5118
        assert_eq!(stretch.rgb([0.1; 3]), [96, 142, 242]);
        // bright light saturates to white, what is below -m is black
        assert_eq!(stretch.rgb([100.0; 3]), [255; 3]);
        assert_eq!(stretch.rgb([-1.0; 3]), [0; 3]);
        // x = -5.97, 0.37, 0.25; I = 0.20667; asinh(4.1333) = 2.1270; factor = 2.3013
        assert_eq!(stretch.rgb([-1.0, 0.1, 0.1]), [146, 217, 0]);
        for hole in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(stretch.rgb([0.1, hole, 0.1]), [0; 3]);
        }
        assert_eq!(stretch.rgb([f32::MAX, f32::MIN, f32::MAX]), [255, 0, 255]);
    }

    #[test]
    fn parameters_are_named() {
        let stretch = Stretch::parse("Q=10, m=0,z=1e3").unwrap();
        assert_eq!(stretch, Stretch { m: 0.0, q: 10.0, scales: [6.0, 3.4, 1000.0] });
        for wrong in ["", "Q", "Q=", "i=3", "Q=0", "g=-1", "m=-0.1", "r=NaN", "z=inf", "Q=1,,"] {
            assert!(Stretch::parse(wrong).unwrap_err().to_string().contains("--fits-stretch"), "{wrong}");
        }
    }
}
