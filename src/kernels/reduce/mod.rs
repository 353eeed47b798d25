//! Sums over a batch, over micro-batches and over a bank: the loss, the gradient and its norm, and whether the step may be taken.
//!
//! ```text
//! reduce.loss         metrics[slot,0] = sum_i stats[i,0],  metrics[slot,1] = sum_i stats[i,1],  metrics[slot,2] = images,
//!                     metrics[slot,3] = 0;  the first three plus what was there where before > 0
//! reduce.accumulate   sums[i] = values[i],  plus what was there where before > 0
//! reduce.sum_squares  partial[g] = sum_{i: (i / 256) mod GROUPS = g} values[i]^2
//! reduce.gradient     metrics[slot,3] = sum_g partial[g] / scale^2,  loss_scale[1] = min(1, clip / norm) / scale
//!                     where scale = loss_scale[0], norm = sqrt(metrics[slot,3]), and without the minimum where clip = 0
//!                     status[0] = 1 where metrics[slot,3] and metrics[slot,0] are finite, else 0;  status[1] += 1 - status[0]
//! ```
//!
//! A step may be made of micro-batches; `before` counts its images in those before this one.
//!
//! `metrics` is a ring of `SLOTS` x 4, so that the host may read old steps while new ones run. Sums are fixed trees: the same
//! order of additions on every adapter. A step whose loss or gradient is not finite is refused by `adam.update` and counted.
//!
//! `loss_scale` holds the factor on the loss, what gradients are multiplied with in the step being made, and the number of steps since it changed. Where
//! `DYNAMIC` (mixed precision, whose small gradients would vanish in f16) a refused step halves the factor, and 1000 steps in
//! a row double it, between 1 and 2^24: all powers of two, so scaling rounds nothing. It lives on the device, so that results do
//! not depend on when the host looks. Reference: Micikevicius et al., "Mixed Precision Training", ICLR 2018, section 3.2.
//!
//! What gradients are multiplied with takes the scale off, and brings a gradient whose norm over all parameters is above the step's
//! `clip` down to that norm. Reference: Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks",
//! ICML 2013, algorithm 1.
//!
//! Constants: `BATCH SLOTS`; `ELEMENTS`; `ELEMENTS GROUPS`; `GROUPS SLOTS DYNAMIC`. `ELEMENTS` is a multiple of 4, as every bank's is.

mod native;

use super::{
    Args, Binding, Case, Contract, Cost, Fill, Grid, Implementation, Launch, Native, Real, StepParams, Tolerance,
};
use crate::kernels::sizes::{sized, sizes};
use crate::{shader, twin};

/// Threads of a workgroup, as in `common/reduce.wgsl`.
const THREADS: usize = 256;

/// Most partial sums, which one workgroup adds up.
const MOST_GROUPS: usize = 1024;

/// Partial sums of `elements` values: one per 8192 values (32 to a thread), from 1 to 1024.
pub fn groups(elements: usize) -> usize {
    elements.div_ceil(32 * THREADS).clamp(1, MOST_GROUPS)
}

sizes! {
    /// Sizes of `reduce.loss`.
    LossSizes { batch: usize = "BATCH", slots: usize = "SLOTS" }
}

sizes! {
    /// Sizes of `reduce.accumulate`.
    AccumulateSizes { elements: usize = "ELEMENTS" }
}

sizes! {
    /// Sizes of `reduce.sum_squares`.
    SumSquaresSizes { elements: usize = "ELEMENTS", groups: usize = "GROUPS" }
}

sizes! {
    /// Sizes of `reduce.gradient`.
    GradientSizes { groups: usize = "GROUPS", slots: usize = "SLOTS", dynamic: bool = "DYNAMIC" }
}

impl SumSquaresSizes {
    /// With as many groups as suit so many elements.
    pub fn new(elements: usize) -> Self {
        Self { elements, groups: groups(elements) }
    }
}

/// Length of the tensor `loss_scale`.
pub const LOSS_SCALE: usize = 4;

/// Contents of `loss_scale` before the first step, with this factor.
pub fn loss_scale(factor: f32) -> [f32; LOSS_SCALE] {
    [factor, factor.recip(), 0.0, 0.0]
}

/// Steps in a row after which the loss scale doubles.
const GROWTH_STEPS: f64 = 1000.0;

