//! Adam over a whole bank of parameters at once, with decoupled weight decay.
//!
//! ```text
//! g = gradients * loss_scale[1]
//! m = beta1 * m + (1 - beta1) * g,   v = beta2 * v + (1 - beta2) * g^2
//! p = p - learning_rate * decay * p - learning_rate * sqrt(1 - beta2^t) / (1 - beta1^t) * m / (sqrt(v) + epsilon)
//! ```
//!
//! Keras's form: epsilon is added to the root of the uncorrected second moment. Where `status[0]` is 0 (loss or gradient
//! were not finite, see [`reduce`](super::reduce)) nothing changes. References: Kingma and Ba, "Adam: A Method for
//! Stochastic Optimization", ICLR 2015, the form before section 2.1; decay: Loshchilov and Hutter, "Decoupled Weight Decay
//! Regularization", ICLR 2019.
//!
//! ```text
//! ema = ema + share * (p - ema)
//! ```
//!
//! `adam.ema` follows an update where an exponential moving average (EMA) of the weights is wanted: `share` is the step's own, one
//! less the decay. Reference: Polyak and Juditsky, "Acceleration of Stochastic Approximation by Averaging", SIAM J. Control
//! Optim. 30(4), 1992, here with exponential weights.
//!
//! Constants: `ELEMENTS`, a multiple of 4, as every bank's is. Rates, decays and corrections are in [`StepParams`](super::StepParams).

mod native;

use super::reduce::LOSS_SCALE;
use super::{Args, Binding, Case, Contract, Cost, Fill, Launch, Native, Real, Shader, Tolerance, ViewMut};
use crate::kernels::sizes::{direct, sized, sizes};
use crate::{shader, twin};

sizes! {
    /// Sizes of a bank of parameters.
    Sizes { elements: usize = "ELEMENTS" }
}

/// The contracts of this file.
pub const CONTRACTS: &[&Contract] = &[&UPDATE, &UPDATE_MIXED, &EMA, &EMA_MIXED];

/// `gradients, status (2), loss_scale (4) -> parameters, moment1, moment2`.
pub static UPDATE: Contract = Contract {
    name: "adam.update",
    formula: "p -= learning_rate * (sqrt(correction2) / correction1 * m / (sqrt(v) + epsilon) + decay * p)",
    bindings: &[
        Binding::read("gradients"),
        Binding::index("status", Fill::Ones),
        Binding::read("loss_scale").filled(Fill::Positive),
        Binding::update("parameters", Fill::Shuffled),
        Binding::update("moment1", Fill::Shuffled),
        Binding::update("moment2", Fill::Positive),
    ],
    constants: Sizes::CONSTANTS,
    lengths: sized!(|c| {
        let n = c.elements;
        vec![n, 2, LOSS_SCALE, n, n, n]
    }),
    twin: twin!(update),
    cost: sized!(|c| Cost { flops: 16.0 * c.elements as f64, bytes: 28.0 * c.elements as f64 }),
    // a dozen roundings, of which division and square root may each be 2.5 units in the last place
    tolerance: |_| Tolerance::sum(4),
    cases,
    native: &[Native::direct(native::update)],
    implementations: &[direct!(|c| launch(shader!("adam/update_direct.wgsl"), 6, c))],
};

/// `gradients, status (2), loss_scale (4) -> parameters, moment1, moment2, half_parameters`.
pub static UPDATE_MIXED: Contract = Contract {
    name: "adam.update_mixed",
    formula: "adam.update, and a copy of the parameters in f16",
    bindings: &[
        Binding::read("gradients"),
        Binding::index("status", Fill::Ones),
        Binding::read("loss_scale").filled(Fill::Positive),
        Binding::update("parameters", Fill::Shuffled),
        Binding::update("moment1", Fill::Shuffled),
        Binding::update("moment2", Fill::Positive),
        Binding::update("half_parameters", Fill::Shuffled).or_half(),
    ],
    constants: Sizes::CONSTANTS,
    lengths: sized!(|c| {
        let n = c.elements;
        vec![n, 2, LOSS_SCALE, n, n, n, n]
    }),
    twin: twin!(update_mixed),
    cost: sized!(|c| Cost { flops: 16.0 * c.elements as f64, bytes: 32.0 * c.elements as f64 }),
    tolerance: |_| Tolerance::sum(4),
    cases,
    // mixed precision has no native kernels: a plan refuses it before
    native: &[Native::direct(|args, _| update_mixed(args))],
    implementations: &[direct!(|c| launch(shader!("adam/update_mixed_direct.wgsl"), 7, c))],
};

