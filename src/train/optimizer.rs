//! Adam's settings and what they mean for a step. The moments live in the engine's banks.

use crate::kernels::StepParams;
use serde::{Deserialize, Serialize};

/// Adam (Kingma and Ba, arXiv:1412.6980) with Keras's defaults and its place of epsilon.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Adam {
    /// Step size.
    pub learning_rate: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment; not bias-corrected.
    pub epsilon: f32,
    /// Decoupled weight decay (Loshchilov and Hutter, arXiv:1711.05101).
    pub decay: f32,
}

impl Default for Adam {
    fn default() -> Self {
        Self { learning_rate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-7, decay: 0.0 }
    }
}

impl Adam {
    /// Parameters of the optimizer step after `step` earlier ones; the batch is still to be filled in.
    pub fn params(&self, step: u32) -> StepParams {
        let t = f64::from(step) + 1.0;
        StepParams {
            step,
            learning_rate: self.learning_rate,
            beta1: self.beta1,
            beta2: self.beta2,
            epsilon: self.epsilon,
            correction1: (1.0 - f64::from(self.beta1).powf(t)) as f32,
            correction2: (1.0 - f64::from(self.beta2).powf(t)) as f32,
            decay: self.decay,
            ..StepParams::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corrections_start_small_and_end_at_one() {
        let adam = Adam::default();
        approx::assert_relative_eq!(adam.params(0).correction1, 0.1, epsilon = 1e-6);
        approx::assert_relative_eq!(adam.params(0).correction2, 0.001, epsilon = 1e-6);
        approx::assert_relative_eq!(adam.params(100_000).correction2, 1.0);
    }
}
