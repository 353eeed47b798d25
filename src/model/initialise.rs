//! Starting values of parameters, from a seed and the parameter's place alone.

use super::{Initialiser, Parameter};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

/// Starting values of parameter number `index` of a network; the same for the same seed on every machine.
pub fn initialise(parameter: &Parameter, index: usize, seed: u64) -> Vec<f32> {
    let count = parameter.shape.elements();
    match parameter.initialiser {
        Initialiser::Zeros => vec![0.0; count],
        Initialiser::GlorotUniform { fan_in, fan_out } => {
            let limit = (6.0 / (fan_in + fan_out) as f64).sqrt() as f32;
            let mut rng = Pcg64::seed_from_u64(seed ^ ((index as u64 + 1) << 32));
            (0..count).map(|_| rng.random_range(-limit..limit)).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::Shape;

    #[test]
    fn glorot_values_fill_their_range_and_depend_on_the_seed() {
        let initialiser = Initialiser::GlorotUniform { fan_in: 100, fan_out: 50 };
        let parameter = Parameter { name: "dense.kernel".into(), shape: Shape::new(&[100, 50]), initialiser };
        let values = initialise(&parameter, 0, 1);
        let largest = values.iter().fold(0.0f32, |most, v| most.max(v.abs()));
        assert!((0.19..=0.2).contains(&largest), "{largest}");
        assert!((values.iter().sum::<f32>() / 5000.0).abs() < 0.01);
        assert_ne!(values, initialise(&parameter, 0, 2));
        assert_ne!(values, initialise(&parameter, 1, 1));
        assert_eq!(values, initialise(&parameter, 0, 1));
    }
}