/// `parameters, status (2) -> ema`.
pub static EMA: Contract = Contract {
    name: "adam.ema",
    formula: "ema += share * (p - ema)",
    bindings: &[
        Binding::read("parameters"),
        Binding::index("status", Fill::Ones),
        Binding::update("ema", Fill::Shuffled),
    ],
    constants: Sizes::CONSTANTS,
    lengths: sized!(|c| vec![c.elements, 2, c.elements]),
    twin: twin!(ema),
    cost: sized!(|c| Cost { flops: 3.0 * c.elements as f64, bytes: 12.0 * c.elements as f64 }),
    tolerance: |_| Tolerance::sum(2),
    cases: ema_cases,
    native: &[Native::direct(native::ema)],
    implementations: &[direct!(|c| launch(shader!("adam/ema_direct.wgsl"), 3, c))],
};

/// `parameters, status (2) -> ema, half_ema`.
pub static EMA_MIXED: Contract = Contract {
    name: "adam.ema_mixed",
    formula: "adam.ema, and a copy of the EMA in f16",
    bindings: &[
        Binding::read("parameters"),
        Binding::index("status", Fill::Ones),
        Binding::update("ema", Fill::Shuffled),
        Binding::update("half_ema", Fill::Shuffled).or_half(),
    ],
    constants: Sizes::CONSTANTS,
    lengths: sized!(|c| vec![c.elements, 2, c.elements, c.elements]),
    twin: twin!(ema_mixed),
    cost: sized!(|c| Cost { flops: 3.0 * c.elements as f64, bytes: 16.0 * c.elements as f64 }),
    tolerance: |_| Tolerance::sum(2),
    cases: ema_cases,
    // as of `adam.update_mixed`
    native: &[Native::direct(|args, _| ema_mixed(args))],
    implementations: &[direct!(|c| launch(shader!("adam/ema_mixed_direct.wgsl"), 4, c))],
};

/// A thread for each four elements.
fn launch(shader: Shader, bindings: usize, c: Sizes) -> Launch {
    Launch::items(shader, bindings, c.elements / 4, 1)
}

/// Twin of `adam.update`.
pub fn update<T: Real>(mut args: Args<T>) {
    if args.indices(1)[0] == 0 {
        return;
    }
    let s = args.step;
    let [learning_rate, beta1, beta2, epsilon, correction1, correction2, decay] =
        [s.learning_rate, s.beta1, s.beta2, s.epsilon, s.correction1, s.correction2, s.decay]
            .map(|value| T::of(f64::from(value)));
    let rate = learning_rate * correction2.sqrt() / correction1;
    let inverse = args.floats(2)[1];
    let (parameters, moment1, moment2) = (args.floats_out(0), args.floats_out(1), args.floats_out(2));
    let moments = moment1.iter_mut().zip(moment2);
    for ((p, (m, v)), &gradient) in parameters.iter_mut().zip(moments).zip(args.floats(0)) {
        let g = gradient * inverse;
        *m = beta1 * *m + (T::one() - beta1) * g;
        *v = beta2 * *v + (T::one() - beta2) * g * g;
        *p = *p - learning_rate * decay * *p - rate * *m / (v.sqrt() + epsilon);
    }
}

/// Twin of `adam.update_mixed`.
pub fn update_mixed<T: Real>(mut args: Args<T>) {
    if args.indices(1)[0] == 0 {
        return;
    }
    let [Some(parameters), Some(moment1), Some(moment2)] = [0, 1, 2].map(|i| args.writes[i].take()) else { return };
    let (mut parameters, mut moment1, mut moment2) = (parameters, moment1, moment2);
    let writes = [&mut parameters, &mut moment1, &mut moment2].map(|view| Some(view.reborrow()));
    update(Args { constants: args.constants, step: args.step, reads: args.reads.clone(), writes: writes.into() });
    if let ViewMut::Float(parameters) = parameters {
        args.floats_out(3).copy_from_slice(parameters);
    }
}

/// Twin of `adam.ema`.
pub fn ema<T: Real>(mut args: Args<T>) {
    if args.indices(1)[0] == 0 {
        return;
    }
    let share = T::of(f64::from(args.step.ema));
    for (ema, &p) in args.floats_out(0).iter_mut().zip(args.floats(0)) {
        *ema = *ema + share * (p - *ema);
    }
}

/// Twin of `adam.ema_mixed`.
pub fn ema_mixed<T: Real>(mut args: Args<T>) {
    let Some(mut values) = args.writes[0].take() else { return };
    let writes = vec![Some(values.reborrow())];
    ema(Args { constants: args.constants, step: args.step, reads: args.reads.clone(), writes });
    if let (ViewMut::Float(values), true) = (values, args.indices(1)[0] > 0) {
        args.floats_out(1).copy_from_slice(values);
    }
}

/// Keras's default settings at step `t`, counted from 1.
fn keras(t: i32) -> super::StepParams {
    super::StepParams {
        step: t as u32 - 1,
        learning_rate: 1e-3,
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-7,
        correction1: (1.0 - 0.9f64.powi(t)) as f32,
        correction2: (1.0 - 0.999f64.powi(t)) as f32,
        ..Default::default()
    }
}