/// Largest loss scale.
const MOST_SCALE: f64 = 16_777_216.0;

/// The contracts of this file.
pub const CONTRACTS: &[&Contract] = &[&LOSS, &ACCUMULATE, &SUM_SQUARES, &GRADIENT];

/// `stats (BATCH x 2) -> metrics (SLOTS x 4)`.
pub static LOSS: Contract = Contract {
    name: "reduce.loss",
    formula: "metrics[slot] = sum of losses, sum of hits, number of images, 0; added to those of earlier micro-batches",
    bindings: &[Binding::read("stats").filled(Fill::Positive), Binding::update("metrics", Fill::Shuffled)],
    constants: LossSizes::CONSTANTS,
    lengths: sized!(|c: LossSizes| vec![2 * c.batch, 4 * c.slots]),
    twin: twin!(loss),
    cost: sized!(|c: LossSizes| Cost { flops: 2.0 * c.batch as f64, bytes: 8.0 * c.batch as f64 }),
    tolerance: sized!(|c: LossSizes| Tolerance::sum(c.batch)),
    cases: loss_cases,
    // two numbers an image
    native: &[Native::direct(|args, _| loss(args))],
    implementations: &[Implementation::direct(|_| {
        Launch::single(shader!("reduce/loss_direct.wgsl"), 2, Grid::groups(1))
    })],
};

/// `values (ELEMENTS) -> sums (ELEMENTS)`.
pub static ACCUMULATE: Contract = Contract {
    name: "reduce.accumulate",
    formula: "sums[i] = values[i] of a step's first micro-batch, sums[i] + values[i] of later ones",
    bindings: &[Binding::read("values"), Binding::update("sums", Fill::Shuffled)],
    constants: AccumulateSizes::CONSTANTS,
    lengths: sized!(|c: AccumulateSizes| vec![c.elements; 2]),
    twin: twin!(accumulate),
    cost: sized!(|c: AccumulateSizes| Cost { flops: c.elements as f64, bytes: 12.0 * c.elements as f64 }),
    tolerance: |_| Tolerance::sum(1),
    cases: accumulate_cases,
    native: &[Native::direct(native::accumulate)],
    implementations: &[Implementation::direct(sized!(|c: AccumulateSizes| {
        Launch::items(shader!("reduce/accumulate_direct.wgsl"), 2, c.elements / 4, 1)
    }))],
};

/// `values (ELEMENTS) -> partial (GROUPS)`.
pub static SUM_SQUARES: Contract = Contract {
    name: "reduce.sum_squares",
    formula: "partial[g] = sum of values[i]^2 over the i with (i / 256) mod GROUPS = g",
    bindings: &[Binding::read("values"), Binding::write("partial")],
    constants: SumSquaresSizes::CONSTANTS,
    lengths: sized!(|c: SumSquaresSizes| vec![c.elements, c.groups]),
    twin: twin!(sum_squares),
    cost: sized!(|c: SumSquaresSizes| Cost { flops: 2.0 * c.elements as f64, bytes: 4.0 * c.elements as f64 }),
    tolerance: sized!(|c: SumSquaresSizes| Tolerance::sum(c.elements.div_ceil(c.groups))),
    cases: sum_squares_cases,
    native: &[Native::direct(native::sum_squares)],
    implementations: &[Implementation::direct(sized!(|c: SumSquaresSizes| {
        Launch::single(shader!("reduce/sum_squares_direct.wgsl"), 2, Grid::groups(c.groups))
    }))],
};

/// `partial (GROUPS) -> metrics (SLOTS x 4), status (2: whether the step counts, steps refused), loss_scale (4)`.
pub static GRADIENT: Contract = Contract {
    name: "reduce.gradient",
    formula: "metrics[slot,3] = sum of partial / scale^2; status = whether it and the loss are finite, steps refused; loss_scale clips and adapts",
    bindings: &[
        Binding::read("partial").filled(Fill::Positive),
        Binding::update("metrics", Fill::Shuffled),
        Binding::update("status", Fill::Ones).of_indices(),
        Binding::update("loss_scale", Fill::Ones),
    ],
    constants: GradientSizes::CONSTANTS,
    lengths: sized!(|c: GradientSizes| vec![c.groups, 4 * c.slots, 2, LOSS_SCALE]),
    twin: twin!(gradient),
    cost: sized!(|c: GradientSizes| Cost { flops: c.groups as f64, bytes: 4.0 * c.groups as f64 }),
    tolerance: sized!(|c: GradientSizes| Tolerance::sum(c.groups)),
    cases: gradient_cases,
    // at most 1024 numbers
    native: &[Native::direct(|args, _| gradient(args))],
    implementations: &[Implementation::direct(|_| {
        Launch::single(shader!("reduce/gradient_direct.wgsl"), 4, Grid::groups(1))
    })],
};

