//! The optimizer's settings and what they mean for a step. The moments and the EMA live in the engine's banks.

use crate::error::{Error, Result};
use crate::kernels::StepParams;
use serde::{Deserialize, Serialize};

/// Adam (Kingma and Ba, arXiv:1412.6980) with Keras's defaults, and epsilon where Keras has it.
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
    /// Decoupled weight decay (Loshchilov and Hutter, arXiv:1711.05101) of all parameters, with biases, times the learning rate:
    /// Keras's and PyTorch's `AdamW`.
    pub decay: f32,
    /// Largest norm of the gradient over all parameters; a larger one is scaled down to it (Keras's `global_clipnorm`).
    pub clip_norm: Option<f32>,
    /// Decay of the exponential moving average (EMA) of the parameters, which is what is measured and kept where there is one. It starts at
    /// the starting weights; its decay is at most `(1 + t) / (10 + t)` after `t` steps, so that those are soon forgotten
    /// (TensorFlow's `ExponentialMovingAverage` with `num_updates`).
    pub ema: Option<f64>,
}

impl Default for Adam {
    fn default() -> Self {
        let (learning_rate, beta1, beta2, epsilon) = (1e-3, 0.9, 0.999, 1e-7);
        Self { learning_rate, beta1, beta2, epsilon, decay: 0.0, clip_norm: None, ema: None }
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
            clip: self.clip_norm.unwrap_or(0.0),
            // one less the smaller of both decays
            ema: self.ema.map_or(0.0, |decay| (1.0 - decay).max(9.0 / (9.0 + t)) as f32),
            ..StepParams::default()
        }
    }

    /// Refuses values that train nothing or destroy what was trained.
    ///
    /// # Errors
    /// [`Error::Setting`], by the option's name.
    pub fn check(&self) -> Result<()> {
        let refuse =
            |name: &str, got: &dyn ToString, allowed: &str| Err(Error::setting(name, got.to_string(), allowed));
        if !(self.learning_rate > 0.0 && self.learning_rate <= 1.0) {
            return refuse("--learning-rate", &self.learning_rate, "above 0 and at most 1");
        }
        if !(0.0..=1.0).contains(&self.decay) {
            return refuse("--weight-decay", &self.decay, "from 0 to 1");
        }
        match (self.clip_norm, self.ema) {
            (Some(clip), _) if !(clip > 0.0 && clip.is_finite()) => refuse("--clip-norm", &clip, "a number above 0"),
            (_, Some(decay)) if !(decay > 0.0 && decay < 1.0) => refuse("--ema", &decay, "above 0 and below 1"),
            _ => Ok(()),
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

    #[test]
    fn the_ema_soon_forgets_where_it_started() {
        let adam = Adam { ema: Some(0.999), ..Adam::default() };
        // 1 - (1 + t) / (10 + t), until that is below 1 - 0.999
        assert_eq!(adam.params(0).ema, 0.9);
        assert_eq!(adam.params(90).ema, (1.0 - 91.0 / 100.0) as f32);
        assert_eq!(adam.params(8_990).ema, (1.0 - 0.999) as f32);
        assert_eq!((Adam::default().params(3).ema, Adam::default().params(3).clip), (0.0, 0.0));
    }

    #[test]
    fn numbers_that_make_no_sense_are_refused_by_name() {
        let adam = Adam::default();
        adam.check().unwrap();
        for (adam, name) in [
            (Adam { learning_rate: 0.0, ..adam }, "--learning-rate"),
            (Adam { learning_rate: f32::NAN, ..adam }, "--learning-rate"),
            (Adam { decay: -0.1, ..adam }, "--weight-decay"),
            (Adam { decay: f32::NAN, ..adam }, "--weight-decay"),
            (Adam { clip_norm: Some(0.0), ..adam }, "--clip-norm"),
            (Adam { clip_norm: Some(f32::INFINITY), ..adam }, "--clip-norm"),
            (Adam { ema: Some(1.0), ..adam }, "--ema"),
            (Adam { ema: Some(f64::NAN), ..adam }, "--ema"),
        ] {
            let message = adam.check().unwrap_err().to_string();
            assert!(message.starts_with(name), "{message}");
        }
    }
}