fn cases() -> Vec<Case> {
    let decayed = super::StepParams { decay: 0.05, ..keras(20) };
    vec![
        Case::new("smallest", Sizes { elements: 4 }).at(keras(1)),
        Case::new("step 1", Sizes { elements: 320 }).at(keras(1)),
        Case::new("step 1000", Sizes { elements: 320 }).at(keras(1000)),
        Case::new("decay and scale", Sizes { elements: 1028 }).at(decayed),
        Case::new("skipped", Sizes { elements: 192 }).at(keras(5)).filled(&[("status", Fill::Zero)]),
        Case::new("from zero", Sizes { elements: 192 })
            .at(keras(1))
            .filled(&[("moment1", Fill::Zero), ("moment2", Fill::Zero)]),
        Case::new("beyond 65535 workgroups", Sizes { elements: 16_800_000 }).at(keras(7)),
        Case::new("conv4 256 px", Sizes { elements: 8_520_000 / 64 * 64 }).at(keras(50)).timed(),
    ]
}

fn ema_cases() -> Vec<Case> {
    let share = |ema| super::StepParams { ema, ..Default::default() };
    vec![
        Case::new("smallest", Sizes { elements: 4 }).at(share(0.9)),
        Case::new("around a workgroup", Sizes { elements: 260 }).at(share(0.25)),
        Case::new("ragged", Sizes { elements: 1028 }).at(share(0.001)),
        Case::new("all of it", Sizes { elements: 320 }).at(share(1.0)),
        Case::new("skipped", Sizes { elements: 192 }).at(share(0.5)).filled(&[("status", Fill::Zero)]),
        Case::new("beyond 65535 workgroups", Sizes { elements: 16_800_000 }).at(share(0.01)),
        Case::new("conv4 256 px", Sizes { elements: 8_520_000 / 64 * 64 }).at(share(0.001)).timed(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{StepParams, View};

    /// One parameter at 1.0 with zero moments after each gradient; `status` as given.
    fn run(step: StepParams, gradient: f64, status: u32) -> [f64; 3] {
        run_scaled(step, gradient, status, 1.0)
    }

    fn run_scaled(step: StepParams, gradient: f64, status: u32, scale: f64) -> [f64; 3] {
        let mut values = [[1.0], [0.0], [0.0]];
        let writes = values.iter_mut().map(|v| Some(ViewMut::Float(&mut v[..]))).collect();
        let (gradient, status, scale) = ([gradient], [status, 0], [scale, scale.recip(), 0.0, 0.0]);
        let reads = vec![View::Float(&gradient[..]), View::Index(&status[..]), View::Float(&scale[..])];
        update(Args { constants: &Sizes { elements: 1 }.into(), step: &step, reads, writes });
        values.map(|v| v[0])
    }

    #[test]
    fn the_first_step_has_the_size_of_the_learning_rate() {
        for gradient in [0.5, -3.0, 1e-5] {
            let [p, m, v] = run(keras(1), gradient, 1);
            // 1 - rate * sign(g) * sqrt(v) / (sqrt(v) + epsilon); 1 - beta is rounded in f32, hence the slack
            let root = (0.001f64 * gradient * gradient).sqrt();
            assert!((p - (1.0 - 1e-3 * gradient.signum() * root / (root + 1e-7))).abs() < 2e-8, "{p}");
            assert!((m - 0.1 * gradient).abs() < 1e-6 && (v - 0.001 * gradient * gradient).abs() < 1e-6);
        }
    }

    #[test]
    fn a_refused_step_changes_nothing() {
        assert_eq!(run(keras(1), f64::NAN, 0), [1.0, 0.0, 0.0]);
    }

    #[test]
    fn an_ema_approaches_what_stays_as_powers_of_its_decay() {
        let step = StepParams { ema: 0.25, ..Default::default() };
        let mut value = [3.0];
        let mut run = |status: u32, times: usize| {
            for _ in 0..times {
                let reads = vec![View::Float(&[1.0][..]), View::Index(if status > 0 { &[1, 0] } else { &[0, 1] })];
                let writes = vec![Some(ViewMut::Float(&mut value[..]))];
                ema(Args { constants: &Sizes { elements: 1 }.into(), step: &step, reads, writes });
            }
            value[0]
        };
        assert_eq!(run(1, 4), 1.0 + 2.0 * 0.75f64.powi(4));
        assert_eq!(run(0, 4), 1.0 + 2.0 * 0.75f64.powi(4), "a refused step changes nothing");
    }

    #[test]
    fn scale_is_taken_off_and_decay_is_decoupled() {
        let scaled = run_scaled(keras(3), 4.0, 1, 8.0);
        assert_eq!(scaled, run(keras(3), 0.5, 1));
        let decayed = run(StepParams { decay: 0.5, ..keras(3) }, 0.5, 1);
        assert!((scaled[0] - decayed[0] - 5e-4).abs() < 1e-9, "{scaled:?} {decayed:?}");
        assert_eq!(scaled[1..], decayed[1..]);
    }
}