/// Place of the step's slot in `metrics`.
fn slot(slots: usize, step: &StepParams) -> usize {
    step.slot as usize % slots * 4
}

/// Twin of `reduce.loss`.
pub fn loss<T: Real>(mut args: Args<T>) {
    let (c, step) = (LossSizes::from(args.constants), args.step);
    let images = step.images(c.batch);
    let stats = &args.floats(0)[..2 * images];
    let metrics = &mut args.floats_out(0)[slot(c.slots, step)..];
    let [losses, hits] = [0, 1].map(|column| stats.iter().skip(column).step_by(2).copied().sum::<T>());
    let sums = [losses, hits, T::of(images as f64)];
    for (metric, sum) in metrics.iter_mut().zip(sums) {
        *metric = if step.before > 0 { *metric + sum } else { sum };
    }
    metrics[3] = T::zero();
}

/// Twin of `reduce.accumulate`.
pub fn accumulate<T: Real>(mut args: Args<T>) {
    let later = args.step.before > 0;
    for (sum, &value) in args.floats_out(0).iter_mut().zip(args.floats(0)) {
        *sum = if later { *sum + value } else { value };
    }
}

/// Twin of `reduce.sum_squares`; blocks of 256 are summed first, so that roundings grow as little as the shader's.
pub fn sum_squares<T: Real>(mut args: Args<T>) {
    let partial = args.floats_out(0);
    let groups = partial.len();
    partial.fill(T::zero());
    for (block, values) in args.floats(0).chunks(THREADS).enumerate() {
        partial[block % groups] += values.iter().map(|&value| value * value).sum();
    }
}

/// Twin of `reduce.gradient`.
pub fn gradient<T: Real>(mut args: Args<T>) {
    let (c, step) = (GradientSizes::from(args.constants), args.step);
    let (metrics, status) = (&mut args.floats_out(0)[slot(c.slots, step)..], args.indices_out(1));
    let loss_scale = args.floats_out(2);
    let scale = loss_scale[0];
    metrics[3] = args.floats(0).iter().copied().sum::<T>() / scale / scale;
    let finite = metrics[3].is_finite() && metrics[0].is_finite();
    status[0] = u32::from(finite);
    status[1] += u32::from(!finite);
    let (norm, clip) = (metrics[3].sqrt(), T::of(f64::from(step.clip)));
    let clips = finite && clip > T::zero() && norm > clip;
    loss_scale[1] = (if clips { clip / norm } else { T::one() }) / scale;
    if !c.dynamic {
        return;
    }
    loss_scale[2] += T::one();
    let grows = finite && loss_scale[2] >= T::of(GROWTH_STEPS);
    if grows || !finite {
        loss_scale[0] = (if grows { scale + scale } else { scale / T::of(2.0) }).max(T::one()).min(T::of(MOST_SCALE));
        loss_scale[2] = T::zero();
    }
}

fn loss_cases() -> Vec<Case> {
    let at = |slot, count| StepParams { slot, count, ..Default::default() };
    vec![
        Case::new("smallest", LossSizes { batch: 1, slots: 1 }),
        Case::new("short batch, later slot", LossSizes { batch: 50, slots: 8 }).at(at(5, 33)),
        Case::new("slot goes around", LossSizes { batch: 64, slots: 8 }).at(at(8_003, 64)),
        Case::new("no image", LossSizes { batch: 64, slots: 8 }).at(at(1, 0)),
        Case::new("later micro-batch", LossSizes { batch: 50, slots: 8 }).at(StepParams {
            before: 50,
            whole: 83,
            ..at(5, 33)
        }),
        Case::new("more than a workgroup", LossSizes { batch: 513, slots: 4 }).at(at(2, u32::MAX)).timed(),
    ]
}

