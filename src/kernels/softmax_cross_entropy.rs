//! Softmax and cross entropy in one kernel: loss, hits, the logits' gradient and the probabilities.
//!
//! ```text
//! image = order[first + i],  label = labels[image],  z[c] = logits[i,c] - max logits[i]
//! p[c]                 = exp(z[c]) / s,  s = sum_c exp(z[c])
//! target[c]            = (1 - SMOOTHING) * [c = label] + SMOOTHING / CLASSES
//! loss                 = -class_weights[label] * sum_c target[c] * log p[c] = class_weights[label] * (log s - sum_c target[c] * z[c])
//! logits_gradient[i,c] = class_weights[label] * loss_scale[0] * (p[c] - target[c]) / whole
//! stats[i]             = loss, 1 where the first largest logit is the label
//! probabilities[first + i, c] = p[c]
//! ```
//!
//! `whole` is the number of images of the optimizer step, of which these may be a micro-batch.
//!
//! The maximum is taken off first and the loss comes from logits, not from probabilities, so logits of any finite size
//! are right. Rows past the step's last image write zero gradient and stats and leave the probabilities alone.
//! References: Goodfellow, Bengio and Courville, "Deep Learning", 2016, section 6.2.2.3; label smoothing: Szegedy et al.,
//! "Rethinking the Inception Architecture for Computer Vision", CVPR 2016.
//!
//! Constants: `BATCH CLASSES ROWS IMAGES SMOOTHING`; `ROWS` images in `order` of a data set of `IMAGES`.

use super::reduce::LOSS_SCALE;
use super::{Args, Binding, Case, Contract, Cost, Fill, Launch, Native, Real, StepParams, Tolerance, UNIT_ROUNDOFF};
use crate::kernels::sizes::{direct, sized, sizes};
use crate::{shader, twin};

sizes! {
    /// Sizes of the loss: `rows` images of a data set of `images` are stepped through in order.
    Sizes {
        batch: usize = "BATCH", classes: usize = "CLASSES", rows: usize = "ROWS", images: usize = "IMAGES",
        smoothing: f64 = "SMOOTHING",
    }
}

impl Sizes {
    /// Without label smoothing.
    pub fn new(batch: usize, classes: usize, rows: usize, images: usize) -> Self {
        Self { batch, classes, rows, images, smoothing: 0.0 }
    }
}

/// The contracts of this file.
pub const CONTRACTS: &[&Contract] = &[&LOSS];

/// `logits (BATCH x CLASSES), labels (IMAGES), order (ROWS), class_weights (CLASSES), loss_scale (4) ->
/// logits_gradient (BATCH x CLASSES), stats (BATCH x 2), probabilities (ROWS x CLASSES)`.
pub static LOSS: Contract = Contract {
    name: "softmax_cross_entropy.loss",
    formula: "loss = -w[label] * sum of target * log softmax(logits); logits_gradient = w[label] * loss_scale * (p - target) / whole",
    bindings: &[
        Binding::read("logits").or_half(),
        Binding::index("labels", Fill::Below("CLASSES")),
        Binding::index("order", Fill::Below("IMAGES")),
        Binding::read("class_weights").filled(Fill::Positive),
        Binding::read("loss_scale").filled(Fill::Positive),
        Binding::write("logits_gradient").or_half(),
        Binding::write("stats"),
        Binding::update("probabilities", Fill::Positive),
    ],
    constants: Sizes::CONSTANTS,
    lengths: sized!(lengths),
    twin: twin!(loss),
    cost: sized!(cost),
    tolerance: sized!(tolerance),
    cases,
    // a batch has a few hundred logits: less than waking a thread takes
    native: &[Native::direct(|args, _| loss(args))],
    implementations: &[direct!(|c| {
        Launch::items(shader!("softmax_cross_entropy/loss_direct.wgsl"), 8, c.batch, 1)
    })],
};

fn lengths(c: Sizes) -> Vec<usize> {
    let Sizes { batch, classes, rows, images, .. } = c;
    vec![batch * classes, images, rows, classes, LOSS_SCALE, batch * classes, 2 * batch, rows * classes]
}

