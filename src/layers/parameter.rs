//! Tensors that belong to a layer, and the values they start with.

use crate::shape::Shape;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

/// How a parameter starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Initialiser {
    /// Uniform in `+-sqrt(6 / (fan_in + fan_out))` (Glorot and Bengio, AISTATS 2010), Keras's default.
    GlorotUniform {
        /// Inputs of one output.
        fan_in: usize,
        /// Outputs of one input.
        fan_out: usize,
    },
    /// All zero.
    Zeros,
}

/// Who changes a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The optimizer, by its gradient.
    Trainable,
    /// The forward calls of a training step, such as running statistics. It has no gradient.
    State,
}

/// A tensor that belongs to a layer and outlives a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// What it is to its layer, such as `kernel`; in a network `conv2d_1.kernel`.
    pub name: String,
    /// Its sizes.
    pub shape: Shape,
    /// How it starts.
    pub initialiser: Initialiser,
    /// Who changes it.
    pub role: Role,
}

impl Parameter {
    /// A parameter that the optimizer trains.
    pub fn trainable(name: &str, sizes: &[usize], initialiser: Initialiser) -> Self {
        Self { name: name.to_owned(), shape: Shape::new(sizes), initialiser, role: Role::Trainable }
    }
}

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

    #[test]
    fn glorot_values_fill_their_range_and_depend_on_the_seed() {
        let parameter =
            Parameter::trainable("kernel", &[100, 50], Initialiser::GlorotUniform { fan_in: 100, fan_out: 50 });
        let values = initialise(&parameter, 0, 1);
        let largest = values.iter().fold(0.0f32, |most, v| most.max(v.abs()));
        assert!((0.19..=0.2).contains(&largest), "{largest}");
        assert!((values.iter().sum::<f32>() / 5000.0).abs() < 0.01);
        assert_ne!(values, initialise(&parameter, 0, 2));
        assert_ne!(values, initialise(&parameter, 1, 1));
        assert_eq!(values, initialise(&parameter, 0, 1));
    }
}