fn accumulate_cases() -> Vec<Case> {
    let later = StepParams { before: 12, whole: 20, ..Default::default() };
    vec![
        Case::new("smallest", AccumulateSizes { elements: 4 }).at(later),
        Case::new("first, over what is left of the last step", AccumulateSizes { elements: 260 })
            .filled(&[("sums", Fill::Infinite)]),
        Case::new("later", AccumulateSizes { elements: 260 }).at(later),
        Case::new("infinite stays infinite", AccumulateSizes { elements: 64 })
            .at(later)
            .filled(&[("sums", Fill::Infinite)]),
        Case::new("beyond 65535 workgroups", AccumulateSizes { elements: 16_800_000 }).at(later),
        Case::new("a bank", AccumulateSizes { elements: 8_520_000 }).at(later).timed(),
    ]
}

fn sum_squares_cases() -> Vec<Case> {
    vec![
        Case::new("smallest", SumSquaresSizes::new(4)),
        Case::new("one workgroup, ragged", SumSquaresSizes::new(300)),
        Case::new("several workgroups, ragged", SumSquaresSizes::new(30_004)),
        Case::new("one group for all", SumSquaresSizes { elements: 5_000, groups: 1 }),
        Case::new("1024 groups, ragged", SumSquaresSizes::new(8_400_004)),
        Case::new("a bank", SumSquaresSizes::new(8_520_000)).timed(),
    ]
}