/// Two passes of an exponential and about eight more operations per logit; logits are read, gradients and probabilities
/// written.
fn cost(c: Sizes) -> Cost {
    let logits = (c.batch * c.classes) as f64;
    Cost { flops: 10.0 * logits, bytes: 12.0 * logits + 16.0 * c.batch as f64 }
}

/// A sum over the classes, and room for WGSL's `exp` (3 + 2|z| units in the last place, at most 3 of p's own size since
/// p falls faster than that grows) and `log` (2^-21 absolute near 1, which is 8 unit roundoffs).
fn tolerance(c: Sizes) -> Tolerance {
    Tolerance { relative: Tolerance::sum(c.classes).relative + 16.0 * UNIT_ROUNDOFF }
}

/// Twin of `softmax_cross_entropy.loss`.
pub fn loss<T: Real>(mut args: Args<T>) {
    let (step, Sizes { batch, classes, rows, smoothing, .. }) = (args.step, args.constants.into());
    let (logits, labels, order, weights) = (args.floats(0), args.indices(1), args.indices(2), args.floats(3));
    let (gradients, stats, probabilities) = (args.floats_out(0), args.floats_out(1), args.floats_out(2));
    gradients.fill(T::zero());
    stats.fill(T::zero());
    let share = T::of(smoothing) / T::of(classes as f64);
    let certain = T::one() - T::of(smoothing);
    let scale = args.floats(4)[0] / T::of(step.mean_of(batch).max(1) as f64);
    for i in 0..batch {
        let Some(position) = step.position(i, batch, rows) else { break };
        let label = labels[order[position] as usize] as usize;
        let logits = &logits[i * classes..][..classes];
        let argmax = (1..classes).fold(0, |best, class| if logits[class] > logits[best] { class } else { best });
        let z = |class: usize| logits[class] - logits[argmax];
        let exponentials: T = (0..classes).map(|class| z(class).exp()).sum();
        let expected = certain * z(label) + share * (0..classes).map(z).sum();
        stats[i * 2] = weights[label] * (exponentials.ln() - expected);
        stats[i * 2 + 1] = if argmax == label { T::one() } else { T::zero() };
        for class in 0..classes {
            let p = z(class).exp() / exponentials;
            let target = if class == label { certain + share } else { share };
            gradients[i * classes + class] = weights[label] * scale * (p - target);
            probabilities[position * classes + class] = p;
        }
    }
}

