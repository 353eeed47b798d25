//! Inverted dropout: each element is dropped with probability `RATE`, the rest are scaled so that the mean stays.
//!
//! ```text
//! keep(i)           = u(i) >= RATE,  u(i) = unit(pcg4d(before * IMAGE + i, step, seed, STREAM).x)
//! output[i]         = keep(i) ? input[i] / (1 - RATE) : 0
//! input_gradient[i] = keep(i) ? output_gradient[i] / (1 - RATE) : 0
//! ```
//!
//! The mask is a function of the position and the step, so backward draws the same one and nothing is stored; each layer
//! has its own `STREAM`. A micro-batch with `before` images of its step before it draws what the whole batch would.
//! Reference: Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov, "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", JMLR 15, 2014.
//!
//! Constants: `ELEMENTS IMAGE RATE STREAM`; `IMAGE` elements of each image.

mod native;

use super::{Args, Binding, Case, Constants, Contract, Cost, Native, Real, StepParams, Tolerance};
use crate::kernels::sizes::{by_item, sized, sizes};
use crate::rng::{pcg4d, unit};
use crate::twin;

sizes! {
    /// Sizes of a dropout.
    Sizes { elements: usize = "ELEMENTS", image: usize = "IMAGE", rate: f64 = "RATE", stream: usize = "STREAM" }
}

impl Sizes {
    /// Of `batch` images of `image` floats; `rate` in `[0, 1)` is the fraction that is dropped.
    pub fn new(batch: usize, image: usize, rate: f64, stream: usize) -> Self {
        Self { elements: batch * image, image, rate, stream }
    }
}

/// The contracts of this file.
pub const CONTRACTS: &[&Contract] = &[&FORWARD, &BACKWARD];

/// `input -> output`.
pub static FORWARD: Contract = Contract {
    name: "dropout.forward",
    formula: "output[i] = input[i] / (1 - RATE) where u(i) >= RATE, else 0",
    bindings: &[Binding::read("input").or_half(), Binding::write("output").or_half()],
    constants: Sizes::CONSTANTS,
    lengths: sized!(|c| vec![c.elements; 2]),
    twin: twin!(mask),
    cost: sized!(cost),
    tolerance,
    cases,
    native: &[Native::direct(native::mask)],
    implementations: by_item!("dropout/forward.wgsl", 2, |c| c.elements, c.elements),
};

/// `output_gradient -> input_gradient`.
pub static BACKWARD: Contract = Contract {
    name: "dropout.backward",
    formula: "input_gradient[i] = output_gradient[i] / (1 - RATE) where u(i) >= RATE, else 0",
    bindings: &[Binding::read("output_gradient").or_half(), Binding::write("input_gradient").or_half()],
    constants: Sizes::CONSTANTS,
    lengths: sized!(|c| vec![c.elements; 2]),
    twin: twin!(mask),
    cost: sized!(cost),
    tolerance,
    cases,
    native: &[Native::direct(native::mask)],
    implementations: by_item!("dropout/backward.wgsl", 2, |c| c.elements, c.elements),
};

/// One division, which WGSL allows 2.5 units in the last place.
fn tolerance(_: &Constants) -> Tolerance {
    Tolerance::sum(1)
}

/// About 30 integer operations and one division per element; counted as one operation.
fn cost(c: Sizes) -> Cost {
    Cost { flops: c.elements as f64, bytes: 8.0 * c.elements as f64 }
}

/// Whether element `i` of the micro-batch is kept; in f32 in both widths of the twin, so that both have the shader's mask.
fn keep(c: Sizes, step: &StepParams, i: usize) -> bool {
    let place = step.before.wrapping_mul(c.image as u32).wrapping_add(i as u32);
    unit(pcg4d([place, step.step, step.seed, c.stream as u32])[0]) >= c.rate as f32
}