fn gradient_cases() -> Vec<Case> {
    let at = |slot| StepParams { slot, ..Default::default() };
    let clip = |clip| StepParams { slot: 1, clip, ..Default::default() };
    let fixed = |groups, slots| GradientSizes { groups, slots, dynamic: false };
    let dynamic = |groups| GradientSizes { groups, slots: 4, dynamic: true };
    vec![
        Case::new("smallest", fixed(1, 1)),
        Case::new("later slot, scaled", fixed(77, 8))
            .at(at(6))
            .filled(&[("loss_scale", Fill::These([128.0, 0.0, 3.0, 0.0]))]),
        Case::new("most groups", fixed(1024, 4)).at(at(9)).timed(),
        Case::new("infinite gradient", fixed(300, 4)).at(at(1)).filled(&[("partial", Fill::Infinite)]),
        Case::new("infinite loss", fixed(300, 4)).filled(&[("metrics", Fill::Infinite)]),
        Case::new("infinite loss of another slot", fixed(300, 4)).at(at(2)).filled(&[("metrics", Fill::Infinite)]),
        // 300 values of 0..1 have the sum 150 and the norm 12.2
        Case::new("clipped", fixed(300, 4)).at(clip(2.5)),
        Case::new("clipped and scaled", dynamic(300))
            .at(clip(0.5))
            .filled(&[("loss_scale", Fill::These([16.0, 0.0, 3.0, 0.0]))]),
        Case::new("not clipped", fixed(300, 4)).at(clip(20.0)),
        Case::new("no gradient to clip", fixed(3, 4)).at(clip(1.0)).filled(&[("partial", Fill::Zero)]),
        Case::new("infinite gradient is not clipped", fixed(300, 4))
            .at(clip(1.0))
            .filled(&[("partial", Fill::Infinite)]),
        Case::new("scale stays", dynamic(5)).filled(&[("loss_scale", Fill::These([64.0, 0.5, 998.0, 0.0]))]),
        Case::new("scale doubles", dynamic(5)).filled(&[("loss_scale", Fill::These([64.0, 0.5, 999.0, 0.0]))]),
        Case::new("scale at its largest", dynamic(5))
            .filled(&[("loss_scale", Fill::These([16_777_216.0, 0.5, 999.0, 0.0]))]),
        Case::new("scale halves", dynamic(300))
            .filled(&[("partial", Fill::Infinite), ("loss_scale", Fill::These([64.0, 0.5, 999.0, 0.0]))]),
        Case::new("scale at its smallest", dynamic(300))
            .filled(&[("partial", Fill::Infinite), ("loss_scale", Fill::These([1.0, 0.5, 7.0, 0.0]))]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{View, ViewMut};

    fn run_gradient(partial: &[f32], loss: f32, factor: f32) -> ([f32; 8], [u32; 2]) {
        let (mut metrics, mut status) = ([7.0; 8], [9, 4]);
        metrics[4] = loss;
        let step = StepParams { slot: 3, ..Default::default() };
        let c = GradientSizes { groups: partial.len(), slots: 2, dynamic: false }.into();
        let mut scale = loss_scale(factor);
        let metrics_out = Some(ViewMut::Float(&mut metrics[..]));
        let writes = vec![metrics_out, Some(ViewMut::Index(&mut status[..])), Some(ViewMut::Float(&mut scale[..]))];
        gradient(Args { constants: &c, step: &step, reads: vec![View::Float(partial)], writes });
        (metrics, status)
    }

    #[test]
    fn a_finite_step_goes_on_and_any_other_is_counted() {
        assert_eq!(run_gradient(&[8.0, 24.0], 1.5, 4.0), ([7.0, 7.0, 7.0, 7.0, 1.5, 7.0, 7.0, 2.0], [1, 4]));
        assert_eq!(run_gradient(&[8.0, f32::INFINITY], 1.5, 4.0).1, [0, 5]);
        assert_eq!(run_gradient(&[8.0, f32::NAN], 1.5, 4.0).1, [0, 5]);
        assert_eq!(run_gradient(&[f32::MAX, f32::MAX], 1.5, 1.0).1, [0, 5]);
        assert_eq!(run_gradient(&[1.0], f32::NAN, 1.0).1, [0, 5]);
    }

    /// PyTorch's `clip_grad_norm_` and optax's `clip_by_global_norm`: gradients times `clip / norm` where the norm is larger.
    #[test]
    fn a_gradient_beyond_the_largest_norm_is_scaled_down_to_it() {
        let factor = |partial: [f64; 2], clip| {
            let (mut metrics, mut status, mut scale) = ([0.0; 4], [0, 0], [8.0, 0.0, 0.0, 0.0]);
            let (c, step) = (
                GradientSizes { groups: 2, slots: 1, dynamic: false }.into(),
                StepParams { clip, ..Default::default() },
            );
            let metrics_out = Some(ViewMut::Float(&mut metrics[..]));
            let writes = vec![metrics_out, Some(ViewMut::Index(&mut status[..])), Some(ViewMut::Float(&mut scale[..]))];
            gradient(Args { constants: &c, step: &step, reads: vec![View::Float(&partial[..])], writes });
            // the norm that is told is that before clipping
            assert_eq!(metrics[3], partial.iter().sum::<f64>() / 64.0);
            scale[1]
        };
        // squares of gradients that are eight times too large: a norm of 5
        let partial = [9.0 * 64.0, 16.0 * 64.0];
        assert_eq!(factor(partial, 2.5), 0.5 / 8.0);
        assert_eq!([factor(partial, 5.0), factor(partial, 0.0), factor([0.0, 0.0], 1.0)], [1.0 / 8.0; 3]);
        assert_eq!(factor([f64::INFINITY, 0.0], 2.5), 1.0 / 8.0, "the step is refused all the same");
    }

    #[test]
    fn losses_and_hits_of_the_images_there_are() {
        let (c, step) =
            (LossSizes { batch: 4, slots: 2 }.into(), StepParams { slot: 1, count: 3, ..Default::default() });
        let mut metrics = [7.0f64; 8];
        let reads = vec![View::Float(&[0.5, 1.0, 0.25, 0.0, 2.0, 1.0, 99.0, 99.0][..])];
        loss(Args { constants: &c, step: &step, reads, writes: vec![Some(ViewMut::Float(&mut metrics[..]))] });
        assert_eq!(metrics, [7.0, 7.0, 7.0, 7.0, 2.75, 2.0, 3.0, 0.0]);
    }

    #[test]
    fn every_value_is_in_one_group() {
        let c = SumSquaresSizes { elements: 5_000, groups: 3 }.into();
        let values: Vec<f64> = (0..5_000).map(|i| f64::from(i % 7)).collect();
        let mut partial = [f64::NAN; 3];
        let writes = vec![Some(ViewMut::Float(&mut partial[..]))];
        sum_squares(Args { constants: &c, step: &StepParams::default(), reads: vec![View::Float(&values)], writes });
        assert_eq!(partial.iter().sum::<f64>(), values.iter().map(|v| v * v).sum::<f64>());
        assert_eq!((groups(0), groups(1), groups(usize::MAX / 2)), (1, 1, 1024));
    }
}