/// Cases: short batches, a later batch, smoothing, mixed precision's scale, ties, logits of 10 000.
fn cases() -> Vec<Case> {
    let part = StepParams { first: 3, count: 5, ..Default::default() };
    let scaled = StepParams { first: 7, count: 9, ..Default::default() };
    let smoothed = Sizes { smoothing: 0.1, ..Sizes::new(9, 10, 30, 20) };
    vec![
        Case::new("smallest", Sizes::new(1, 1, 1, 1)),
        Case::new("two classes", Sizes::new(3, 2, 3, 4)),
        Case::new("odd, no weights", Sizes::new(9, 7, 30, 20)).filled(&[("class_weights", Fill::Ones)]),
        Case::new("short batch, later", Sizes::new(9, 10, 30, 20)).at(part),
        Case::new("smoothing", smoothed).at(part),
        Case::new("smoothing and scale", smoothed).at(scaled),
        Case::new("micro-batch", Sizes::new(9, 10, 30, 20)).at(StepParams { before: 8, whole: 17, ..scaled }),
        Case::new("no image", Sizes::new(4, 3, 6, 6)).at(StepParams { count: 0, ..Default::default() }),
        Case::new("past the order", Sizes::new(9, 10, 12, 20)).at(StepParams { first: 8, ..Default::default() }),
        Case::new("ties", Sizes::new(200, 10, 200, 50)).filled(&[("logits", Fill::Dyadic)]),
        Case::new("logits of 10 000", Sizes::new(64, 10, 64, 50)).filled(&[("logits", Fill::Huge)]),
        Case::new("logits of 10 000, smoothing", smoothed).filled(&[("logits", Fill::Huge)]),
        Case::new("beyond 65535 workgroups", Sizes::new(4_200_000, 1, 4_200_000, 3)),
        Case::new("batch 50 of Galaxy10", Sizes::new(50, 10, 14_188, 17_736)).timed(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{View, ViewMut};

    struct Outputs {
        gradient: Vec<f64>,
        stats: Vec<f64>,
        probabilities: Vec<f64>,
    }

    fn run(c: Sizes, step: StepParams, logits: &[f64], labels: &[u32], weights: &[f64]) -> Outputs {
        let order: Vec<u32> = (0..c.rows as u32).rev().collect();
        let lengths = lengths(c);
        let mut out = Outputs {
            gradient: vec![f64::NAN; lengths[5]],
            stats: vec![f64::NAN; lengths[6]],
            probabilities: vec![-1.0; lengths[7]],
        };
        let reads = vec![
            View::Float(logits),
            View::Index(labels),
            View::Index(&order),
            View::Float(weights),
            View::Float(&[4.0; 4]),
        ];
        let writes =
            [&mut out.gradient, &mut out.stats, &mut out.probabilities].map(|v| Some(ViewMut::Float(&mut v[..])));
        loss(Args { constants: &c.into(), step: &step, reads, writes: writes.into() });
        out
    }

    #[test]
    fn one_of_three_images_by_hand() {
        // position 1 of the reversed order is image 1, of label 2; p = (1/8, 5/8, 2/8)
        let logits = [0.0, 5f64.ln(), 2f64.ln(), 9.0, 9.0, 9.0];
        let step = StepParams { first: 1, count: 1, ..Default::default() };
        let out = run(Sizes::new(2, 3, 3, 3), step, &logits, &[0, 2, 1], &[9.0, 9.0, 0.5]);
        let expect = |got: &[f64], want: &[f64]| {
            assert!(got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-12), "{got:?} {want:?}");
        };
        expect(&out.stats, &[0.5 * 4f64.ln(), 0.0, 0.0, 0.0]);
        expect(&out.gradient, &[0.25, 1.25, -1.5, 0.0, 0.0, 0.0]);
        expect(&out.probabilities, &[-1.0, -1.0, -1.0, 0.125, 0.625, 0.25, -1.0, -1.0, -1.0]);
    }

    #[test]
    fn huge_logits_stay_finite_and_ties_go_to_the_first() {
        let c = Sizes::new(2, 3, 2, 2);
        let logits = [1e4, -1e4, 1e4, -1e4, 1e4, 0.0];
        let out = run(c, StepParams::default(), &logits, &[0, 0], &[1.0; 3]);
        assert!((out.stats[0] - 2f64.ln()).abs() < 1e-12 && out.stats[1] == 1.0, "{:?}", out.stats);
        assert_eq!(out.stats[2..], [2e4, 0.0]);
        // times the loss scale of 4
        assert_eq!(out.gradient, [-1.0, 0.0, 1.0, -2.0, 2.0, 0.0]);
    }

    #[test]
    fn the_gradient_is_the_slope_of_the_loss() {
        let c = Sizes { smoothing: 0.2, ..Sizes::new(2, 4, 2, 2) };
        let (labels, weights) = ([3, 1], [0.5, 2.0, 1.0, 1.5]);
        let logits = [0.3, -1.2, 0.8, 0.1, -0.4, 0.9, 1.7, -2.0];
        let total = |logits: &[f64]| -> f64 {
            run(c, StepParams::default(), logits, &labels, &weights).stats.iter().step_by(2).sum::<f64>() / 2.0
        };
        let gradient = run(c, StepParams::default(), &logits, &labels, &weights).gradient;
        for i in 0..8 {
            let (mut more, mut less) = (logits, logits);
            more[i] += 1e-5;
            less[i] -= 1e-5;
            // times the loss scale of 4
            let slope = 4.0 * (total(&more) - total(&less)) / 2e-5;
            assert!((slope - gradient[i]).abs() < 1e-9, "{i}: {slope} {}", gradient[i]);
        }
    }
}