/// Twin of both directions.
pub fn mask<T: Real>(mut args: Args<T>) {
    let (c, step) = (Sizes::from(args.constants), args.step);
    let kept = T::one() - T::of(c.rate);
    for (i, (y, &x)) in args.floats_out(0).iter_mut().zip(args.floats(0)).enumerate() {
        *y = if keep(c, step, i) { x / kept } else { T::zero() };
    }
}

fn cases() -> Vec<Case> {
    let step = StepParams { step: 12, seed: 0xC0FF_EE00, ..Default::default() };
    vec![
        Case::new("smallest", Sizes::new(1, 1, 0.5, 0)).at(step),
        Case::new("nothing dropped", Sizes::new(1, 130, 0.0, 1)),
        Case::new("a fifth, around a workgroup", Sizes::new(5, 13, 0.2, 3)).at(step),
        Case::new("a fifth, around a workgroup of vectors", Sizes::new(5, 52, 0.2, 3)).at(step),
        Case::new("micro-batch", Sizes::new(5, 13, 0.5, 3)).at(StepParams { before: 10, ..step }),
        Case::new("micro-batch of vectors", Sizes::new(5, 52, 0.5, 3)).at(StepParams { before: 10, ..step }),
        Case::new("nine tenths", Sizes::new(10, 100, 0.9, 4)).at(step),
        Case::new("beyond 65535 workgroups", Sizes::new(42, 100_000, 0.25, 2)).at(step),
        Case::new("dense1", Sizes::new(50, 256, 0.5, 1)).at(step).timed(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{View, ViewMut};

    fn run(c: Sizes, step: &StepParams) -> Vec<f32> {
        let ones = vec![1.0f32; c.elements];
        let mut output = vec![f32::NAN; ones.len()];
        let writes = vec![Some(ViewMut::Float(&mut output[..]))];
        mask(Args { constants: &c.into(), step, reads: vec![View::Float(&ones[..])], writes });
        output
    }

    #[test]
    fn the_mean_stays_and_the_dropped_fraction_is_right() {
        for rate in [0.2, 0.5] {
            let output = run(Sizes::new(1, 100_000, rate, 1), &StepParams::default());
            let dropped = output.iter().filter(|&&y| y == 0.0).count() as f64 / 1e5;
            let mean = output.iter().map(|&y| f64::from(y)).sum::<f64>() / 1e5;
            // five standard deviations of the fraction of 100 000 coins
            assert!((dropped - rate).abs() < 0.008 && (mean - 1.0).abs() < 0.016, "{rate}: {dropped} {mean}");
        }
    }

    #[test]
    fn step_seed_and_stream_change_the_mask() {
        let base = StepParams::default();
        let first = run(Sizes::new(1, 256, 0.5, 1), &base);
        assert_eq!(first, run(Sizes::new(1, 256, 0.5, 1), &base));
        assert_ne!(first, run(Sizes::new(1, 256, 0.5, 2), &base));
        assert_ne!(first, run(Sizes::new(1, 256, 0.5, 1), &StepParams { step: 1, ..base }));
        assert_ne!(first, run(Sizes::new(1, 256, 0.5, 1), &StepParams { seed: 1, ..base }));
    }

    #[test]
    fn a_micro_batch_draws_what_the_whole_batch_draws_there() {
        let step = StepParams { step: 3, seed: 9, ..StepParams::default() };
        let whole = run(Sizes::new(10, 7, 0.5, 1), &step);
        let part = |before: u32, images| run(Sizes::new(images, 7, 0.5, 1), &StepParams { before, ..step });
        assert_eq!(whole, [part(0, 4), part(4, 4), part(8, 2)].concat());
        assert_ne!(part(0, 4), part(4, 4));
    }

    #[test]
    fn nothing_is_dropped_at_rate_zero() {
        assert_eq!(run(Sizes::new(1, 500, 0.0, 1), &StepParams::default()), vec![1.0; 500]);
    }
}
